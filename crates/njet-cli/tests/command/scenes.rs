//! Images with masks, small enough to train on in a moment.

use image::{GrayImage, Luma};
use std::fs;
use std::path::Path;

/// Images of 20×23 pixels: a bright disc or a dark square on grey, and where they are.
pub fn write(directory: &Path) {
    for (part, count) in [("train", 6u32), ("val", 2)] {
        let [images, masks] = ["images", "masks"].map(|kind| directory.join(part).join(kind));
        [&images, &masks].into_iter().for_each(|path| fs::create_dir_all(path).unwrap());
        for i in 0..count {
            let (x0, y0) = (6 + 2 * (i % 5), 7 + i % 6);
            let class = move |x: u32, y: u32| {
                let (dx, dy) = (x.abs_diff(x0), y.abs_diff(y0));
                match i % 2 {
                    0 if dx * dx + dy * dy <= 16 => 1,
                    1 if dx.max(dy) <= 3 => 2,
                    _ => 0,
                }
            };
            let shade = |class: u8, x: u32, y: u32| [120u8, 230, 20][usize::from(class)] + (x * 7 + y * 13) as u8 % 20;
            let name = format!("{i}.png");
            GrayImage::from_fn(23, 20, |x, y| Luma([shade(class(x, y), x, y)])).save(images.join(&name)).unwrap();
            GrayImage::from_fn(23, 20, |x, y| Luma([class(x, y)])).save(masks.join(&name)).unwrap();
        }
    }
    fs::write(directory.join("classes.txt"), "ground\ndisc\nsquare\n").unwrap();
}
