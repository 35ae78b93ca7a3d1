//! Folders of images: classes, parts, mixed sizes, and files that cannot be used. The files are made here.

use std::fs;
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Mutex;

use image::codecs::gif::GifEncoder;
use image::{DynamicImage, Frame, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use njet::data::{self, DataError, Dataset, Extents, FolderConfig, ImageFiles, Normalisation, Samples};
use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// Two classes: `dark` with images of 4×6 and 10×8, `light` with one of 4×6; a test image of each.
    fn usual() -> Self {
        let folder = Self::new();
        folder.png("train/dark/b.png", [8, 10], [10, 0, 0]);
        folder.png("train/dark/a.png", [6, 4], [20, 0, 0]);
        folder.png("train/light/a.jpeg", [6, 4], [250; 3]);
        folder.png("test/light/one", [7, 5], [240; 3]);
        folder.png("test/dark/two", [6, 4], [0, 0, 9]);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// An image of `[width, height]` in one colour.
    fn png(&self, name: &str, [width, height]: [u32; 2], colour: [u8; 3]) {
        let mut bytes = Cursor::new(Vec::new());
        let picture = DynamicImage::from(RgbImage::from_pixel(width, height, Rgb(colour)));
        picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
        self.write(name, &bytes.into_inner());
    }

    fn load(&self) -> Result<Dataset, DataError> {
        data::load(self.0.path().to_str().unwrap())
    }

    /// The message of a folder that is refused.
    #[track_caller]
    fn refused(&self, words: &[&str]) {
        let message = self.load().unwrap_err().to_string();
        let root = self.0.path().display().to_string();
        assert!(
            message.contains(&root) && words.iter().all(|word| message.contains(word)),
            "{message} lacks {words:?}"
        );
    }
}

fn files(samples: &Samples) -> &ImageFiles {
    match samples {
        Samples::Files(files) => files,
        Samples::Memory(_) => panic!("files"),
    }
}

fn names(samples: &Samples) -> Vec<String> {
    let file = |i| files(samples).path(i).file_name().unwrap().to_str().unwrap().to_owned();
    (0..samples.len()).map(file).collect()
}

/// As they are decoded, files of all parts are counted together.
#[test]
fn whoever_watches_is_told_of_every_file() {
    let folder = Folder::usual();
    let told = Mutex::new(Vec::new());
    let watch = |done, all| told.lock().unwrap().push((done, all));
    data::load_watched(folder.0.path().to_str().unwrap(), &watch).unwrap();
    let mut told = told.into_inner().unwrap();
    told.sort_unstable();
    assert_eq!(told, [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]);
}

#[test]
fn classes_are_directories_and_files_are_images() {
    let folder = Folder::usual();
    let set = folder.load().unwrap();
    assert_eq!(set.classes, ["dark", "light"]);
    assert_eq!((set.train.labels(), set.test.labels()), ([0, 0, 1].as_slice(), [0, 1].as_slice()));
    assert_eq!(names(&set.train), ["a.png", "b.png", "a.jpeg"]);
    assert_eq!((set.train.size(0), set.train.size(1)), ([4, 6], [10, 8]));
    assert_eq!(set.train.shape(), None);
    assert_eq!(set.train.extents(), Some(Extents { least: [4, 6], median: [4, 6], greatest: [10, 8] }));
    let image = set.train.image(1).unwrap();
    assert_eq!((image.plane(0)[79], image.plane(1)[79]), (10, 0));
    // Grey among coloured ones.
    assert_eq!((set.train.channels(), set.train.image(2).unwrap().channels), (3, 1));
}

#[test]
fn images_of_one_size_have_a_shape() {
    let folder = Folder::new();
    for class in ["a", "b"] {
        folder.png(&format!("train/{class}/x"), [6, 4], [9; 3]);
        folder.png(&format!("test/{class}/x"), [6, 4], [9; 3]);
    }
    let set = folder.load().unwrap();
    assert_eq!((set.train.shape(), set.test.shape()), (Some([1, 4, 6]), Some([1, 4, 6])));
    assert_eq!(set.summary().shape, Some([1, 4, 6]));
}

/// One coloured image among the test images: the model needs three channels, and so has a set made of these.
#[test]
fn colours_of_either_part_count() {
    let folder = Folder::new();
    folder.png("train/a/x", [2, 2], [9; 3]);
    folder.png("test/a/x", [2, 2], [90, 0, 0]);
    let set = folder.load().unwrap();
    assert_eq!((set.train.channels(), set.channels(), set.summary().channels), (1, 3, 3));
    let made = data::MultiSize::new("x").generate(&set).unwrap();
    assert_eq!((made.train.shape(), made.test.shape()), (Some([3, 8, 8]), Some([3, 8, 8])));
}

#[test]
fn each_image_counts_the_same_in_the_normalisation() {
    let folder = Folder::new();
    folder.png("train/a/small", [1, 1], [0; 3]);
    folder.png("train/a/large", [50, 40], [255; 3]);
    folder.png("test/a/x", [1, 1], [0; 3]);
    let Normalisation { mean, std } = Normalisation::of(&folder.load().unwrap().train);
    assert!((mean - 0.5).abs() < 1e-6 && (std - 0.5).abs() < 1e-6, "{mean} {std}");
}

#[test]
fn files_that_cannot_be_used_are_skipped_and_named() {
    let folder = Folder::usual();
    folder.write("train/dark/empty.png", b"");
    folder.write("train/dark/notes.txt", b"these are dark");
    folder.write("train/light/damaged.png", b"\x89PNG\r\n\x1a\n1234");
    folder.write("train/light/deeper/x.png", b"");
    folder.write("test/light/empty", b"");
    folder.write("train/light/.DS_Store", b"passed over");
    folder.write("train/.cache/x", b"passed over");
    folder.write("train/README", b"no directory");
    let set = folder.load().unwrap();
    assert_eq!((set.train.len(), set.test.len()), (3, 2));
    let found: Vec<(String, String)> = files(&set.train)
        .skipped()
        .iter()
        .map(|file| {
            (file.path.strip_prefix(folder.path("train")).unwrap().display().to_string(), file.reason.to_string())
        })
        .collect();
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["dark/empty.png", "dark/notes.txt", "light/damaged.png", "light/deeper"]);
    for ((_, reason), wanted) in found.iter().zip(["is empty", "not an image", "damaged", "not a regular file"]) {
        assert!(reason.contains(wanted), "{reason}");
    }
    let summary = set.summary();
    assert_eq!((summary.train.skipped.len(), summary.test.skipped.len()), (4, 1));
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["train"]["skipped"][0]["reason"], "the file is empty");
}

