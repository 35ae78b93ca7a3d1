//! `njet jet`: derivative maps and blobs of image files.

mod command;

use command::Place;
use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgba};
use serde_json::Value;
use std::fs;
use std::path::Path;

fn save(place: &Place, name: &str, image: impl Into<DynamicImage>) {
    image.into().save_with_format(place.path(name), ImageFormat::Png).expect("an image file");
}

/// Brighter by 3 a pixel to the right and darker by 2 a pixel downwards.
fn ramp() -> GrayImage {
    GrayImage::from_fn(48, 40, |x, y| Luma([(100 + 3 * x - 2 * y) as u8]))
}

/// The numbers of a file that NumPy reads, and their `[height, width]`.
fn numpy(path: &Path) -> (Vec<f32>, [usize; 2]) {
    let bytes = fs::read(path).expect("a file of numbers");
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let data = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert!(data.is_multiple_of(64) && bytes[data - 1] == b'\n');
    let header = std::str::from_utf8(&bytes[10..data]).expect("ASCII");
    assert!(header.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': ("), "{header}");
    let (_, shape) = header.split_once("'shape': (").unwrap();
    let shape: Vec<usize> = shape.split(')').next().unwrap().split(", ").map(|n| n.parse().unwrap()).collect();
    let values = bytes[data..].chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
    (values, shape.try_into().expect("two extents"))
}

fn maps(result: &Value) -> Vec<(&str, &Value)> {
    let maps = result["scales"][0]["maps"].as_array().unwrap();
    maps.iter().map(|map| (map["name"].as_str().unwrap(), map)).collect()
}

#[test]
fn every_map_is_written_and_has_its_sign() {
    let place = Place::new();
    save(&place, "ramp.png", ramp());
    let result = place.run("jet ramp.png --sigma 1.5,3 --order 2 --out maps --npy --json").done().json();
    assert_eq!((&result["height"], &result["width"]), (&40.into(), &48.into()));
    let names: Vec<&str> = maps(&result).iter().map(|(name, _)| *name).collect();
    let expected = ["L", "Lx", "Ly", "Lxx", "Lxy", "Lyy", "gradient-magnitude", "laplacian", "hessian-determinant"];
    assert_eq!(names, expected);
    for (scale, sigma) in result["scales"].as_array().unwrap().iter().zip([1.5, 3.0]) {
        assert_eq!(scale["sigma"], sigma);
        for map in scale["maps"].as_array().unwrap() {
            let name = map["name"].as_str().unwrap();
            assert_eq!(map["path"], format!("maps/sigma-{sigma}/{name}.png"));
            let picture = image::open(place.path(map["path"].as_str().unwrap())).expect("a picture");
            assert_eq!((picture.height(), picture.width()), (40, 48));
            // Signed maps have 0 in the middle, red and blue; the others go from the least to the greatest.
            let signed = !["L", "gradient-magnitude"].contains(&name);
            let shown = [0, 1].map(|end| map["shown"][end].as_f64().unwrap());
            let [least, greatest] = ["min", "max"].map(|end| map[end].as_f64().unwrap());
            let reach = least.abs().max(greatest.abs());
            assert_eq!(shown, if signed { [-reach, reach] } else { [least, greatest] }, "{name}");
            assert_eq!(picture.color().has_color(), signed, "{name}");
            let (values, size) = numpy(&place.path(map["npy"].as_str().unwrap()));
            assert_eq!(size, [40, 48]);
            let least = values.iter().copied().fold(f32::INFINITY, f32::min);
            let greatest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!([&map["min"], &map["max"]], [f64::from(least), f64::from(greatest)]);
            let centre = 20 * 48 + 24;
            let slope = |by: f64| by / 255.0 * sigma;
            let expected = match name {
                "L" => (100.0 + 3.0 * 24.0 - 2.0 * 20.0) / 255.0,
                "Lx" => slope(3.0),
                "Ly" => slope(-2.0),
                "gradient-magnitude" => slope(13f64.sqrt()),
                _ => 0.0,
            };
            assert!((f64::from(values[centre]) - expected).abs() < 2e-4, "{name}: {} {expected}", values[centre]);
            let pixel = picture.to_rgb8().get_pixel(24, 20).0;
            match name {
                // Red is positive, blue negative, as dark as it gets in the middle of a ramp.
                "Lx" => assert!(pixel[0] > 150 && pixel[2] < 60, "{pixel:?}"),
                "Ly" => assert!(pixel[0] < 20 && pixel[2] > 150, "{pixel:?}"),
                _ => {}
            }
        }
    }
    place.nothing_half_written();
    let text = place.run("jet ramp.png --sigma 2 --order 1 --grey --out grey").done().stdout;
    assert!(text.starts_with("ramp.png: 40×48 pixels\n\nσ 2\nmap ") && !text.contains("Lxx"), "{text}");
    let lx = image::open(place.path("grey/sigma-2/Lx.png")).expect("a picture");
    assert!(matches!(lx, DynamicImage::ImageLuma8(_)), "{:?}", lx.color());
    assert!(lx.to_luma8().get_pixel(24, 20).0[0] > 240);
}

#[test]
fn blobs_have_their_place_and_scale() {
    let place = Place::new();
    let blob = |x: u32, y: u32, cx: f64, cy: f64, sigma: f64| {
        (-((f64::from(x) - cx).powi(2) + (f64::from(y) - cy).powi(2)) / (2.0 * sigma * sigma)).exp()
    };
    let image = GrayImage::from_fn(120, 80, |x, y| {
        Luma([(120.0 + 120.0 * blob(x, y, 30.0, 40.0, 4.0) - 80.0 * blob(x, y, 85.0, 35.0, 7.0)).round() as u8])
    });
    save(&place, "blobs.png", image);
    for rule in ["laplacian", "determinant"] {
        let command = format!("jet blobs.png --sigma 2 --order 0 --out {rule} --blobs {rule} --blob-sigma 1.5,12");
        let result = place.run(&format!("{command} --json")).done().json();
        assert_eq!(result["blobs"]["sigmas"], serde_json::json!([1.5, 12.0]));
        let points = result["blobs"]["points"].as_array().unwrap();
        assert_eq!(points.len(), 2, "{points:?}");
        for (point, (x, y, sigma, polarity, contrast)) in
            points.iter().zip([(30.0, 40.0, 4.0, "bright", 120.0 / 255.0), (85.0, 35.0, 7.0, "dark", 80.0 / 255.0)])
        {
            let near = |key: &str, expected: f64, tolerance: f64| {
                let got = point[key].as_f64().unwrap();
                assert!((got - expected).abs() < tolerance, "{rule}: {key} {got} instead of {expected}");
            };
            near("x", x, 0.3);
            near("y", y, 0.3);
            near("sigma", sigma, 0.05 * sigma);
            near("contrast", contrast, 0.02);
            assert_eq!(point["polarity"], polarity);
        }
        // Four times as large, with a red circle of radius √2·σ about the bright one.
        let picture = image::open(place.path(&format!("{rule}/blobs.png"))).expect("a picture").to_rgb8();
        assert_eq!(picture.dimensions(), (480, 320));
        let radius = (4.0 * 4.0 * 2f64.sqrt()).round() as u32;
        let red = (-2..=2i32).any(|d| {
            let pixel = picture.get_pixel((4 * 30 + 2 + radius).saturating_add_signed(d), 4 * 40 + 2).0;
            pixel[0] > 200 && pixel[1] < 90
        });
        assert!(red, "no circle");
    }
    let text = place.run("jet blobs.png --sigma 2 --order 0 --out text --blobs laplacian --most 1").done().stdout;
    assert!(text.contains("\n1 blob of σ 1.000 to 10.000") && text.contains("bright\n"), "{text}");
}

#[test]
fn formats_and_colours_make_no_difference() {
    let place = Place::new();
    let grey = ramp();
    save(&place, "grey.png", grey.clone());
    save(&place, "deep.png", DynamicImage::from(grey.clone()).into_luma16());
    save(&place, "opaque.png", DynamicImage::from(grey.clone()).into_rgba8());
    let gif = DynamicImage::from(grey.clone()).into_rgba8();
    gif.save_with_format(place.path("a.gif"), ImageFormat::Gif).expect("a GIF");
    DynamicImage::from(grey).save_with_format(place.path("a.tiff"), ImageFormat::Tiff).expect("a TIFF");
    let run = |name: &str, out: &str| {
        place.run(&format!("jet {name} --sigma 1 --out {out}")).done();
        place.files().into_iter().filter(|(path, _)| path.starts_with(place.path(out))).collect::<Vec<_>>()
    };
    let contents = |files: Vec<(std::path::PathBuf, Option<Vec<u8>>)>| -> Vec<_> {
        files.into_iter().map(|(path, bytes)| (path.file_name().unwrap().to_owned(), bytes)).collect()
    };
    let expected = contents(run("grey.png", "expected"));
    for (i, name) in ["deep.png", "opaque.png", "a.gif", "a.tiff"].into_iter().enumerate() {
        let got = contents(run(name, &format!("{i}")));
        assert!(got[1..] == expected[1..], "{name}");
    }
    // What is transparent is black.
    save(&place, "clear.png", image::RgbaImage::from_pixel(3, 2, Rgba([200, 10, 10, 0])));
    let result = place.run("jet clear.png --out clear --json").done().json();
    assert!(maps(&result).iter().all(|(_, map)| map["min"] == 0.0 && map["max"] == 0.0));
}

#[test]
fn one_pixel_and_scales_beyond_the_image() {
    let place = Place::new();
    save(&place, "dot.png", GrayImage::from_pixel(1, 1, Luma([51])));
    save(&place, "line.png", GrayImage::from_fn(300, 1, |x, _| Luma([(x % 250) as u8])));
    for image in ["dot.png", "line.png"] {
        let command = format!("jet {image} --sigma 0.2,800 --order 4 --blobs determinant --out {image}-maps --json");
        let result = place.run(&command).done().json();
        for scale in result["scales"].as_array().unwrap() {
            assert_eq!(scale["maps"].as_array().unwrap().len(), 15 + 3);
        }
        assert_eq!(result["blobs"]["points"], serde_json::json!([]));
    }
    let result = place.run("jet dot.png --sigma 3 --out dot --json").done().json();
    for (name, map) in maps(&result) {
        let expected = if name == "L" { 0.2 } else { 0.0 };
        assert!((map["max"].as_f64().unwrap() - expected).abs() < 1e-5, "{name}: {map}");
    }
}

#[test]
fn errors_are_told_before_anything_is_written() {
    let place = Place::new();
    save(&place, "a.png", ramp());
    fs::write(place.path("text.png"), "not a picture").unwrap();
    for (arguments, code, words) in [
        ("jet a.png", 2, &["--out"][..]),
        ("jet none.png --out o", 1, &["none.png", "cannot be read"]),
        ("jet text.png --out o", 1, &["text.png", "not an image"]),
        ("jet a.png --out o --sigma 0", 2, &["sigma 0", "above 0"]),
        ("jet a.png --out o --sigma -1", 2, &["sigma -1", "above 0"]),
        ("jet a.png --out o --sigma nan", 2, &["NaN", "above 0"]),
        ("jet a.png --out o --sigma 1,2000", 2, &["sigma 2000 and extent 5", "1 to 4096 pixels"]),
        ("jet a.png --out o --sigma 1,2,1", 2, &["the scale 1 twice"]),
        ("jet a.png --out o --sigma one", 2, &["one"]),
        ("jet a.png --out o --order 11", 2, &["order 11 is too high"]),
        ("jet a.png --out o --extent 3", 2, &["extent 3", "at least 4"]),
        ("jet a.png --out o --gamma inf", 2, &["gamma = inf"]),
        ("jet a.png --out o --gamma 1000", 2, &["sigma 2 and gamma 1000", "nearer to 1"]),
        ("jet a.png --out o --padding-mode mirror", 2, &["replicate, reflect, circular"]),
        ("jet a.png --out o --blobs laplacian --blob-sigma 4,2", 2, &["from 4 to 2 are no range"]),
        ("jet a.png --out o --blobs laplacian --blob-sigma 4", 2, &["two numbers"]),
        ("jet a.png --out o --blobs laplacian --blob-sigma 1,x,2", 2, &["two numbers"]),
        ("jet a.png --out o --blobs laplacian --blob-sigma 1,900", 2, &["1 to 4096 pixels"]),
        ("jet a.png --out o --blobs laplacian --blob-sigma 1e-50,1e300", 2, &["1 to 4096 pixels"]),
        ("jet a.png --out o --blobs laplacian --contrast 0", 2, &["contrast 0"]),
        ("jet a.png --out o --contrast 0.1", 2, &["--blobs"]),
        ("jet a.png --out text.png", 1, &["cannot create text.png/sigma-1", "--out"]),
    ] {
        place.refuses(arguments, code, words);
    }
}
