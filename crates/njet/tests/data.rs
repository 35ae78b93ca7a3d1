//! The data module from outside: every kind of bad file with its message, and the sets that have names.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use njet::data::{self, DataError};
use tempfile::TempDir;

/// An IDX file: header of big-endian words, then the data.
fn idx(words: &[u32], data: &[u8]) -> Vec<u8> {
    let mut file: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    file.extend_from_slice(data);
    file
}

/// `count` images of 2×3 pixels.
fn images(count: u32) -> Vec<u8> {
    let pixels: Vec<u8> = (0..count * 6).map(|i| i as u8).collect();
    idx(&[0x0803, count, 2, 3], &pixels)
}

fn labels(labels: &[u8]) -> Vec<u8> {
    idx(&[0x0801, labels.len() as u32], labels)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn source(&self) -> &str {
        self.path().to_str().unwrap()
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// A directory with a good set of 3 training and 2 test images, labels 0 … 2.
    fn with_set() -> Self {
        let folder = Self::new();
        folder.write("train-images-idx3-ubyte", images(3));
        folder.write("train-labels-idx1-ubyte", labels(&[0, 2, 1]));
        folder.write("t10k-images-idx3-ubyte", images(2));
        folder.write("t10k-labels-idx1-ubyte", labels(&[1, 0]));
        folder
    }
}

/// Asserts that the message names the path and contains all the texts, on one line.
#[track_caller]
fn assert_message(error: &DataError, path: &Path, texts: &[&str]) {
    let message = error.to_string();
    assert!(message.contains(&path.display().to_string()), "{message}\ndoes not name {}", path.display());
    for text in texts {
        assert!(message.contains(text), "{message}\ndoes not contain: {text}");
    }
    assert!(!message.contains('\n') && !message.contains("  "), "{message}");
}

/// Writes `bytes` to a file, reads it as images and checks the message.
#[track_caller]
fn assert_images_refused(bytes: &[u8], texts: &[&str]) -> DataError {
    let folder = Folder::new();
    let path = folder.write("some-file", bytes);
    let error = data::read_idx_images(&path).unwrap_err();
    assert_message(&error, &path, texts);
    error
}

#[test]
fn good_files_are_read_plain_and_gzipped_whatever_their_names() {
    let folder = Folder::new();
    for (name, bytes) in [("plain.gz", images(3)), ("packed", gzip(&images(3)))] {
        let read = data::read_idx_images(folder.write(name, &bytes)).unwrap();
        assert_eq!((read.count, read.height, read.width), (3, 2, 3));
        assert_eq!(read.pixels, (0..18).collect::<Vec<u8>>());
        assert_eq!(data::parse_idx_images(name, &bytes).unwrap(), read);
    }
    for (name, bytes) in [("plain.gz", labels(&[7, 9])), ("packed", gzip(&labels(&[7, 9])))] {
        assert_eq!(data::read_idx_labels(folder.write(name, &bytes)).unwrap(), [7, 9]);
        assert_eq!(data::parse_idx_labels(name, &bytes).unwrap(), [7, 9]);
    }
}

#[test]
fn a_gzip_file_of_several_members_is_read() {
    let file = images(3);
    let packed = [gzip(&file[..20]), gzip(&file[20..])].concat();
    assert_eq!(data::parse_idx_images("members", &packed).unwrap().count, 3);
}

#[test]
fn data_of_several_pieces_are_read() {
    // more than two mebibytes, and not a whole number of them
    let pixels: Vec<u8> = (0..2500 * 900u32).map(|i| (i % 251) as u8).collect();
    let file = idx(&[0x0803, 2500, 30, 30], &pixels);
    assert_eq!(data::parse_idx_images("plain", &file).unwrap().pixels, pixels);
    assert_eq!(data::parse_idx_images("packed", &gzip(&file)).unwrap().pixels, pixels);
}

#[test]
fn missing_file() {
    let folder = Folder::new();
    let path = folder.path().join("absent");
    assert_message(&data::read_idx_images(&path).unwrap_err(), &path, &["no such file", "check the path"]);
    assert_message(&data::read_idx_labels(&path).unwrap_err(), &path, &["no such file"]);
}

#[test]
fn directory_instead_of_a_file() {
    let folder = Folder::new();
    let error = data::read_idx_images(folder.path()).unwrap_err();
    assert_message(&error, folder.path(), &["not a regular file"]);
}

#[test]
fn empty_file() {
    assert_images_refused(&[], &["file is empty", "again"]);
    assert_images_refused(&gzip(&[]), &["file is empty"]);
}

#[test]
fn truncated_header() {
    let file = images(3);
    assert_images_refused(&file[..1], &["header is cut off", "4 bytes expected, 1 found"]);
    assert_images_refused(&file[..15], &["header is cut off", "16 bytes expected, 15 found"]);
    assert_images_refused(&gzip(&file[..7]), &["header is cut off", "16 bytes expected, 7 found"]);
}

#[test]
fn truncated_data() {
    let file = images(3);
    let texts = ["data are cut off", "18 bytes of data (3 × 2 × 3)", "the file holds 17"];
    assert_images_refused(&file[..file.len() - 1], &texts);
    assert_images_refused(&gzip(&file[..file.len() - 1]), &texts);
    assert_images_refused(&file[..16], &["18 bytes of data", "the file holds 0"]);
}

#[test]
fn wrong_magic() {
    let texts = ["0x00000801 (labels)", "expected 0x00000803 (images)", "give the file of images"];
    assert_images_refused(&labels(&[1, 2, 3]), &texts);
    assert_images_refused(&gzip(&labels(&[1, 2, 3])), &texts);
    assert_images_refused(b"\x89PNG\r\n\x1a\n", &["0x89504e47 (not an IDX file)"]);
    assert_images_refused(&idx(&[0x0d03, 1, 1, 1], &[0; 4]), &["0x00000d03 (IDX data other than unsigned bytes)"]);
    assert_images_refused(&idx(&[0x0804, 1, 1, 1, 1], &[0]), &["another number of dimensions"]);

    let folder = Folder::new();
    let path = folder.write("train-labels", images(1));
    let texts = ["0x00000803 (images)", "expected 0x00000801 (labels)", "give the file of labels"];
    assert_message(&data::read_idx_labels(&path).unwrap_err(), &path, &texts);
}

#[test]
fn header_that_promises_more_than_the_file_holds() {
    let file = idx(&[0x0803, 60_000, 28, 28], &[0; 784]);
    assert_images_refused(&file, &["47040000 bytes of data (60000 × 28 × 28)", "the file holds 784"]);
    // 60 GB promised: refused at once, nothing is allocated
    let file = idx(&[0x0803, 60_000, 1000, 1000], &[0; 784]);
    assert_images_refused(&file, &["60000000000 bytes", "the file holds 784"]);
    let texts = ["60000 × 1000 × 1000 bytes", "more than a gzipped file of"];
    assert_images_refused(&gzip(&file), &texts);
}

#[test]
fn header_that_promises_more_than_memory_could_hold() {
    let texts = ["4294967295 × 4294967295 × 4294967295 bytes", "more than any memory holds"];
    let file = idx(&[0x0803, u32::MAX, u32::MAX, u32::MAX], &[0; 100]);
    assert!(matches!(assert_images_refused(&file, &texts), DataError::TooLarge { .. }));
    assert_images_refused(&gzip(&file), &texts);
    // the product is 2⁶⁴, which wraps to 0
    let file = idx(&[0x0803, 1 << 31, 1 << 31, 4], &[]);
    assert_images_refused(&file, &["more than any memory holds"]);
    // and 2⁶³, one more than an allocation may have
    let file = idx(&[0x0803, 1 << 31, 1 << 31, 2], &[]);
    assert_images_refused(&file, &["more than any memory holds"]);
}

#[test]
fn trailing_bytes() {
    let file = [images(3), vec![0]].concat();
    assert_images_refused(&file, &["bytes follow the 34 that the header accounts for"]);
    assert_images_refused(&gzip(&file), &["bytes follow the 34"]);
}

#[test]
fn corrupt_gzip_stream() {
    let good = gzip(&images(30));
    let texts = ["gzip stream is damaged", "again"];
    // cut anywhere: in the header, in the data, in the sum at the end
    for cut in [2, 9, 12, good.len() / 2, good.len() - 8, good.len() - 1] {
        assert_images_refused(&good[..cut], &texts);
    }
    // a wrong sum, a wrong length, a wrong method, garbage after the end
    for (at, bit) in [(good.len() - 8, 1), (good.len() - 1, 1), (2, 1)] {
        let mut bad = good.clone();
        bad[at] ^= bit;
        assert_images_refused(&bad, &texts);
    }
    assert_images_refused(&[good.clone(), b"garbage".to_vec()].concat(), &texts);
    // any single byte inverted is refused with a message or makes no difference (name and time of the gzip header)
    let expected = data::parse_idx_images("good", &good).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0xff;
        match data::parse_idx_images("flipped", &bad) {
            Ok(read) => assert_eq!(read, expected, "byte {at}"),
            Err(error) => assert_message(&error, Path::new("flipped"), &[]),
        }
    }
}

