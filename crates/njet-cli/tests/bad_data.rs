//! Data that is missing, damaged or of another kind: the message names the file and what to do, and no run is made.

mod command;

use command::images::idx;
use command::{Place, truncate};
use std::fs;

const IMAGES: &str = "train-images-idx3-ubyte";
const LABELS: &str = "train-labels-idx1-ubyte";

/// Training on the usual data, of which `file` was replaced by `bytes`, is refused.
#[track_caller]
fn refused_with(file: &str, bytes: &[u8], words: &[&str]) {
    let place = Place::with_data();
    fs::write(place.path("data").join(file), bytes).unwrap();
    let words = [&[file], words].concat();
    place.refuses("train --data data --out run", 1, &words);
    place.refuses("data info data", 1, &words);
}

#[test]
fn neither_a_name_nor_a_directory() {
    let words = ["\"nowhere\" is neither", "fashion-mnist-subset, fashion-mnist", "train-images-idx3-ubyte"];
    for arguments in ["train --data nowhere --out run", "data info nowhere"] {
        Place::new().refuses(arguments, 2, &words);
    }
    Place::with_run().refuses("eval run --data nowhere", 2, &words);
}

#[test]
fn a_directory_without_the_files() {
    let place = Place::new();
    fs::create_dir(place.path("empty")).unwrap();
    let words = ["empty: no data set found", "train-images-idx3-ubyte", "data_batch_1.bin", "train.bin", "train/CLASS"];
    place.refuses("train --data empty --out run", 1, &words);
}

#[test]
fn each_file_missing() {
    for file in [IMAGES, LABELS, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"] {
        let place = Place::with_data();
        fs::remove_file(place.path("data").join(file)).unwrap();
        let words = ["data", &format!("no file {file}"), &format!("{file}.gz")];
        place.refuses("train --data data --out run", 1, &words);
    }
}

#[test]
fn a_directory_in_place_of_a_file() {
    let place = Place::with_data();
    fs::remove_file(place.path("data").join(IMAGES)).unwrap();
    fs::create_dir(place.path("data").join(IMAGES)).unwrap();
    place.refuses("train --data data --out run", 1, &[IMAGES, "not a regular file"]);
}

#[test]
fn an_empty_file() {
    refused_with(IMAGES, b"", &["the file is empty", "download or copy it again"]);
    refused_with(LABELS, b"", &["the file is empty", "download or copy it again"]);
}

#[test]
fn a_header_cut_off() {
    refused_with(IMAGES, &idx(0x0803, &[90, 8], b""), &["the header is cut off", "16 bytes expected, 12 found"]);
}

#[test]
fn data_cut_off() {
    let place = Place::with_data();
    truncate(&place.path("data").join(IMAGES), 1000);
    let words = [IMAGES, "promises 5760 bytes of data (90 × 8 × 8), the file holds 984", "copy it again"];
    place.refuses("train --data data --out run", 1, &words);
}

#[test]
fn another_magic_number() {
    refused_with(IMAGES, &idx(0x0801, &[4], &[0; 4]), &["0x00000801 (labels)", "expected 0x00000803 (images)"]);
    refused_with(LABELS, b"P5 8 8 255 ....", &["not an IDX file", "expected 0x00000801 (labels)"]);
}

#[test]
fn a_header_that_promises_too_much() {
    let some = [7; 100];
    refused_with(IMAGES, &idx(0x0803, &[91, 8, 8], &some), &["promises 5824 bytes", "holds 100"]);
    // 4 TB: refused by the size of the file, before anything is allocated.
    refused_with(IMAGES, &idx(0x0803, &[1 << 20, 1 << 11, 1 << 11], &some), &["promises 4398046511104", "holds 100"]);
    let most = u32::MAX;
    refused_with(IMAGES, &idx(0x0803, &[most, most, most], &some), &["more than any memory holds", "damaged"]);
}

#[test]
fn a_damaged_gzip_stream() {
    refused_with(LABELS, &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3], &["gzip stream is damaged", "copy it again"]);
}

#[test]
fn bytes_too_many() {
    refused_with(LABELS, &idx(0x0801, &[90], &[0; 91]), &["bytes follow the 98"]);
}

#[test]
fn no_images_and_no_pixels() {
    refused_with(IMAGES, &idx(0x0803, &[0, 8, 8], b""), &["holds no images"]);
    refused_with(IMAGES, &idx(0x0803, &[90, 0, 8], b""), &["no pixels (0×8)"]);
}

#[test]
fn images_and_labels_of_different_numbers() {
    let words = ["holds 90 images", "holds 80 labels", IMAGES, "give a matching pair"];
    refused_with(LABELS, &idx(0x0801, &[80], &[0; 80]), &words);
}

#[test]
fn training_and_test_images_of_different_sizes() {
    let place = Place::with_data();
    let file = idx(0x0803, &[30, 9, 9], &[0; 30 * 81]);
    fs::write(place.path("data/t10k-images-idx3-ubyte"), file).unwrap();
    let words = ["data", "training images are 1×8×8 but the test images 1×9×9", "files of one set"];
    place.refuses("train --data data --out run", 1, &words);
}

#[test]
fn the_full_set_is_not_installed() {
    let place = Place::new();
    fs::create_dir(place.path("empty")).unwrap();
    for directory in ["empty", "absent"] {
        for arguments in ["train --data fashion-mnist --out run", "data info fashion-mnist"] {
            let mut command = place.command(arguments);
            let output = command.env("NJET_FASHION_MNIST", place.path(directory)).output().unwrap();
            let looked = place.path(directory).display().to_string();
            let words = [looked.as_str(), "apt-get install dataset-fashion-mnist", "NJET_FASHION_MNIST"];
            command::Outcome::of(output).refused(1, &words);
        }
    }
    assert!(!place.path("run").exists());
}

#[test]
fn one_file_of_the_full_set_is_missing() {
    let place = Place::with_data();
    fs::remove_file(place.path("data").join(IMAGES)).unwrap();
    let mut command = place.command("train --data fashion-mnist --out run");
    let output = command.env("NJET_FASHION_MNIST", place.path("data")).output().unwrap();
    command::Outcome::of(output).refused(1, &["data: no file train-images-idx3-ubyte"]);
}
