//! CIFAR's binary version: how it is read, and what is said of files that are damaged. The files are made here.

use std::fs;
use std::path::{Path, PathBuf};

use njet::data::{self, DataError, Dataset, Samples};
use tempfile::TempDir;

const PIXELS: usize = 3 * 32 * 32;

/// Records of label bytes and an image of one byte throughout, the number of the record.
fn records(labels: &[&[u8]]) -> Vec<u8> {
    labels.iter().zip(0u8..).flat_map(|(head, number)| [head.to_vec(), vec![number; PIXELS]].concat()).collect()
}

/// The files of CIFAR-10 with two images each, in a directory.
fn ten(directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    for (number, name) in (0u8..).zip(["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"])
    {
        fs::write(directory.join(format!("{name}.bin")), records(&[&[number], &[9]])).unwrap();
    }
    fs::write(directory.join("test_batch.bin"), records(&[&[7]])).unwrap();
    let names: String = (0..10).map(|class| format!("class {class}\n")).collect();
    fs::write(directory.join("batches.meta.txt"), names + "\n").unwrap();
}

fn hundred(directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    fs::write(directory.join("train.bin"), records(&[&[3, 99], &[19, 0]])).unwrap();
    fs::write(directory.join("test.bin"), records(&[&[3, 42]])).unwrap();
    let names: String = (0..100).map(|class| format!("fine {class}\n")).collect();
    fs::write(directory.join("fine_label_names.txt"), names).unwrap();
}

fn load(directory: &Path) -> Result<Dataset, DataError> {
    data::load(directory.to_str().unwrap())
}

fn image(samples: &Samples, index: usize) -> Vec<u8> {
    samples.image(index).unwrap().pixels.to_vec()
}

#[test]
fn cifar_10_in_its_directory_and_in_the_one_around_it() {
    let place = TempDir::new().unwrap();
    ten(&place.path().join("cifar-10-batches-bin"));
    for directory in [place.path().to_path_buf(), place.path().join("cifar-10-batches-bin")] {
        let set = load(&directory).unwrap();
        assert_eq!(set.name, directory.display().to_string());
        assert_eq!((set.classes.len(), set.classes[9].as_str()), (10, "class 9"));
        assert_eq!(set.train.shape(), Some([3, 32, 32]));
        assert_eq!(set.train.labels(), [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]);
        assert_eq!(set.test.labels(), [7]);
        assert_eq!(image(&set.train, 3), [1; PIXELS]);
    }
}

#[test]
fn planes_are_red_green_blue() {
    let place = TempDir::new().unwrap();
    ten(place.path());
    let planes = [vec![5], vec![10; 1024], vec![20; 1024], vec![30; 1024]].concat();
    fs::write(place.path().join("test_batch.bin"), planes).unwrap();
    let set = load(place.path()).unwrap();
    let image = set.test.image(0).unwrap();
    assert_eq!([0, 1, 2].map(|channel| image.plane(channel)[1023]), [10, 20, 30]);
}

#[test]
fn cifar_100_has_the_fine_labels() {
    let place = TempDir::new().unwrap();
    hundred(&place.path().join("cifar-100-binary"));
    let set = load(place.path()).unwrap();
    assert_eq!((set.train.labels(), set.test.labels()), ([99, 0].as_slice(), [42].as_slice()));
    assert_eq!(set.classes[99], "fine 99");
    assert_eq!(image(&set.train, 1), [1; PIXELS]);
}

#[test]
fn without_names_classes_are_numbers() {
    let place = TempDir::new().unwrap();
    ten(place.path());
    fs::remove_file(place.path().join("batches.meta.txt")).unwrap();
    assert_eq!(load(place.path()).unwrap().classes, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
}

/// Loading a good set in which one file was replaced names that file and says `words`.
#[track_caller]
fn refused(make: fn(&Path), file: &str, bytes: Option<&[u8]>, words: &[&str]) {
    let place = TempDir::new().unwrap();
    make(place.path());
    let path: PathBuf = place.path().join(file);
    match bytes {
        Some(bytes) => fs::write(&path, bytes).unwrap(),
        None => fs::remove_file(&path).unwrap(),
    }
    let message = load(place.path()).unwrap_err().to_string();
    assert!(message.starts_with(&format!("{}: ", path.display())), "{message}");
    assert!(words.iter().all(|word| message.contains(word)), "{message} lacks one of {words:?}");
}

#[test]
fn damaged_files_are_named() {
    let cut = [0; 3072];
    refused(ten, "data_batch_3.bin", Some(&cut), &["3072 bytes are no whole number of records of 3073", "again"]);
    refused(ten, "test_batch.bin", Some(&[0; 2 * 3073 + 1]), &["6147 bytes"]);
    refused(ten, "data_batch_5.bin", Some(&[]), &["file is empty"]);
    refused(ten, "data_batch_2.bin", None, &["no such file"]);
    refused(ten, "test_batch.bin", None, &["no such file"]);
    refused(ten, "data_batch_4.bin", Some(&records(&[&[9], &[10]])), &["label 10 at position 1", "from 0 to 9"]);
    refused(ten, "batches.meta.txt", Some(b"one\ntwo\n"), &["2 names of classes where 10 belong"]);
    refused(hundred, "train.bin", Some(&[0; 3073]), &["records of 3074 bytes"]);
    refused(hundred, "test.bin", Some(&records(&[&[0, 100]])), &["label 100 at position 0", "100 classes"]);
    refused(hundred, "test.bin", None, &["no such file"]);
}

#[test]
fn a_directory_in_place_of_a_file() {
    let place = TempDir::new().unwrap();
    ten(place.path());
    let path = place.path().join("data_batch_2.bin");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let message = load(place.path()).unwrap_err().to_string();
    assert!(message.contains("data_batch_2.bin: not a regular file"), "{message}");
}

#[test]
fn a_directory_of_nothing_known_says_what_was_looked_for() {
    let place = TempDir::new().unwrap();
    fs::write(place.path().join("notes.txt"), "nothing").unwrap();
    let message = load(place.path()).unwrap_err().to_string();
    for word in ["train-images-idx3-ubyte", "data_batch_1.bin", "cifar-100-binary", "train/CLASS", "val/CLASS"] {
        assert!(message.contains(word), "{message} lacks {word}");
    }
}