#[test]
fn gzip_bomb_is_unpacked_only_as_far_as_promised() {
    // 300 MB of zeros in 300 kB behind a header that promises 18 bytes
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&idx(&[0x0803, 3, 2, 3], &[])).unwrap();
    let zeros = vec![0; 1 << 20];
    (0..300).for_each(|_| encoder.write_all(&zeros).unwrap());
    let bomb = encoder.finish().unwrap();
    let error = assert_images_refused(&bomb, &["bytes follow the 34"]);
    assert!(matches!(error, DataError::TrailingBytes { expected: 34, .. }));
}

#[test]
fn zero_images() {
    assert_images_refused(&idx(&[0x0803, 0, 28, 28], &[]), &["holds no images", "header says 0"]);
    let folder = Folder::new();
    let path = folder.write("labels", labels(&[]));
    assert_message(&data::read_idx_labels(&path).unwrap_err(), &path, &["holds no labels"]);
}

#[test]
fn zero_sized_images() {
    assert_images_refused(&idx(&[0x0803, 5, 0, 28], &[]), &["no pixels (0×28)", "at least 1×1"]);
    assert_images_refused(&idx(&[0x0803, 5, 28, 0], &[]), &["no pixels (28×0)"]);
}

#[test]
fn count_mismatch_names_both_files_and_both_counts() {
    let folder = Folder::new();
    let image_path = folder.write("the-images", images(3));
    let label_path = folder.write("the-labels", labels(&[0, 1]));
    let error = data::read_idx_set(&image_path, &label_path).unwrap_err();
    assert_message(&error, &image_path, &["3 images", "2 labels"]);
    assert_message(&error, &label_path, &["matching pair"]);
}

