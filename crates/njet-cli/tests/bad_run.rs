//! Runs that are none, unfinished or damaged: the message names the file and what to do.

mod command;

use command::images::Set;
use command::{Place, truncate};
use std::fs;
use std::path::PathBuf;

/// Directories that hold no run.
#[test]
fn no_run() {
    let place = Place::with_data();
    fs::write(place.path("notes"), "mine").unwrap();
    for name in ["nothing", "data", "notes"] {
        let words = [&format!("{name} is not a run"), "no config.toml", "the directory that `njet train` made"];
        for arguments in ["train --resume", "eval", "inspect"] {
            place.refuses(&format!("{arguments} {name}"), 1, &words);
        }
    }
}

#[test]
fn settings_cannot_change_on_resume() {
    let place = Place::with_run();
    for setting in ["--lr 0.1", "--epochs 9", "--data data", "--fixed-sigma", "--seed 2", "--out other"] {
        let name = setting.split(' ').next().unwrap();
        let words = [name, "cannot be used with", "--resume"];
        place.refuses(&format!("train --resume run {setting}"), 2, &words);
    }
}

/// Every command that reads a run refuses this text in the place of its `config.toml`.
#[track_caller]
fn damaged_config(change: fn(&str) -> String, words: &[&str]) {
    let place = Place::with_run();
    let path = place.path("run/config.toml");
    let text = fs::read_to_string(&path).unwrap();
    let changed = change(&text);
    assert_ne!(changed, text);
    fs::write(path, changed).unwrap();
    let words = [&["run/config.toml is damaged", "mend it, or train a new run"], words].concat();
    for arguments in ["train --resume run", "eval run", "inspect run"] {
        place.refuses(arguments, 1, &words);
    }
}

#[test]
fn config_that_is_no_toml() {
    damaged_config(|text| text.replace("epochs = 2", "epochs = ["), &["line 3"]);
}

#[test]
fn config_cut_off() {
    damaged_config(|text| text[..text.find("[model]").unwrap()].to_owned(), &["missing field `model`"]);
}

#[test]
fn config_with_an_unknown_setting() {
    damaged_config(|text| text.replace("[model]", "[model]\ncolour = \"red\""), &["unknown field `colour`"]);
}

#[test]
fn config_with_a_setting_of_no_sense() {
    damaged_config(|text| text.replace("batch-size = 16", "batch-size = 0"), &["the batch size is 0"]);
}

#[test]
fn config_with_a_layer_of_no_sense() {
    damaged_config(|text| text.replace("sigma = 1.0", "sigma = -1.0"), &["sigma = -1 is not a scale"]);
}

#[test]
fn config_that_is_no_text() {
    let place = Place::with_run();
    fs::write(place.path("run/config.toml"), [0xff, 0xfe]).unwrap();
    place.refuses("train --resume run", 1, &["cannot read run/config.toml", "UTF-8"]);
}

fn newest(place: &Place, file: &str) -> PathBuf {
    place.path("run/checkpoints/epoch-0002").join(file)
}

/// What a damaged file of the newest checkpoint is answered with: the checkpoint before it is still there.
#[track_caller]
fn refuses_checkpoint(place: &Place, file: &str, words: &[&str]) {
    let name = format!("run/checkpoints/epoch-0002/{file} is damaged");
    let words =
        [&[name.as_str(), "remove run/checkpoints/epoch-0002 to go on from the checkpoint before"], words].concat();
    place.refuses("train --resume run", 1, &words);
}

#[test]
fn a_checkpoint_cut_off() {
    for file in ["model.bpk", "optimizer.bpk", "state.json"] {
        let place = Place::with_run();
        let length = fs::metadata(newest(&place, file)).unwrap().len();
        for length in [length - 1, length / 2, 100, 0] {
            truncate(&newest(&place, file), length);
            refuses_checkpoint(&place, file, &[]);
        }
        fs::remove_file(newest(&place, file)).unwrap();
        refuses_checkpoint(&place, file, &["it is missing"]);
    }
}

/// A single wrong bit, which Burn's own reader may take for a value, or panic at.
#[test]
fn a_checkpoint_with_a_flipped_bit() {
    for file in ["model.bpk", "optimizer.bpk"] {
        let place = Place::with_run();
        let bytes = fs::read(newest(&place, file)).unwrap();
        // The kind of file, the names, the numbers.
        for at in [0, 506, bytes.len() / 2, bytes.len() - 3] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            fs::write(newest(&place, file), damaged).unwrap();
            refuses_checkpoint(&place, file, &["not those that were saved"]);
        }
    }
}

#[test]
fn the_advice_on_a_damaged_checkpoint_works() {
    let place = Place::with_run();
    let metrics = place.metrics("run");
    truncate(&newest(&place, "model.bpk"), 100);
    fs::remove_dir_all(newest(&place, "")).unwrap();
    place.run("train --resume run").done();
    assert_eq!(place.metrics("run").len(), metrics.len());
}

