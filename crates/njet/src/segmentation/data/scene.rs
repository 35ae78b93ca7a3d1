//! One image with its mask.

/// The mask of a pixel that counts neither in the loss nor in a metric.
pub const IGNORED: u8 = 255;

/// Classes are bytes, and one of them says [`IGNORED`].
pub const MOST_CLASSES: usize = IGNORED as usize;

/// An image and the class of each of its pixels.
///
/// # Shapes
///
/// - image: `[channels, height, width]`, row-major, one byte a sample, 0 black … 255 white
/// - mask: `[height, width]`, row-major, the number of the class from 0, or [`IGNORED`]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
    /// The samples.
    pub image: Vec<u8>,
    /// The classes.
    pub mask: Vec<u8>,
    /// 1 for grey, 3 for red, green, blue.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Scene {
    /// `[height, width]` in pixels.
    pub fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// A channel of the image, `[height, width]`. A grey image has the same in each.
    pub fn plane(&self, channel: usize) -> &[u8] {
        let pixels = self.height * self.width;
        &self.image[channel.min(self.channels - 1) * pixels..][..pixels]
    }

    /// The same with so many channels: a grey image is repeated, and of further channels the first are kept.
    pub fn with_channels(self, channels: usize) -> Self {
        if channels == self.channels {
            return self;
        }
        let image = (0..channels).flat_map(|channel| self.plane(channel)).copied().collect();
        Self { image, channels, ..self }
    }

    /// Pixels of each class; ignored ones are the last of the 256 numbers.
    pub fn class_counts(&self) -> [u64; 256] {
        count_classes(&self.mask)
    }
}

pub(super) fn count_classes(mask: &[u8]) -> [u64; 256] {
    let mut counts = [0; 256];
    mask.iter().for_each(|&class| counts[usize::from(class)] += 1);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_becomes_coloured_by_repetition() {
        let grey = Scene { image: vec![1, 2], mask: vec![0, IGNORED], channels: 1, height: 1, width: 2 };
        let coloured = grey.clone().with_channels(3);
        assert_eq!((coloured.image.as_slice(), coloured.channels), ([1, 2, 1, 2, 1, 2].as_slice(), 3));
        assert_eq!(coloured.mask, grey.mask);
        assert_eq!(coloured.with_channels(1), grey);
        assert_eq!((grey.class_counts()[0], grey.class_counts()[255]), (1, 1));
    }
}