#[test]
fn label_out_of_range() {
    let folder = Folder::with_set();
    let error = data::load_idx_directory(folder.path(), Some(&["a", "b"])).unwrap_err();
    let path = folder.path().join("train-labels-idx1-ubyte");
    assert_message(&error, &path, &["label 2 at position 1", "2 classes", "from 0 to 1"]);
}

#[test]
fn a_directory_of_idx_files_is_a_source() {
    let folder = Folder::with_set();
    let set = data::load(folder.source()).unwrap();
    assert_eq!(set.name, folder.source());
    assert_eq!(set.classes, ["0", "1", "2"]);
    assert_eq!((set.train.len(), set.test.len()), (3, 2));
    assert_eq!(set.train.shape(), Some([1, 2, 3]));
    assert_eq!(*set.train.image(1).unwrap().pixels, [6, 7, 8, 9, 10, 11]);
    assert_eq!(set.train.labels(), [0, 2, 1]);
}

#[test]
fn a_directory_may_mix_the_names_in_use() {
    let folder = Folder::new();
    folder.write("train-images-idx3-ubyte.gz", gzip(&images(3)));
    folder.write("train-labels.idx1-ubyte", labels(&[0, 2, 1]));
    folder.write("t10k-images.idx3-ubyte.gz", gzip(&images(2)));
    folder.write("t10k-labels-idx1-ubyte", labels(&[1, 3]));
    assert_eq!(data::load(folder.source()).unwrap().classes, ["0", "1", "2", "3"]);
}

#[test]
fn a_directory_without_one_of_the_files() {
    let folder = Folder::with_set();
    fs::remove_file(folder.path().join("t10k-labels-idx1-ubyte")).unwrap();
    let error = data::load(folder.source()).unwrap_err();
    let texts = ["no file t10k-labels-idx1-ubyte", "t10k-labels-idx1-ubyte.gz", "t10k-labels.idx1-ubyte"];
    assert_message(&error, folder.path(), &texts);
}