#[test]
fn animations_are_counted() {
    let folder = Folder::usual();
    let mut bytes = Vec::new();
    let frame = |v| Frame::new(RgbaImage::from_pixel(4, 4, Rgba([v, 0, 0, 255])));
    GifEncoder::new(&mut bytes).encode_frames([frame(80), frame(160)]).unwrap();
    folder.write("train/dark/c.gif", &bytes);
    let set = folder.load().unwrap();
    assert_eq!(set.summary().train.animated, 1);
    assert_eq!(set.train.image(2).unwrap().plane(0)[0], 80);
}

#[test]
fn val_stands_in_for_test() {
    let folder = Folder::usual();
    fs::rename(folder.path("test"), folder.path("val")).unwrap();
    assert_eq!(names(&folder.load().unwrap().test), ["two", "one"]);
    folder.png("test/dark/three", [2, 2], [1; 3]);
    assert_eq!(names(&folder.load().unwrap().test), ["three"]);
}

#[test]
fn train_alone_is_split() {
    let folder = Folder::new();
    for class in ["a", "b"] {
        (0..10).for_each(|i| folder.png(&format!("train/{class}/{i}"), [i + 1, 3], [9; 3]));
    }
    folder.write("train/a/empty", b"");
    let set = folder.load().unwrap();
    assert_eq!((set.train.len(), set.test.len(), files(&set.train).skipped().len()), (16, 4, 1));
    assert_eq!(set.test.labels(), [0, 0, 1, 1]);
    let mut all: Vec<PathBuf> = [&set.train, &set.test]
        .into_iter()
        .flat_map(|part| (0..part.len()).map(|i| files(part).path(i).to_path_buf()))
        .collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 20);
    assert_eq!(folder.load().unwrap(), set, "the same split each time");
    let other = FolderConfig { seed: 1, ..FolderConfig::default() };
    assert_ne!(names(&data::load_image_folder(folder.0.path(), &other).unwrap().test), names(&set.test));
}

#[test]
fn images_beyond_the_memory_are_decoded_again() {
    let folder = Folder::usual();
    let load = |held_bytes| {
        let config = FolderConfig { held_bytes, ..FolderConfig::default() };
        data::load_image_folder(folder.0.path(), &config).unwrap()
    };
    let (held, not_held, some) = (load(1 << 20), load(0), load(100));
    assert_eq!(not_held.train.bytes(), 3, "labels alone");
    assert!((3..held.train.bytes()).contains(&some.train.bytes()));
    for i in 0..3 {
        assert_eq!(held.train.image(i).unwrap(), not_held.train.image(i).unwrap());
    }
    folder.png("train/dark/a.png", [6, 5], [20, 0, 0]);
    let message = not_held.train.image(0).unwrap_err().to_string();
    assert!(message.contains("a.png: the image is another one"), "{message}");
    fs::remove_file(folder.path("train/dark/a.png")).unwrap();
    let message = not_held.train.image(0).unwrap_err().to_string();
    assert!(message.contains("a.png: cannot be read"), "{message}");
    assert!(held.train.image(0).is_ok());
}

#[test]
fn images_of_too_many_pixels_are_skipped() {
    let folder = Folder::usual();
    let config = FolderConfig { most_pixels: 70, ..FolderConfig::default() };
    let set = data::load_image_folder(folder.0.path(), &config).unwrap();
    assert_eq!(set.train.len(), 2);
    assert_eq!(files(&set.train).skipped()[0].reason.to_string(), "10×8 pixels are more than the 70 that are decoded");
}

#[test]
fn folders_that_make_no_sense_are_named() {
    let folder = Folder::new();
    fs::create_dir(folder.path("train")).unwrap();
    folder.refused(&["train: no directory in it", "images of each class"]);
    folder.write("train/empty/file", b"");
    folder.refused(&["empty: no image that can be used, 1 skipped", "file: the file is empty"]);
    let folder = Folder::usual();
    folder.png("test/purple/x", [2, 2], [9; 3]);
    folder.refused(&["purple: no class of this name in", "rename or remove"]);
    let folder = Folder::usual();
    fs::remove_dir_all(folder.path("test")).unwrap();
    fs::create_dir(folder.path("test")).unwrap();
    folder.refused(&["test: no image that can be used, 0 skipped"]);
    let folder = Folder::new();
    (0..257).for_each(|class| folder.write(&format!("train/{class}/x"), b""));
    folder.refused(&["257 classes, at most 256"]);
}
