//! Tiny data sets as IDX files.

use std::fs;
use std::path::Path;

/// A set of square images: class c is a bright band at the c-th place, in noise.
#[derive(Debug, Clone, Copy)]
pub struct Set {
    pub training: u32,
    pub test: u32,
    pub side: u32,
    pub classes: u32,
}

impl Default for Set {
    fn default() -> Self {
        Self { training: 90, test: 30, side: 8, classes: 3 }
    }
}

impl Set {
    /// Writes the four files of the set into a new directory.
    pub fn write(&self, directory: &Path) {
        fs::create_dir_all(directory).expect("a directory");
        let mut noise = Noise(1);
        for (stem, count) in [("train", self.training), ("t10k", self.test)] {
            let labels: Vec<u8> = (0..count).map(|i| (i % self.classes) as u8).collect();
            let pixels: Vec<u8> = labels.iter().flat_map(|&label| self.image(label, &mut noise)).collect();
            let file = |name: &str, bytes| fs::write(directory.join(name), bytes).expect("a file");
            file(&format!("{stem}-images-idx3-ubyte"), idx(0x0803, &[count, self.side, self.side], &pixels));
            file(&format!("{stem}-labels-idx1-ubyte"), idx(0x0801, &[count], &labels));
        }
    }

    fn image(&self, label: u8, noise: &mut Noise) -> Vec<u8> {
        let band = |x: u32| if x * self.classes / self.side == u32::from(label) { 150 } else { 30 };
        (0..self.side * self.side).map(|i| band(i % self.side) + noise.byte() % 100).collect()
    }
}

/// An IDX file: magic number, extents, data.
pub fn idx(magic: u32, extents: &[u32], data: &[u8]) -> Vec<u8> {
    let header = [&[magic], extents].concat();
    [header.into_iter().flat_map(u32::to_be_bytes).collect(), data.to_vec()].concat()
}

/// A linear congruential generator (Knuth's MMIX), so that the images are the same everywhere.
#[derive(Debug)]
struct Noise(u64);

impl Noise {
    fn byte(&mut self) -> u8 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 56) as u8
    }
}