#[test]
fn a_checkpoint_of_other_settings() {
    let place = Place::with_run();
    let path = place.path("run/config.toml");
    let text = fs::read_to_string(&path).unwrap().replace("order = 2", "order = 3");
    fs::write(path, text).unwrap();
    let words = ["epoch-0002/model.bpk", "does not fit the settings in config.toml", "bring back the settings"];
    place.refuses("train --resume run", 1, &words);
    let alpha = "blocks.0.convolution.alpha has the shape [32, 1, 6] instead of [32, 1, 10]";
    for command in ["eval", "inspect"] {
        place.refuses(&format!("{command} run"), 1, &["run/model.safetensors", "config.toml", alpha]);
    }
}

#[test]
fn no_model_yet() {
    let place = Place::with_run();
    fs::remove_file(place.path("run/model.safetensors")).unwrap();
    fs::remove_dir_all(place.path("run/checkpoints")).unwrap();
    for command in ["eval", "inspect"] {
        let words = ["run has no model yet", "before its first epoch ended", "njet train --resume run"];
        place.refuses(&format!("{command} run"), 1, &words);
    }
}

/// Where epochs have been finished, the advice to go on with the run would lead nowhere.
#[test]
fn the_model_is_lost() {
    let place = Place::with_run();
    fs::remove_file(place.path("run/model.safetensors")).unwrap();
    for arguments in ["eval run", "inspect run", "train --resume run"] {
        place.refuses(arguments, 1, &["cannot read run/model.safetensors"]);
    }
}

#[test]
fn a_model_cut_off() {
    let place = Place::with_run();
    let path = place.path("run/model.safetensors");
    let length = fs::metadata(&path).unwrap().len();
    for length in [length - 1, length / 2, 100, 4, 0] {
        truncate(&path, length);
        for command in ["eval", "inspect"] {
            let words = ["run/model.safetensors is damaged", "a copy of it, or train a new run"];
            place.refuses(&format!("{command} run"), 1, &words);
        }
    }
}

#[test]
fn a_model_with_a_flipped_bit() {
    let place = Place::with_run();
    let path = place.path("run/model.safetensors");
    let bytes = fs::read(&path).unwrap();
    for at in [bytes.len() / 2, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        fs::write(&path, damaged).unwrap();
        let words = ["run/model.safetensors is damaged", "not those that were saved", "a copy of it"];
        for command in ["eval run", "inspect run", "predict run a.png", "transfer run --scale 2 --out other"] {
            place.refuses(command, 1, &words);
        }
    }
    // From before there was a checksum: the entry has another name, of the same length.
    let text = bytes.windows(7).position(|window| window == b"\"crc32\"").expect("a checksum");
    let mut old = bytes.clone();
    old[text + 1..text + 6].copy_from_slice(b"other");
    let last = old.len() - 1;
    old[last] ^= 1;
    fs::write(&path, old).unwrap();
    place.run("inspect run").done();
}

#[test]
fn a_model_of_another_architecture() {
    let place = Place::with_run();
    place.run("train --data data --arch nin --epochs 1 --limit 20 --out nin").done();
    fs::copy(place.path("nin/model.safetensors"), place.path("run/model.safetensors")).unwrap();
    let words = ["run/model.safetensors is damaged", "blocks.0.convolution.alpha has the shape [192, 1, 6]"];
    place.refuses("eval run", 1, &words);
}

#[test]
fn a_model_of_plain_convolutions() {
    let place = Place::with_run();
    place.run("train --data data --layer conv --epochs 1 --out conv").done();
    fs::copy(place.path("conv/model.safetensors"), place.path("run/model.safetensors")).unwrap();
    place.refuses("eval run", 1, &["run/model.safetensors is damaged", "no tensor blocks.0.convolution.alpha"]);
}

#[test]
fn data_of_other_classes() {
    let place = Place::with_run();
    Set { classes: 4, training: 40, ..Set::default() }.write(&place.path("four"));
    let words = ["the model was made for 1 channels and 3 classes, but four has 1 and 4", "give data like"];
    place.refuses("eval run --data four", 1, &words);
}

#[test]
fn data_too_small_for_the_pooling() {
    let place = Place::with_run();
    Set { side: 3, ..Set::default() }.write(&place.path("small"));
    place.refuses("eval run --data small", 1, &["3×3", "small", "at least 4×4 are needed"]);
}

/// The directory is there, but with other images: to go on with them would be another run.
#[test]
fn the_data_of_the_run_is_another() {
    let place = Place::with_run();
    let path = fs::read_dir(place.path("data"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_string_lossy().starts_with("train-images"))
        .unwrap();
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 0x80;
    fs::write(&path, bytes).unwrap();
    place.refuses("train --resume run", 1, &["data are not those that the run was started with", "train a new run"]);
}

#[test]
fn the_data_of_the_run_is_gone() {
    let place = Place::with_run();
    fs::rename(place.path("data"), place.path("moved")).unwrap();
    for arguments in ["train --resume run", "eval run"] {
        place.refuses(arguments, 1, &["/data\" is neither a known data set nor a directory"]);
    }
    place.run("eval run --data moved").done();
    place.run("inspect run").done();
}
