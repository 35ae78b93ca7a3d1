//! `njet train --dashboard`: where it can draw, and that the terminal is given back.

mod command;

use command::Place;

#[test]
fn without_a_terminal_it_is_refused() {
    let place = Place::with_data();
    let words: &[&str] = if cfg!(feature = "dashboard") {
        &["--dashboard needs a terminal", "leave it out"]
    } else {
        &["built without the dashboard", "--features dashboard"]
    };
    place.refuses("train --data data --out run --dashboard", 2, words);
    place.refuses(
        "train --data data --out run --dashboard --json",
        2,
        &["--dashboard", "cannot be used with", "--json"],
    );
}

#[cfg(all(unix, feature = "dashboard"))]
mod on_a_terminal {
    use super::command::Place;
    use std::io::{Read, Write};
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    const ALTERNATE: &str = "\x1b[?1049h";
    const ORDINARY: &str = "\x1b[?1049l";

    /// The command in a terminal that util-linux's `script` plays; `None` where there is no such program.
    fn start(place: &Place, before: &str, arguments: &str) -> Option<Child> {
        let version = Command::new("script").arg("--version").output();
        if !version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("util-linux")) {
            eprintln!("skipped: without util-linux's `script` there is no terminal to play");
            return None;
        }
        let njet = format!(
            "stty rows 40 cols 120; {before} '{}' {arguments}; echo code $?; stty -a",
            env!("CARGO_BIN_EXE_njet")
        );
        let mut command = Command::new("script");
        command.args(["-qec", &njet, "/dev/null"]).current_dir(place.path("")).env("TERM", "xterm-256color");
        Some(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script starts"))
    }

    /// Reads until the text is there.
    fn read_until(child: &mut Child, so_far: &mut String, wanted: &str) {
        let (start, out) = (Instant::now(), child.stdout.as_mut().unwrap());
        let mut bytes = [0; 4096];
        while !so_far.contains(wanted) {
            assert!(start.elapsed() < Duration::from_secs(30), "no {wanted:?} in {so_far:?}");
            let n = out.read(&mut bytes).unwrap();
            assert!(n > 0, "ended without {wanted:?}: {so_far:?}");
            *so_far += &String::from_utf8_lossy(&bytes[..n]);
        }
    }

    fn given_back(mut child: Child, mut seen: String, code: i32) -> String {
        child.stdout.as_mut().unwrap().read_to_string(&mut seen).unwrap();
        child.wait().unwrap();
        assert!(seen.rfind(ORDINARY) > seen.rfind(ALTERNATE), "the screen is not given back: {seen:?}");
        assert!(seen.contains(&format!("code {code}\r\n")), "{seen:?}");
        let (_, settings) = seen.rsplit_once("code ").unwrap();
        for flag in ["icanon", "echo", "isig"] {
            assert!(settings.split_whitespace().any(|word| word == flag), "the terminal is left raw: {settings}");
        }
        assert!(!seen.contains("panicked"), "{seen:?}");
        seen
    }

    #[test]
    fn a_whole_run() {
        let place = Place::with_data();
        let Some(child) = start(&place, "", "train --data data --epochs 3 --out run --dashboard") else { return };
        let seen = given_back(child, String::new(), 0);
        assert!(seen.contains("test accuracy"), "{seen:?}");
        assert_eq!(place.metrics("run").len(), 3);
    }

    #[test]
    fn control_c() {
        let place = Place::with_data();
        let Some(mut child) = start(&place, "", "train --data data --epochs 100000 --out run --dashboard") else {
            return;
        };
        let mut seen = String::new();
        read_until(&mut child, &mut seen, ALTERNATE);
        read_until(&mut child, &mut seen, "Accuracy");
        std::thread::sleep(Duration::from_millis(500));
        child.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
        let seen = given_back(child, seen, 130);
        assert!(seen.contains("njet train --resume run"), "{seen:?}");
        assert!(!place.metrics("run").is_empty());
    }

    /// Its own way out: a key, then a choice.
    #[test]
    fn stopped_by_its_keys() {
        for (choice, what) in [(b's', "stop"), (b'k', "kill")] {
            let place = Place::with_data();
            let Some(mut child) = start(&place, "", "train --data data --epochs 100000 --out run --dashboard") else {
                return;
            };
            let mut seen = String::new();
            read_until(&mut child, &mut seen, "Accuracy");
            child.stdin.as_mut().unwrap().write_all(b"q").unwrap();
            read_until(&mut child, &mut seen, "Quit");
            child.stdin.as_mut().unwrap().write_all(&[choice]).unwrap();
            let seen = given_back(child, seen, 1);
            assert!(seen.contains("stopped in epoch") && seen.contains("njet train --resume run"), "{what}: {seen:?}");
        }
    }

    /// An error of the run is told on the ordinary screen.
    #[test]
    fn a_run_that_fails() {
        let place = Place::with_data();
        // No file can grow beyond 8 blocks of 512 bytes.
        let full = "trap '' XFSZ; ulimit -f 8;";
        let Some(child) = start(&place, full, "train --data data --epochs 3 --out run --dashboard") else { return };
        let seen = given_back(child, String::new(), 1);
        let error = seen.find("error: cannot write run/model.safetensors").expect("an error");
        assert!(seen.rfind(ORDINARY).unwrap() < error, "{seen:?}");
    }
}
