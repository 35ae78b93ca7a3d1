//! Labelled images, wherever their pixels are.

use std::borrow::Cow;

use serde::Serialize;

use super::{DataError, ImageFiles, ImageSet, summary};

/// Luminance of red, green and blue (ITU-R BT.709), as in the `image` crate.
const LUMINANCE: [f32; 3] = [0.2126, 0.7152, 0.0722];

/// One image.
///
/// # Shapes
///
/// - pixels: `[channels, height, width]`, row-major, one byte a sample, 0 black … 255 white
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image<'a> {
    /// The samples.
    pub pixels: Cow<'a, [u8]>,
    /// 1 for grey, 3 for red, green, blue.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Image<'_> {
    /// A channel, `[height, width]`. A grey image has the same in each.
    pub fn plane(&self, channel: usize) -> &[u8] {
        let pixels = self.height * self.width;
        &self.pixels[channel.min(self.channels - 1) * pixels..][..pixels]
    }

    /// The luminance of every pixel, `[height, width]`, 0 black … 255 white; of a grey image its own values.
    pub fn luminance(&self) -> Vec<f32> {
        if self.channels == 1 {
            return self.pixels.iter().map(|&value| f32::from(value)).collect();
        }
        let [red, green, blue] = [0, 1, 2].map(|channel| self.plane(channel));
        let pixel = |i: usize| [red[i], green[i], blue[i]].into_iter().zip(LUMINANCE);
        (0..red.len()).map(|i| pixel(i).map(|(value, weight)| f32::from(value) * weight).sum()).collect()
    }
}

/// The images of a part of a data set: of one size and in memory, or files of any sizes.
#[derive(Debug, Clone, PartialEq)]
pub enum Samples {
    /// One block of memory.
    Memory(ImageSet),
    /// Image files.
    Files(ImageFiles),
}

/// Extents over the images of a part, each axis for itself: `[height, width]` in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Extents {
    /// The least.
    pub least: [usize; 2],
    /// Half of the images have at most this.
    pub median: [usize; 2],
    /// The greatest.
    pub greatest: [usize; 2],
}

impl Samples {
    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels().len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels().is_empty()
    }

    /// The number of channels: 1 where all images are grey. Where one is not, grey images count as coloured ones.
    pub fn channels(&self) -> usize {
        match self {
            Self::Memory(set) => set.channels(),
            Self::Files(files) => files.channels(),
        }
    }

    /// `[channels, height, width]` where all images have one size.
    pub fn shape(&self) -> Option<[usize; 3]> {
        match self {
            Self::Memory(set) => Some(set.shape()),
            Self::Files(files) => {
                let Extents { least, greatest, .. } = self.extents()?;
                (least == greatest).then_some([files.channels(), least[0], least[1]])
            }
        }
    }

    /// All labels: `[len]`.
    pub fn labels(&self) -> &[u8] {
        match self {
            Self::Memory(set) => set.labels(),
            Self::Files(files) => files.labels(),
        }
    }

    /// The class of image `i`.
    ///
    /// # Panics
    ///
    /// If `i ≥ len()`, like the index of a slice.
    pub fn label(&self, i: usize) -> u8 {
        self.labels()[i]
    }

    /// `[height, width]` of image `i` in pixels.
    ///
    /// # Panics
    ///
    /// If `i ≥ len()`, like the index of a slice.
    pub fn size(&self, i: usize) -> [usize; 2] {
        match self {
            Self::Memory(set) => [set.height(), set.width()],
            Self::Files(files) => files.size(i),
        }
    }

    /// Image `i`. A grey image among coloured ones has one channel; see [`Image::plane`].
    ///
    /// # Errors
    ///
    /// The file cannot be read any more, or is another one by now.
    ///
    /// # Panics
    ///
    /// If `i ≥ len()`, like the index of a slice.
    pub fn image(&self, i: usize) -> Result<Image<'_>, DataError> {
        match self {
            Self::Memory(set) => {
                let [channels, height, width] = set.shape();
                Ok(Image { pixels: Cow::Borrowed(set.image(i)), channels, height, width })
            }
            Self::Files(files) => files.image(i),
        }
    }

    /// The images at `indices`, in that order, as a part of its own.
    ///
    /// # Panics
    ///
    /// If an index is `≥ len()`, like the index of a slice.
    pub fn subset(&self, indices: &[usize]) -> Self {
        match self {
            Self::Memory(set) => Self::Memory(set.subset(indices)),
            Self::Files(files) => Self::Files(files.subset(indices)),
        }
    }

    /// The smallest, the median and the greatest extents; `None` without images.
    pub fn extents(&self) -> Option<Extents> {
        // Those of a block of memory are all alike.
        let count = if let Self::Memory(set) = self { set.len().min(1) } else { self.len() };
        let axis = |axis: usize| {
            let mut extents: Vec<usize> = (0..count).map(|i| self.size(i)[axis]).collect();
            extents.sort_unstable();
            Some([*extents.first()?, extents[(count - 1) / 2], *extents.last()?])
        };
        let (y, x) = (axis(0)?, axis(1)?);
        let [least, median, greatest] = [0, 1, 2].map(|i| [y[i], x[i]]);
        Some(Extents { least, median, greatest })
    }

    /// Mean and standard deviation of all samples, scaled to 0 … 1; zeros without images. Of files each image counts the
    /// same, however many pixels it has.
    pub fn mean_and_std(&self) -> (f64, f64) {
        match self {
            Self::Memory(set) => summary::mean_and_std(set),
            Self::Files(files) => files.mean_and_std(),
        }
    }

    /// Memory that images and labels take, in bytes.
    pub fn bytes(&self) -> usize {
        let pixels = match self {
            Self::Memory(set) => set.images().len(),
            Self::Files(files) => files.held_bytes(),
        };
        pixels + self.labels().len()
    }
}

impl From<ImageSet> for Samples {
    fn from(set: ImageSet) -> Self {
        Self::Memory(set)
    }
}

impl From<ImageFiles> for Samples {
    fn from(files: ImageFiles) -> Self {
        Self::Files(files)
    }
}
