//! The report in a browser, where there is one: what is really laid out, on a phone and on a desk.

mod command;

use command::Place;
use serde_json::Value;
use std::fs;
use std::process::Command;

/// The first browser that starts.
fn browser() -> Option<&'static str> {
    let starts = |name: &&str| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find(starts)
}

/// Run in the page after it is laid out; what it finds is left in the page.
const MEASURE: &str = r##"
const found = {
  width: document.documentElement.clientWidth,
  content: document.documentElement.scrollWidth,
  images: document.images.length,
  broken: [...document.images].filter(i => !(i.complete && i.naturalWidth > 0)).length,
  cut: [...document.querySelectorAll("svg")].flatMap(svg => {
    const frame = svg.getBoundingClientRect();
    return [...svg.querySelectorAll("text")].filter(t => {
      const box = t.getBoundingClientRect();
      return box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
    }).map(t => t.textContent);
  }),
  small: [...document.querySelectorAll("svg text")].filter(t => t.getBoundingClientRect().height < 10).length,
  headings: [...document.querySelectorAll("main h2")].map(h => h.textContent),
  cells: document.querySelectorAll("#confusion tbody td[title]").length,
  points: document.querySelectorAll("#training circle").length,
  background: getComputedStyle(document.body).backgroundColor,
  ink: getComputedStyle(document.body).color,
};
parent.postMessage(JSON.stringify(found), "*");
"##;

/// A frame of the wanted width (windows have a least width), and what the page in it tells.
const FRAME: &str = r##"<!DOCTYPE html><meta charset="utf-8"/><body>
<script>addEventListener("message", event => {
  const pre = document.createElement("pre");
  pre.id = "found";
  pre.textContent = event.data;
  document.body.append(pre);
});</script>
<iframe src="probe.html" style="border: 0; height: 900px; width: WIDTHpx"></iframe>"##;

/// What the page is like in a frame of this width.
fn measured(browser: &str, place: &Place, width: u32) -> Value {
    let page = fs::read_to_string(place.path("run/report.html")).unwrap();
    let probe = page.replace("</body>", &format!("<script>{MEASURE}</script></body>"));
    fs::write(place.path("probe.html"), probe).unwrap();
    fs::write(place.path("frame.html"), FRAME.replace("WIDTH", &width.to_string())).unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"])
        .args([
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--virtual-time-budget=10000",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", place.path("profile").display()))
        .arg("--window-size=1400,1000")
        .arg(format!("file://{}", place.path("frame.html").display()))
        .output()
        .expect("the browser starts");
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, found) =
        dom.split_once("<pre id=\"found\">").unwrap_or_else(|| panic!("the page was not laid out: {output:?}"));
    serde_json::from_str(&found.split_once("</pre>").unwrap().0.replace("&amp;", "&")).expect("what was found")
}

#[test]
fn the_page_is_laid_out() {
    let Some(browser) = browser() else {
        eprintln!("skipped: no chromium, chromium-browser or google-chrome to open the page in");
        return;
    };
    let place = Place::with_run();
    place.run("report run").done();
    for width in [390, 1280] {
        let found = measured(browser, &place, width);
        assert_eq!(found["width"], width, "{found}");
        assert!(found["content"].as_u64() <= found["width"].as_u64(), "wider than the window: {found}");
        assert_eq!(found["broken"], 0, "{found}");
        assert!(found["images"].as_u64().unwrap() >= 32 + 48 + 48, "{found}");
        assert_eq!(found["cut"], serde_json::json!([]), "text beyond its drawing");
        assert_eq!(found["small"], 0, "text too small to read: {found}");
        assert_eq!(found["cells"], 9, "{found}");
        // Two epochs of loss and accuracy, in training and validation, and of three σ.
        assert_eq!(found["points"], 2 * 2 * 2 + 2 * 3, "{found}");
        let headings: Vec<&str> = found["headings"].as_array().unwrap().iter().map(|h| h.as_str().unwrap()).collect();
        assert_eq!(
            headings,
            [
                "Training",
                "Layers",
                "Learned filters",
                "Accuracy against scale",
                "Confusion matrix",
                "Worst mistakes",
                "Settings"
            ]
        );
        assert_ne!(found["background"], found["ink"], "{found}");
    }
    // Many layers with long names.
    let place = Place::with_data();
    place.run("train --data data --arch resnet20 --limit 20 --epochs 1 --out run").done();
    place.run("report run").done();
    for width in [390, 1280] {
        let found = measured(browser, &place, width);
        assert!(found["content"].as_u64() <= found["width"].as_u64(), "wider than the window: {found}");
        assert_eq!(found["cut"], serde_json::json!([]), "text beyond its drawing");
    }
}
