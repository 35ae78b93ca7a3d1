//! Folders of images and masks: every kind of mask, mixed sizes, and what is wrong with a folder, named. The files are
//! made here.

use std::fs;
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Mutex;

use image::{DynamicImage, GrayImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage};
use njet::data::DataError;
use njet::segmentation::data::{
    self, Mask, MaskFolderConfig, Scene, Scenes, SegmentationSet, load_mask_folder, read_mask,
};
use png::{BitDepth, ColorType};
use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// Two training scenes of 2×3 and 4×5 and a validation scene of 2×2, of classes 0, 1, 2; the second is coloured.
    fn usual() -> Self {
        let folder = Self::new();
        folder.image("train/images/a.png", [3, 2], [10, 20, 30, 40, 50, 60]);
        folder.write("train/masks/a.png", &grey(3, &[0, 1, 2, 255, 1, 0]));
        let coloured = RgbImage::from_fn(5, 4, |x, y| Rgb([x as u8, y as u8, 9]));
        folder.write("train/images/b.bmp", &encoded(coloured.into(), ImageFormat::Bmp));
        folder.write("train/masks/b.png", &grey(5, &[2; 20]));
        folder.image("val/images/c.png", [2, 2], [7; 4]);
        folder.write("val/masks/c.tiff", &tiff8(2, &[0, 0, 0, 1]));
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

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    /// A grey image of `[width, height]`.
    fn image<const N: usize>(&self, name: &str, [width, height]: [u32; 2], pixels: [u8; N]) {
        let picture = GrayImage::from_raw(width, height, pixels.to_vec()).unwrap();
        self.write(name, &encoded(picture.into(), ImageFormat::Png));
    }

    fn load(&self) -> Result<SegmentationSet, DataError> {
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

fn encoded(picture: DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn tiff8(width: u32, pixels: &[u8]) -> Vec<u8> {
    let picture = GrayImage::from_raw(width, pixels.len() as u32 / width, pixels.to_vec()).unwrap();
    encoded(picture.into(), ImageFormat::Tiff)
}

/// A PNG of what is stored in its rows, which are packed already.
fn png_of(colour: ColorType, depth: BitDepth, [width, height]: [u32; 2], rows: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    if colour == ColorType::Indexed {
        // All entries are one colour: whoever looks at colours sees a single class.
        encoder.set_palette(vec![200; 3 << (depth as usize)]);
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(rows).unwrap();
    drop(writer);
    bytes
}

fn grey(width: u32, pixels: &[u8]) -> Vec<u8> {
    png_of(ColorType::Grayscale, BitDepth::Eight, [width, pixels.len() as u32 / width], pixels)
}

fn grey16(width: u32, pixels: &[u16]) -> Vec<u8> {
    let rows: Vec<u8> = pixels.iter().flat_map(|v| v.to_be_bytes()).collect();
    png_of(ColorType::Grayscale, BitDepth::Sixteen, [width, pixels.len() as u32 / width], &rows)
}

/// An uncompressed TIFF of one sample a pixel, with any photometric interpretation: 1 black is 0, 3 palette.
fn raw_tiff(big_endian: bool, photometric: u16, bits: u16, [width, height]: [u32; 2], rows: &[u8]) -> Vec<u8> {
    let (two, four) = if big_endian {
        (u16::to_be_bytes as fn(u16) -> [u8; 2], u32::to_be_bytes as fn(u32) -> [u8; 4])
    } else {
        (u16::to_le_bytes as fn(u16) -> [u8; 2], u32::to_le_bytes as fn(u32) -> [u8; 4])
    };
    const SHORT: u16 = 3;
    const LONG: u16 = 4;
    let mut tags: Vec<(u16, u16, u32, u32)> = vec![
        (256, LONG, 1, width),
        (257, LONG, 1, height),
        (258, SHORT, 1, bits.into()),
        (259, SHORT, 1, 1),
        (262, SHORT, 1, photometric.into()),
        (273, LONG, 1, 0),
        (277, SHORT, 1, 1),
        (278, LONG, 1, height),
        (279, LONG, 1, rows.len() as u32),
    ];
    let colours = if photometric == 3 { 3u32 << bits } else { 0 };
    if colours > 0 {
        tags.push((320, SHORT, colours, 0));
    }
    let data = 8 + 2 + 12 * tags.len() as u32 + 4;
    let mut bytes = if big_endian { b"MM".to_vec() } else { b"II".to_vec() };
    bytes.extend(two(42));
    bytes.extend(four(8));
    bytes.extend(two(tags.len() as u16));
    for (tag, kind, count, value) in tags {
        let value = match tag {
            273 => data,
            320 => data + rows.len() as u32,
            _ => value,
        };
        bytes.extend(two(tag));
        bytes.extend(two(kind));
        bytes.extend(four(count));
        if kind == SHORT && count == 1 {
            bytes.extend(two(value as u16));
            bytes.extend(two(0));
        } else {
            bytes.extend(four(value));
        }
    }
    bytes.extend(four(0));
    bytes.extend(rows);
    bytes.extend((0..colours).flat_map(|_| two(50_000)));
    bytes
}

fn classes(bytes: &[u8]) -> Result<Mask, DataError> {
    classes_in(&Folder::new(), bytes)
}

fn classes_in(folder: &Folder, bytes: &[u8]) -> Result<Mask, DataError> {
    folder.write("mask", bytes);
    read_mask(folder.path("mask"))
}

fn scene(scenes: &Scenes, i: usize) -> Scene {
    scenes.load(i).unwrap()
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
    assert_eq!(told, [(1, 3), (2, 3), (3, 3)]);
}

#[test]
fn a_folder_of_mixed_sizes_formats_and_colours() {
    let folder = Folder::usual();
    assert!(data::is_segmentation_source(folder.0.path().to_str().unwrap()));
    let set = folder.load().unwrap();
    assert_eq!((set.classes.as_slice(), set.channels), (["0", "1", "2"].map(String::from).as_slice(), 3));
    assert_eq!([set.train.len(), set.val.len(), set.test.len()], [2, 1, 1]);
    assert_eq!([set.train.size(0), set.train.size(1)], [[2, 3], [4, 5]]);
    assert_eq!([set.train.name(0), set.train.name(1)], ["a", "b"]);
    let a = scene(&set.train, 0);
    assert_eq!(a.image, [10, 20, 30, 40, 50, 60].repeat(3), "grey among coloured ones");
    assert_eq!(a.mask, [0, 1, 2, 255, 1, 0]);
    let b = scene(&set.train, 1);
    assert_eq!((b.channels, &b.image[..10]), (3, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4].as_slice()));
    assert_eq!(scene(&set.val, 0).mask, [0, 0, 0, 1]);
    assert_eq!(scene(&set.test, 0), scene(&set.val, 0), "without test scenes they are those of val");
    assert_eq!(set.train.class_counts(3).unwrap(), [2, 2, 21]);
}

#[test]
fn names_of_classes_and_test_scenes_are_used_where_they_are() {
    let folder = Folder::usual();
    folder.write("classes.txt", "\u{feff}sky\r\nsea \r\nland\r\nship\r\n\r\n".as_bytes());
    folder.image("test/images/t.png", [1, 1], [99]);
    folder.write("test/masks/t.png", &grey(1, &[3]));
    let set = folder.load().unwrap();
    assert_eq!(set.classes, ["sky", "sea", "land", "ship"]);
    assert_eq!(scene(&set.test, 0).mask, [3], "a single pixel is a scene");
    let summary = set.summary().unwrap();
    assert_eq!((summary.train.count, summary.train.scenes.as_slice()), (2, [1, 1, 2, 0].as_slice()));
    assert_eq!(summary.train.pixels, [2.0 / 25.0, 2.0 / 25.0, 21.0 / 25.0, 0.0]);
    assert_eq!(summary.train.ignored, 1.0 / 26.0);
    assert_eq!(summary.test.sizes.unwrap().greatest, [1, 1]);
}

/// What is stored counts: not a palette's colour, and not bits spread over the range of a byte.
#[test]
fn every_kind_of_index_is_read_as_it_is_stored() {
    let size = [5, 2];
    let expect = |name: &str, bytes: &[u8], expected: [u16; 10]| match classes(bytes) {
        Ok(mask) => assert_eq!((mask.classes.as_slice(), mask.height, mask.width), (&expected[..], 2, 5), "{name}"),
        Err(error) => panic!("{name}: {error}"),
    };
    let eight = [0, 1, 2, 3, 255, 254, 7, 0, 1, 0];
    let wide = eight.map(u16::from);
    expect("grey", &grey(5, &eight), wide);
    expect("palette", &png_of(ColorType::Indexed, BitDepth::Eight, size, &eight), wide);
    expect("TIFF", &tiff8(5, &eight), wide);
    for big_endian in [false, true] {
        expect("raw TIFF", &raw_tiff(big_endian, 1, 8, size, &eight), wide);
        expect("TIFF palette", &raw_tiff(big_endian, 3, 8, size, &eight), wide);
    }
    let sixteen = [0, 1, 2, 3, 255, 65_535, 300, 0, 1, 0];
    let read = [0, 1, 2, 3, 255, 255, 300, 0, 1, 0];
    expect("grey of 16 bits", &grey16(5, &sixteen), read);
    let picture: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_raw(5, 2, sixteen.to_vec()).unwrap();
    expect("TIFF of 16 bits", &encoded(DynamicImage::ImageLuma16(picture), ImageFormat::Tiff), read);
    // Packed: the first pixel in the highest bits, each row in bytes of its own.
    let one = [1, 0, 1, 1, 0, 0, 0, 0, 1, 1];
    for colour in [ColorType::Grayscale, ColorType::Indexed] {
        expect("one bit", &png_of(colour, BitDepth::One, size, &[0b1011_0000, 0b0001_1000]), one);
        let two = [0, 1, 2, 3, 1, 3, 0, 0, 2, 1];
        let rows = [0b00_01_10_11, 0b01_000000, 0b11_00_00_10, 0b01_000000];
        expect("two bits", &png_of(colour, BitDepth::Two, size, &rows), two);
        let four = [0, 15, 2, 3, 9, 1, 0, 0, 2, 1];
        expect("four bits", &png_of(colour, BitDepth::Four, size, &[0x0f, 0x23, 0x90, 0x10, 0x02, 0x10]), four);
    }
    expect("TIFF of one bit", &raw_tiff(false, 1, 1, size, &[0b1011_0000, 0b0001_1000]), one);
}

#[test]
fn what_holds_no_indices_is_no_mask() {
    let refuse = |bytes: &[u8], words: &str| {
        let message = classes(bytes).unwrap_err().to_string();
        assert!(message.contains(words) && message.contains("mask:"), "{message} lacks {words:?}");
    };
    let rgb = || DynamicImage::from(RgbImage::from_pixel(2, 2, Rgb([1, 2, 3])));
    refuse(&encoded(rgb(), ImageFormat::Png), "colours (RGB)");
    refuse(&encoded(rgb().into_rgba8().into(), ImageFormat::Png), "transparency (RGBA)");
    refuse(&encoded(rgb().into_luma_alpha8().into(), ImageFormat::Png), "grey with transparency");
    refuse(&encoded(rgb(), ImageFormat::Tiff), "colours");
    refuse(&encoded(rgb(), ImageFormat::Jpeg), "a JPEG, which alters values");
    refuse(&encoded(rgb(), ImageFormat::Bmp), "another format than PNG and TIFF");
    refuse(b"", "the file is empty");
    refuse(b"some text", "not an image");
}

/// Cut off anywhere, or with any byte changed: an answer or a refusal, and no panic.
#[test]
fn damaged_masks_are_refused() {
    let place = Folder::new();
    for (name, bytes) in [
        ("PNG", grey(5, &[1; 20])),
        ("palette", png_of(ColorType::Indexed, BitDepth::Two, [5, 2], &[0; 4])),
        ("TIFF", raw_tiff(false, 3, 8, [5, 2], &[1; 10])),
        ("big-endian TIFF", raw_tiff(true, 1, 16, [5, 2], &[0; 20])),
    ] {
        let whole = classes(&bytes).unwrap();
        for length in 0..bytes.len() {
            if let Ok(mask) = classes_in(&place, &bytes[..length]) {
                // What is behind the pixels may be missing: the end of a PNG, the colours of a palette.
                assert_eq!(mask, whole, "{name}, {length} bytes of {}", bytes.len());
            }
        }
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x41;
            let _: Result<Mask, DataError> = classes_in(&place, &bytes);
        }
    }
    let folder = Folder::usual();
    folder.write("train/masks/a.png", &grey(3, &[0; 6])[..40]);
    folder.refused(&["train/masks/a.png: damaged"]);
    let folder = Folder::usual();
    folder.write("val/images/c.png", b"\x89PNG\r\n\x1a\nand more");
    folder.refused(&["val/images/c.png: damaged"]);
}

#[test]
fn images_and_masks_belong_together() {
    let folder = Folder::usual();
    folder.remove("train/masks/b.png");
    folder.refused(&["train/images/b.bmp: no mask of the name b in", "train/masks; add the mask"]);
    let folder = Folder::usual();
    folder.remove("val/images/c.png");
    folder.refused(&["val/masks/c.tiff: no image of the name c in", "val/images; add the image"]);
    let folder = Folder::usual();
    folder.write("train/masks/b.tiff", &tiff8(5, &[0; 20]));
    folder.refused(&["train/masks/b.png and ", "train/masks/b.tiff have one name"]);
    let folder = Folder::usual();
    folder.write("train/masks/a.png", &grey(2, &[0; 6]));
    folder.refused(&["train/masks/a.png: 3×2 pixels (height×width)", "train/images/a.png has 2×3"]);
    // Hidden files are nobody's.
    let folder = Folder::usual();
    folder.write("train/masks/.DS_Store", b"x");
    assert_eq!(folder.load().unwrap().train.len(), 2);
}

#[test]
fn classes_that_do_not_exist_are_named_with_their_place() {
    let folder = Folder::usual();
    folder.write("classes.txt", b"sky\nsea\n");
    folder.refused(&["train/masks/a.png: class 2 at row 0, column 2", "classes.txt names 2, 0 to 1", "255"]);
    let folder = Folder::usual();
    folder.write("val/masks/c.tiff", &grey16(2, &[0, 1, 65_535, 256]));
    folder.refused(&["val/masks/c.tiff: class 256 at row 1, column 1", "the greatest there can be is 254"]);
    // A class of the validation masks alone counts as well.
    let folder = Folder::usual();
    folder.write("val/masks/c.tiff", &grey(2, &[0, 6, 0, 0]));
    assert_eq!(folder.load().unwrap().classes.len(), 7);
    let folder = Folder::usual();
    folder.write("val/masks/c.tiff", &grey(2, &[254, 255, 0, 0]));
    assert_eq!(folder.load().unwrap().classes.len(), 255);
}

#[test]
fn all_background_and_all_ignored_are_masks_but_not_all_there_is() {
    let folder = Folder::usual();
    folder.write("train/masks/b.png", &grey(5, &[0; 20]));
    folder.write("val/masks/c.tiff", &grey(2, &[255; 4]));
    let set = folder.load().unwrap();
    assert_eq!((set.classes.len(), set.val.class_counts(3).unwrap()), (3, vec![0; 3]));
    assert_eq!(set.summary().unwrap().val.ignored, 1.0);

    let only = |class: u8| {
        let folder = Folder::usual();
        folder.write("train/masks/a.png", &grey(3, &[class; 6]));
        folder.write("train/masks/b.png", &grey(5, &[class; 20]));
        folder.write("val/masks/c.tiff", &grey(2, &[class; 4]));
        folder
    };
    only(0).refused(&["the masks hold class 0 alone", "at least two classes", "no classes.txt"]);
    only(255).refused(&["there is no class in the masks", "255 marks pixels to ignore"]);
    // With names it is known that there are more.
    let folder = only(0);
    folder.write("classes.txt", b"a\nb\n");
    assert_eq!(folder.load().unwrap().classes, ["a", "b"]);
}

#[test]
fn a_folder_that_is_none_says_what_is_missing() {
    let folder = Folder::new();
    folder.refused(&["no directory train/images", "val/masks"]);
    let folder = Folder::usual();
    fs::remove_dir_all(folder.path("val")).unwrap();
    folder.refused(&["no directory val/images"]);
    let folder = Folder::usual();
    fs::remove_dir_all(folder.path("train")).unwrap();
    fs::create_dir_all(folder.path("train/images")).unwrap();
    folder.refused(&["no directory train/masks"]);
    fs::create_dir_all(folder.path("train/masks")).unwrap();
    folder.refused(&["train/images: no images", "train/masks"]);
    let message = data::load("no such thing").unwrap_err().to_string();
    assert!(message.contains("\"no such thing\"") && message.contains("scenes"), "{message}");
}

#[test]
fn a_file_of_class_names_that_cannot_be() {
    let many: String = (0..256).map(|class| format!("class {class}\n")).collect();
    for (text, words) in [
        (b"sky\n\nsea\n".as_slice(), "line 2 is empty"),
        (b"sky\nsea\nsky\n", "lines 1 and 3 are both \"sky\""),
        (b"sky\nse\xff\n", "not UTF-8"),
        (many.as_bytes(), "256 lines are more than the 255 classes"),
        (b"sky\n", "at least two classes"),
        (b"\n", "at least two classes"),
    ] {
        let folder = Folder::usual();
        folder.write("classes.txt", text);
        folder.refused(&[words]);
    }
}

/// Without memory for it a scene is read each time; a file that has changed by then is noticed.
#[test]
fn files_are_read_again_where_they_are_not_kept() {
    let folder = Folder::usual();
    let config = MaskFolderConfig { held_bytes: 0, ..MaskFolderConfig::default() };
    let (kept, read) = (folder.load().unwrap(), load_mask_folder(folder.0.path(), &config).unwrap());
    for i in 0..2 {
        assert_eq!(scene(&kept.train, i), scene(&read.train, i));
    }
    folder.write("train/masks/a.png", &grey(3, &[0; 6]));
    assert_eq!(scene(&kept.train, 0).mask, [0, 1, 2, 255, 1, 0]);
    let message = read.train.load(0).unwrap_err().to_string();
    assert!(message.contains("train/masks/a.png: ") && message.contains("another one"), "{message}");
    folder.remove("train/images/b.bmp");
    let message = read.train.load(1).unwrap_err().to_string();
    assert!(message.contains("train/images/b.bmp: cannot be read"), "{message}");
    let config = MaskFolderConfig { most_pixels: 19, ..MaskFolderConfig::default() };
    let message = load_mask_folder(Folder::usual().0.path(), &config).unwrap_err().to_string();
    assert!(message.contains("b.bmp: 4×5 pixels are more than the 19"), "{message}");
}
