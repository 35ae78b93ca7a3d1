//! An image in the channels of a model.

use njet::data::{DataError, Image, ImageSet, Samples};

/// The image as a set of one.
pub fn samples(image: Image<'_>, channels: usize) -> Result<Samples, DataError> {
    let Image { pixels, channels, height, width } = in_channels(image, channels);
    Ok(ImageSet::new(pixels.into_owned(), vec![0], channels, height, width)?.into())
}

/// Colours become grey where the model has one channel; grey stays grey, to be repeated.
pub fn in_channels(image: Image<'_>, channels: usize) -> Image<'_> {
    if channels != 1 || image.channels != 3 {
        return image;
    }
    let pixels = image.luminance().into_iter().map(|grey| grey.round() as u8).collect();
    Image { pixels, channels: 1, height: image.height, width: image.width }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_weigh_as_they_shine() {
        let image =
            Image { pixels: vec![255, 0, 0, 9, 0, 255, 0, 9, 0, 0, 255, 9].into(), channels: 3, height: 1, width: 4 };
        let Samples::Memory(set) = samples(image.clone(), 1).unwrap() else { panic!("in memory") };
        assert_eq!((set.channels(), set.images()), (1, &[54, 182, 18, 9][..]));
        assert_eq!(samples(image, 3).unwrap().channels(), 3);
    }
}
