//! Images with labels, held as bytes.

use super::{DataError, Samples, Summary};

/// Labelled images of one size.
///
/// # Shapes
///
/// - images: `[len, channels, height, width]`, row-major, one byte a sample, 0 black … 255 white
/// - labels: `[len]`, the number of the class from 0
///
/// ```
/// use njet::data::ImageSet;
///
/// # fn main() -> Result<(), njet::data::DataError> {
/// let set = ImageSet::new(vec![0, 64, 128, 255], vec![3, 7], 1, 1, 2)?; // two images of 1×2 pixels
/// assert_eq!(set.len(), 2);
/// assert_eq!(set.image(1), [128, 255]);
/// assert_eq!(set.label(1), 7);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSet {
    images: Vec<u8>,
    labels: Vec<u8>,
    channels: usize,
    height: usize,
    width: usize,
}

impl ImageSet {
    /// A set from its parts.
    ///
    /// # Errors
    ///
    /// [`DataError::InconsistentSet`] unless `images` holds exactly `labels.len() × channels × height × width` bytes and
    /// no extent is 0.
    pub fn new(
        images: Vec<u8>,
        labels: Vec<u8>,
        channels: usize,
        height: usize,
        width: usize,
    ) -> Result<Self, DataError> {
        let image = channels.checked_mul(height).and_then(|n| n.checked_mul(width)).filter(|&n| n > 0);
        let promised = image.and_then(|n| n.checked_mul(labels.len()));
        if promised != Some(images.len()) {
            return Err(DataError::InconsistentSet {
                pixels: images.len(),
                labels: labels.len(),
                shape: format!("{channels}×{height}×{width}"),
            });
        }
        Ok(Self { images, labels, channels, height, width })
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The number of channels: 1 for grey images.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The height of an image in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The width of an image in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// `[channels, height, width]`.
    pub fn shape(&self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }

    /// The bytes of one image: `channels × height × width`.
    pub fn image_len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Image `i`: `[channels, height, width]`, row-major.
    ///
    /// # Panics
    ///
    /// If `i ≥ len()`, like the index of a slice.
    pub fn image(&self, i: usize) -> &[u8] {
        let n = self.image_len();
        &self.images[i * n..][..n]
    }

    /// The class of image `i`.
    ///
    /// # Panics
    ///
    /// If `i ≥ len()`, like the index of a slice.
    pub fn label(&self, i: usize) -> u8 {
        self.labels[i]
    }

    /// All images: `[len, channels, height, width]`, row-major.
    pub fn images(&self) -> &[u8] {
        &self.images
    }

    /// All labels: `[len]`.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// The images at `indices`, in that order, as a set of its own.
    ///
    /// # Panics
    ///
    /// If an index is `≥ len()`, like the index of a slice.
    pub fn subset(&self, indices: &[usize]) -> Self {
        let mut images = Vec::with_capacity(indices.len() * self.image_len());
        indices.iter().for_each(|&i| images.extend_from_slice(self.image(i)));
        Self { images, labels: indices.iter().map(|&i| self.label(i)).collect(), ..*self }
    }

    /// How often each byte value occurs among all samples.
    pub(super) fn histogram(&self) -> [u64; 256] {
        let mut counts = [0; 256];
        self.images.iter().for_each(|&v| counts[usize::from(v)] += 1);
        counts
    }
}

/// A data set: classes, training images and test images.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// The name it was loaded by.
    pub name: String,
    /// The names of the classes; a label is an index into them.
    pub classes: Vec<String>,
    /// Images to train on (and to split a validation set from).
    pub train: Samples,
    /// Images kept for the final figure.
    pub test: Samples,
}

impl Dataset {
    /// Channels of a model for these images: 3 where any has colours, 1 where all are grey.
    pub fn channels(&self) -> usize {
        self.train.channels().max(self.test.channels())
    }

    /// Counts, shape and statistics, as `njet data info` shows them.
    ///
    /// ```
    /// # fn main() -> Result<(), njet::data::DataError> {
    /// let summary = njet::data::load("fashion-mnist-subset")?.summary();
    /// assert_eq!(summary.shape, Some([1, 28, 28]));
    /// assert_eq!(summary.train.per_class, [1_200; 10]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn summary(&self) -> Summary {
        Summary::of(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let bad = [(7, 2, [1, 2, 2]), (0, 2, [1, 0, 2]), (0, 0, [0, 2, 2]), (8, 1, [usize::MAX, 2, 2])];
        for (pixels, labels, [c, h, w]) in bad {
            let message = ImageSet::new(vec![0; pixels], vec![0; labels], c, h, w).unwrap_err().to_string();
            assert!(message.contains(&format!("{pixels} pixel bytes and {labels} labels")), "{message}");
            assert!(message.contains(&format!("{c}×{h}×{w}")), "{message}");
        }
    }

    #[test]
    fn subset_keeps_images_with_their_labels() {
        let set = ImageSet::new((0..12).collect(), vec![5, 6, 7], 2, 1, 2).unwrap();
        let part = set.subset(&[2, 0, 2]);
        assert_eq!(part.labels(), [7, 5, 7]);
        assert_eq!(part.images(), [8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11]);
        assert_eq!(part.shape(), [2, 1, 2]);
        assert!(set.subset(&[]).is_empty());
    }
}
