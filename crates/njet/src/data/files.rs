//! Image files of any sizes, decoded once to see that they can be, and kept decoded as far as memory is given for it.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;

use super::cores::{Watch, on_all_cores};
use super::decode::{self, Decoded, Unusable};
use super::{DataError, Image};

/// A file that is not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: Unusable,
}

/// One image file that can be decoded.
#[derive(Debug, Clone, PartialEq)]
struct ImageFile {
    path: PathBuf,
    channels: usize,
    height: usize,
    width: usize,
    /// Means of the samples and of their squares, scaled to 0 … 1.
    moments: [f64; 2],
    animated: bool,
    /// The decoded samples, where they are kept.
    held: Option<Arc<[u8]>>,
}

/// Labelled image files: the store behind a folder of images.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageFiles {
    files: Vec<ImageFile>,
    labels: Vec<u8>,
    skipped: Vec<Skipped>,
    most_pixels: u64,
}

/// Memory for decoded images, shared by the parts of a set.
#[derive(Debug)]
pub(crate) struct Memory(AtomicUsize);

impl Memory {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(AtomicUsize::new(bytes))
    }

    /// Takes so many bytes, if there are as many left.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }
}

impl ImageFiles {
    /// Decodes all files, on all cores; those that cannot be used are set aside with the reason.
    pub(super) fn read(files: &[(PathBuf, u8)], most_pixels: u64, memory: &Memory, watch: Watch<'_>) -> Self {
        let results = on_all_cores(files.len(), watch, |i| ImageFile::read(&files[i].0, most_pixels, memory));
        let mut all = Self { files: Vec::new(), labels: Vec::new(), skipped: Vec::new(), most_pixels };
        for ((path, label), result) in files.iter().zip(results) {
            match result {
                Ok(file) => {
                    all.files.push(file);
                    all.labels.push(*label);
                }
                Err(reason) => all.skipped.push(Skipped { path: path.clone(), reason }),
            }
        }
        all
    }

    /// 3 where an image has colours, 1 where all are grey.
    pub fn channels(&self) -> usize {
        self.files.iter().map(|file| file.channels).max().unwrap_or(1)
    }

    /// All labels: `[len]`.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// `[height, width]` of image `i` in pixels.
    pub fn size(&self, i: usize) -> [usize; 2] {
        [self.files[i].height, self.files[i].width]
    }

    /// The file of image `i`.
    pub fn path(&self, i: usize) -> &Path {
        &self.files[i].path
    }

    /// Files that are not used, in the order of their paths.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// The number of images that are the first frame of several.
    pub fn animated(&self) -> usize {
        self.files.iter().filter(|file| file.animated).count()
    }

    /// Image `i`, from memory where it is kept there.
    ///
    /// # Errors
    ///
    /// [`DataError::UnusableImage`] if the file cannot be read any more, [`DataError::ChangedImage`] if it is another one.
    pub fn image(&self, i: usize) -> Result<Image<'_>, DataError> {
        let file = &self.files[i];
        let ImageFile { channels, height, width, .. } = *file;
        if let Some(pixels) = &file.held {
            return Ok(Image { pixels: Cow::Borrowed(pixels), channels, height, width });
        }
        let path = || file.path.clone();
        let Decoded { image, .. } = decode::read(&file.path, self.most_pixels)
            .map_err(|reason| DataError::UnusableImage { path: path(), reason })?;
        if (image.channels, image.height, image.width) != (channels, height, width) {
            return Err(DataError::ChangedImage { path: path() });
        }
        Ok(image)
    }

    pub(super) fn subset(&self, indices: &[usize]) -> Self {
        Self {
            files: indices.iter().map(|&i| self.files[i].clone()).collect(),
            labels: indices.iter().map(|&i| self.labels[i]).collect(),
            skipped: Vec::new(),
            most_pixels: self.most_pixels,
        }
    }

    /// Puts the skipped files of another part here.
    pub(super) fn with_skipped(self, skipped: Vec<Skipped>) -> Self {
        Self { skipped, ..self }
    }

    pub(super) fn mean_and_std(&self) -> (f64, f64) {
        if self.files.is_empty() {
            return (0.0, 0.0);
        }
        let mean = |of: usize| self.files.iter().map(|file| file.moments[of]).sum::<f64>() / self.files.len() as f64;
        let (mean, square) = (mean(0), mean(1));
        (mean, (square - mean * mean).max(0.0).sqrt())
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.files.iter().filter_map(|file| file.held.as_ref()).map(|held| held.len()).sum()
    }
}

impl ImageFile {
    fn read(path: &Path, most_pixels: u64, memory: &Memory) -> Result<Self, Unusable> {
        let Decoded { image: Image { pixels, channels, height, width }, animated } = decode::read(path, most_pixels)?;
        let (sum, squares) = pixels
            .iter()
            .fold((0u64, 0u64), |(sum, squares), &v| (sum + u64::from(v), squares + u64::from(v) * u64::from(v)));
        let scale = 255.0 * pixels.len() as f64;
        let moments = [sum as f64 / scale, squares as f64 / (255.0 * scale)];
        let held = memory.take(pixels.len()).then(|| Arc::from(pixels));
        Ok(Self { path: path.to_path_buf(), channels, height, width, moments, animated, held })
    }
}
