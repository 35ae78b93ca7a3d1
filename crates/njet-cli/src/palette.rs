//! A colour for each class of a mask.

/// Part that the colour has in an overlay.
pub const TINT: f32 = 0.5;

/// The colour of a class, that of the PASCAL VOC devkit: three bits of the number go into the highest bits of red, green
/// and blue, the next three into the next. Class 0 is black.
pub fn colour(class: u8) -> [u8; 3] {
    let mut rgb = [0; 3];
    for place in 0..3 {
        let bits = class >> (3 * place);
        for (channel, value) in rgb.iter_mut().enumerate() {
            *value |= (bits >> channel & 1) << (7 - place);
        }
    }
    rgb
}

/// All 256 of them, red, green, blue.
pub fn palette() -> Vec<u8> {
    (0..=255).flat_map(colour).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_those_of_the_devkit() {
        let first = [0, 1, 2, 3, 8, 15, 255].map(colour);
        let devkit = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [64, 0, 0], [192, 128, 128], [224, 224, 192]];
        assert_eq!(first, devkit);
    }

    #[test]
    fn no_two_classes_have_one_colour() {
        let colours: std::collections::BTreeSet<_> = (0..=255).map(colour).collect();
        assert_eq!((colours.len(), palette().len()), (256, 768));
    }
}
