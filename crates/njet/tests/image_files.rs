//! Single image files: every format and kind of pixel, and everything that can be wrong with one. The files are made here.

use std::fs;
use std::io::Cursor;
use std::path::PathBuf;

use flate2::Crc;
use image::codecs::gif::GifEncoder;
use image::{DynamicImage, Frame, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, RgbImage, Rgba, RgbaImage};
use njet::data::{self, Image};
use tempfile::TempDir;

/// 8×8 pixels of red 200, green 60, blue 30 in CMYK, as Adobe writes it (inverted), from Pillow.
const CMYK_JPEG: &str = "\
ffd8ffee000e41646f626500640000000000ffdb004300080606070605080707070909080a0c140d0c0b0b0c1912130f141d1a1f1e1d1a1c1c20242e\
2720222c231c1c2837292c30313434341f27393d38323c2e333432ffc000140800080008044311004d11005911004b1100ffc4001400010000000000\
0000000000000000000007ffc40014100100000000000000000000000000000000ffda000e0443004d0059004b00003f00481d874fefffd9";

/// 16 columns and 8 rows, the left half black and the right one white, to be turned by a quarter clockwise, from Pillow.
const TURNED_JPEG: &str = "\
ffd8ffe000104a46494600010100000100010000ffe100224578696600004d4d002a0000000800010112000300000001000600000000\
0000ffdb0043000302020302020303030304030304050805050404050a070706080c0a0c0c0b0a0b0b0d0e12100d0e110e0b0b1016101113141515150c0f17\
1816141812141514ffc0000b080008001001011100ffc400150001010000000000000000000000000000090affc4001410010000000000000000000000\
0000000000ffda0008010100003f002a9550ffd9";

/// 4×4 pixels, a red frame and a blue one, from Pillow.
const ANIMATED_WEBP: &str = "\
524946468400000057454250565038580a00000002000000030000030000414e494d06000000000000000000414e4d46280000000000000000000300000300\
00000000025650384c0f0000002f03c000000710fd8ffe0722a2ff0100414e4d4628000000000000000000030000030000000000005650384c0f0000002f03\
c000000710d1fffe0722a2ff0100";

/// 4×4 pixels, a red frame and a blue one, from Pillow.
const ANIMATED_PNG: &str = "\
89504e470d0a1a0a0000000d494844520000000400000004080200000026930929000000086163544c0000000200000000f38d93700000001a6663\
544c00000000000000040000000400000000000000000000000100006647c5b00000001049444154789c63fccf80004c0c44710033d101073a843e\
b80000001a6663544c0000000100000004000000040000000000000000000000010000fd342f64000000186664415400000002789c636460f8cf00\
034c0c480037070031d3010786b1e2cc0000000049454e44ae426082";

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

fn encoded(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// 5 rows of 6 columns in which every sample is another.
fn ramp() -> RgbImage {
    RgbImage::from_fn(6, 5, |x, y| Rgb([(x * 40) as u8, (y * 50 + 3) as u8, (200 - x * 5 - y * 30) as u8]))
}

/// The bytes in a file of a misleading name.
struct Written(TempDir);

impl Written {
    fn new(bytes: &[u8]) -> Self {
        let place = TempDir::new().unwrap();
        fs::write(place.path().join("picture.txt"), bytes).unwrap();
        Self(place)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("picture.txt")
    }
}

fn read(bytes: &[u8]) -> Image<'static> {
    data::read_image(Written::new(bytes).path()).unwrap()
}

/// The message, which names the file.
#[track_caller]
fn refused(bytes: &[u8], words: &str) {
    let file = Written::new(bytes);
    let message = data::read_image(file.path()).unwrap_err().to_string();
    assert!(message.starts_with(&format!("{}: ", file.path().display())), "{message}");
    assert!(message.contains(words), "{message} lacks {words:?}");
}

#[test]
fn formats_are_told_by_their_content() {
    use ImageFormat::{Bmp, Jpeg, Png, Tiff, WebP};
    let expected: Vec<u8> =
        (0..3).flat_map(|channel| ramp().pixels().map(move |p| p.0[channel]).collect::<Vec<_>>()).collect();
    for format in [Png, Bmp, Tiff, WebP] {
        let image = read(&encoded(ramp(), format));
        assert_eq!((image.channels, image.height, image.width), (3, 5, 6), "{format:?}");
        assert_eq!(*image.pixels, expected, "{format:?}");
    }
    // A palette, and a cosine transform: near enough for one colour throughout.
    let plain = RgbImage::from_pixel(6, 5, Rgb([200, 60, 30]));
    for format in [ImageFormat::Gif, Jpeg] {
        let image = read(&encoded(plain.clone(), format));
        assert_eq!((image.channels, image.height, image.width), (3, 5, 6), "{format:?}");
        near(&image, [200, 60, 30], 3);
    }
}

/// Every pixel is this colour, to within `by`.
#[track_caller]
fn near(image: &Image<'_>, colour: [u8; 3], by: u8) {
    for (channel, wanted) in colour.into_iter().enumerate() {
        assert!(image.plane(channel).iter().all(|v| v.abs_diff(wanted) <= by), "{channel}: {:?}", image.plane(channel));
    }
}

#[test]
fn grey_has_one_channel_in_whatever_form() {
    let grey = ImageBuffer::from_fn(3, 2, |x, y| Luma([(x + y * 3) as u8 * 50]));
    let colour = RgbImage::from_fn(3, 2, |x, y| Rgb([(x + y * 3) as u8 * 50; 3]));
    for bytes in [encoded(grey, ImageFormat::Png), encoded(colour, ImageFormat::Png)] {
        let image = read(&bytes);
        assert_eq!((image.channels, &*image.pixels), (1, [0, 50, 100, 150, 200, 250].as_slice()));
        assert_eq!(image.plane(2), image.plane(0), "a grey image has the same in each channel");
    }
}