#[test]
fn training_and_test_images_of_different_sizes() {
    let folder = Folder::with_set();
    folder.write("t10k-images-idx3-ubyte", idx(&[0x0803, 2, 3, 2], &[0; 12]));
    let error = data::load(folder.source()).unwrap_err();
    assert_message(&error, folder.path(), &["1×2×3", "1×3×2", "different sets"]);
}

#[test]
fn a_broken_file_in_a_directory_is_named() {
    let folder = Folder::with_set();
    let path = folder.write("t10k-images-idx3-ubyte", []);
    assert_message(&data::load(folder.source()).unwrap_err(), &path, &["empty"]);
}

#[test]
fn unknown_source_lists_what_is_known() {
    for name in ["mnist", "no/such/directory", ""] {
        let error = data::load(name).unwrap_err();
        let texts = ["fashion-mnist-subset, fashion-mnist", "a directory that holds the four IDX files", "MNIST"];
        assert_message(&error, Path::new(name), &texts);
    }
}

#[test]
fn embedded_set_has_equal_classes() {
    let set = data::load(data::DEFAULT_SOURCE).unwrap();
    assert_eq!(set.name, "fashion-mnist-subset");
    assert_eq!(set.classes, data::FASHION_MNIST_CLASSES);
    let summary = set.summary();
    assert_eq!(summary.shape, Some([1, 28, 28]));
    assert_eq!((summary.train.count, summary.test.count), (12_000, 2_000));
    assert_eq!(summary.train.per_class, [1_200; 10]);
    assert_eq!(summary.test.per_class, [200; 10]);
    assert_eq!(summary.bytes, 14_000 * 785);
    // the full set's are 0.2860 and 0.3530
    for part in [&summary.train, &summary.test] {
        assert!((part.mean - 0.286).abs() < 0.01 && (part.std - 0.353).abs() < 0.01, "{part:?}");
    }
    // shuffled: no class fills the beginning
    assert!((0..10).all(|class| set.train.labels()[..200].contains(&class)));
}

#[test]
fn full_set_where_it_is_installed() {
    let sources = data::sources();
    let full = sources.iter().find(|source| source.name == "fashion-mnist").unwrap();
    if !full.available {
        println!("skipped: no Fashion-MNIST in {}: {}", full.location, full.advice.as_deref().unwrap_or_default());
        return;
    }
    let set = data::load("fashion-mnist").unwrap();
    assert_eq!(set.name, "fashion-mnist");
    let summary = set.summary();
    assert_eq!(summary.shape, Some([1, 28, 28]));
    assert_eq!(summary.train.per_class, [6_000; 10]);
    assert_eq!(summary.test.per_class, [1_000; 10]);
    // as published
    assert!((summary.train.mean - 0.2860).abs() < 5e-5 && (summary.train.std - 0.3530).abs() < 5e-5, "{summary:?}");
}

/// Not a test of its own: the child of the tests below, which give it an environment.
#[test]
fn child_prints_the_full_set() {
    if std::env::var_os("NJET_TEST_CHILD").is_some() {
        match data::load("fashion-mnist") {
            Ok(set) => println!("loaded {} images, classes {}", set.train.len(), set.classes.join(",")),
            Err(error) => println!("refused: {error}"),
        }
        println!("{:?}", data::sources()[1]);
    }
}

fn full_set_from(directory: &Path) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_prints_the_full_set", "--nocapture"])
        .env("NJET_TEST_CHILD", "1")
        .env(data::FASHION_MNIST_VARIABLE, directory)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_variable_names_the_directory_of_the_full_set() {
    let folder = Folder::with_set();
    let output = full_set_from(folder.path());
    assert!(output.contains("loaded 3 images, classes T-shirt/top,Trouser"), "{output}");
    assert!(output.contains("available: true"), "{output}");
    folder.write("train-labels-idx1-ubyte", labels(&[0, 10, 1]));
    let output = full_set_from(folder.path());
    assert!(output.contains("train-labels-idx1-ubyte: label 10 at position 1"), "{output}");
}

#[test]
fn full_set_that_is_not_installed() {
    let folder = Folder::new();
    let absent = folder.path().join("absent");
    let output = full_set_from(&absent);
    assert!(output.contains(&format!("looked in {}", absent.display())), "{output}");
    assert!(output.contains("apt-get install dataset-fashion-mnist"), "{output}");
    assert!(output.contains("NJET_FASHION_MNIST"), "{output}");
    assert!(output.contains("available: false"), "{output}");
}