#[test]
fn sixteen_bits_are_rounded_to_eight() {
    let grey = ImageBuffer::from_pixel(2, 2, Luma([0xabab_u16]));
    assert_eq!(*read(&encoded(grey, ImageFormat::Png)).pixels, [0xab; 4]);
    let colour = ImageBuffer::from_pixel(1, 1, Rgb([0xffff_u16, 0x0101, 0x8000]));
    assert_eq!(*read(&encoded(colour, ImageFormat::Png)).pixels, [255, 1, 128]);
}

#[test]
fn transparency_lies_over_black() {
    let colour = RgbaImage::from_pixel(1, 1, Rgba([200, 100, 50, 128]));
    // 200·128/255 = 100.4, 50.2, 25.1
    assert_eq!(*read(&encoded(colour, ImageFormat::Png)).pixels, [100, 50, 25]);
    let grey = ImageBuffer::from_fn(2, 1, |x, _| LumaA([200u8, if x == 0 { 255 } else { 0 }]));
    assert_eq!(*read(&encoded(grey, ImageFormat::Png)).pixels, [200, 0]);
}

#[test]
fn cmyk_becomes_rgb() {
    let image = read(&hex(CMYK_JPEG));
    assert_eq!((image.channels, image.height, image.width), (3, 8, 8));
    near(&image, [200, 60, 30], 4);
}

#[test]
fn the_orientation_is_obeyed() {
    let image = read(&hex(TURNED_JPEG));
    assert_eq!((image.channels, image.height, image.width), (1, 16, 8));
    let row = |y: usize| &image.pixels[y * 8..][..8];
    assert!(row(1).iter().all(|&v| v < 30) && row(14).iter().all(|&v| v > 225), "{:?} {:?}", row(1), row(14));
}

fn animated_gif() -> Vec<u8> {
    let mut bytes = Vec::new();
    let frame = |colour| Frame::new(RgbaImage::from_pixel(4, 4, Rgba(colour)));
    let frames = [frame([255, 0, 0, 255]), frame([0, 0, 255, 255])];
    GifEncoder::new(&mut bytes).encode_frames(frames).unwrap();
    bytes
}

#[test]
fn of_an_animation_the_first_frame_is_used() {
    for bytes in [animated_gif(), hex(ANIMATED_WEBP), hex(ANIMATED_PNG)] {
        let image = read(&bytes);
        assert_eq!((image.channels, image.height, image.width), (3, 4, 4));
        near(&image, [255, 0, 0], 1);
    }
}

/// A PNG whose header promises this many pixels, and nothing behind it.
fn huge_png(width: u32, height: u32) -> Vec<u8> {
    let chunk = [b"IHDR".as_slice(), &width.to_be_bytes(), &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    let mut crc = Crc::new();
    crc.update(&chunk);
    [
        b"\x89PNG\r\n\x1a\n".as_slice(),
        &13u32.to_be_bytes(),
        &chunk,
        &crc.sum().to_be_bytes(),
        &[0, 0, 0, 4],
        b"IDAT",
        &[0; 8],
    ]
    .concat()
}

#[test]
fn huge_images_are_refused_by_their_header() {
    refused(&huge_png(20_000, 20_000), "20000×20000 pixels are more than the 100000000");
    let mut gif = animated_gif();
    gif[6..10].fill(0xff);
    refused(&gif, "65535×65535 pixels are more than");
}

#[test]
fn what_is_no_image_is_refused() {
    refused(b"", "the file is empty");
    refused(b"notes about the pictures", "not an image in PNG, JPEG, BMP, GIF, WebP or TIFF");
    refused(b"\0", "not an image in PNG");
    refused(b"\x89PNG\r\n\x1a\nand then something else", "damaged");
    refused(&[0xff, 0xd8, 0xff, 0xe0], "damaged");
    let place = TempDir::new().unwrap();
    let message = |name: &str| data::read_image(place.path().join(name)).unwrap_err().to_string();
    assert!(message("absent.png").contains("absent.png: cannot be read"), "{}", message("absent.png"));
    assert!(message("").contains("not a regular file"));
}

#[test]
fn files_that_are_cut_off_are_refused() {
    let large = RgbImage::from_fn(64, 64, |x, y| Rgb([(x * y) as u8, (x ^ y) as u8, (x + y) as u8]));
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Bmp, ImageFormat::WebP, ImageFormat::Tiff] {
        let bytes = encoded(large.clone(), format);
        refused(&bytes[..bytes.len() / 2], "damaged");
    }
}

/// Cut anywhere, or with any byte changed: an image or a message, never a panic.
#[test]
fn no_damage_brings_it_down() {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
    let small = RgbImage::from_fn(5, 4, |x, y| Rgb([x as u8 * 40, y as u8 * 60, 9]));
    let files = [Png, Jpeg, Bmp, Gif, WebP, Tiff].map(|format| encoded(small.clone(), format));
    let place = TempDir::new().unwrap();
    let path = place.path().join("image");
    for file in files.into_iter().chain([CMYK_JPEG, TURNED_JPEG, ANIMATED_WEBP, ANIMATED_PNG].map(hex)) {
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 0xff;
            for bytes in [&file[..at], &changed] {
                fs::write(&path, bytes).unwrap();
                match data::read_image(&path) {
                    Ok(image) => assert_eq!(image.pixels.len(), image.channels * image.height * image.width),
                    Err(error) => assert!(error.to_string().contains("image: "), "{error}"),
                }
            }
        }
    }
}
