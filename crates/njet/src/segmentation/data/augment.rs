//! Random changes of an image and its mask together.

use serde::{Deserialize, Serialize};

use super::{IGNORED, Scene};
use crate::data::{Random, Resampler};

/// Random changes of a scene that leave the class of each thing as it is: flip, quarter turns, scale, then a random
/// crop, then brightness, contrast and saturation.
///
/// Image and mask go through the same change of place: the image by the antialiased [`Resampler`], the mask by the nearest
/// pixel. Where the piece reaches beyond the scene the image is black and the mask is [`IGNORED`].
///
/// ```
/// use njet::data::{Random, Stream};
/// use njet::segmentation::data::{JointAugment, Scene};
///
/// let scene = Scene { image: vec![9; 4], mask: vec![1; 4], channels: 1, height: 2, width: 2 };
/// let mut random = Random::for_stream(1, Stream::Augment, 0);
/// let piece = JointAugment::NONE.apply(&scene, [1, 3], &mut random);
/// assert_eq!(piece.mask.iter().filter(|&&class| class == 255).count(), 1); // one column more than there is
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct JointAugment {
    /// Mirror left and right in half of the cases.
    pub flip: bool,
    /// Turn by 0, 90, 180 or 270 degrees, one as likely as another.
    pub quarter_turns: bool,
    /// The scene is made larger by a factor from 1/scale to scale, uniform in its logarithm; 1 leaves it as it is.
    pub scale: f64,
    /// Contrast is multiplied by 1 ± colour and brightness moved by ± colour/2 of the range; of coloured images the
    /// saturation, too, is multiplied by 1 ± colour. 0 leaves them as they are.
    pub colour: f64,
}

impl Default for JointAugment {
    /// Flips, scales from ½ to 2, and colour by a fifth; no turns, since most pictures have an upper side.
    fn default() -> Self {
        Self { flip: true, quarter_turns: false, scale: 2.0, colour: 0.2 }
    }
}

/// The grey of a colour.
fn luminance(sample: impl Fn(usize) -> f32) -> f32 {
    // ITU-R BT.601
    0.299 * sample(0) + 0.587 * sample(1) + 0.114 * sample(2)
}

impl JointAugment {
    /// The random crop alone.
    pub const NONE: Self = Self { flip: false, quarter_turns: false, scale: 1.0, colour: 0.0 };

    /// A piece of `[height, width]` of a changed scene.
    ///
    /// The draws are the same in number and order whatever is switched on: flip, turns, scale, the two places of the
    /// crop, contrast, brightness, saturation.
    ///
    /// # Panics
    ///
    /// If an extent of the piece or of the scene is 0, or `scale` is not a number of at least 1.
    pub fn apply(&self, scene: &Scene, crop: [usize; 2], random: &mut Random) -> Scene {
        assert!(self.scale >= 1.0 && self.scale.is_finite(), "scale {} is no factor of at least 1", self.scale);
        assert!(crop.into_iter().chain(scene.size()).all(|n| n > 0), "a piece of {crop:?} of {:?}", scene.size());
        let flip = random.below(2) == 1 && self.flip;
        let turns = random.below(4) * usize::from(self.quarter_turns);
        let octave = 2.0 * f64::from(random.uniform()) - 1.0;
        // libm rounds the same on every machine.
        let factor = libm::exp(octave * libm::log(self.scale));
        let places = [random.uniform(), random.uniform()].map(f64::from);
        let mut jitter = || self.colour as f32 * (2.0 * random.uniform() - 1.0);
        let colour = [jitter(), jitter(), jitter()];

        // The piece in the scene before flip and turns: there it is resampled, so that nothing else is made.
        let turned = |[y, x]: [usize; 2]| if turns.is_multiple_of(2) { [y, x] } else { [x, y] };
        let size = scene.size();
        let scaled = size.map(|n| ((n as f64 * factor).round() as usize).max(1));
        let [rows, columns] = [0, 1].map(|axis| Stretch::new(scaled[axis], turned(crop)[axis], places[axis]));

        let resampler = Resampler::new(size, scaled);
        let planes: Vec<Vec<f32>> = (0..scene.channels)
            .map(|channel| {
                let plane = scene.plane(channel);
                resampler.window(plane, rows.from..rows.from + rows.len, columns.from..columns.from + columns.len)
            })
            .collect();
        let planes = self.coloured(planes, colour);
        let nearest = |axis: usize, at: usize| {
            // The pixel that holds the centre of the new one.
            ((at as f64 + 0.5) * size[axis] as f64 / scaled[axis] as f64) as usize
        };
        let nearest_columns: Vec<usize> = (0..columns.len).map(|x| nearest(1, columns.from + x)).collect();
        let mask: Vec<u8> = (0..rows.len)
            .flat_map(|y| {
                let row = &scene.mask[nearest(0, rows.from + y) * scene.width..][..scene.width];
                nearest_columns.iter().map(|&x| row[x.min(scene.width - 1)])
            })
            .collect();

        let place = |plane: &[u8], outside: u8| placed(plane, [rows, columns], crop, outside, flip, turns);
        let image = planes.iter().flat_map(|plane| place(plane, 0)).collect();
        let [height, width] = crop;
        Scene { image, mask: place(&mask, IGNORED), channels: scene.channels, height, width }
    }

    /// Contrast, brightness and saturation, and back to bytes.
    fn coloured(&self, planes: Vec<Vec<f32>>, [contrast, brightness, saturation]: [f32; 3]) -> Vec<Vec<u8>> {
        let byte = |v: f32| v.round().clamp(0.0, 255.0) as u8;
        if self.colour == 0.0 {
            return planes.iter().map(|plane| plane.iter().map(|&v| byte(v)).collect()).collect();
        }
        let level = |v: f32| byte((v - 127.5) * (1.0 + contrast) + 127.5 + 127.5 * brightness);
        let len = planes.first().map_or(0, Vec::len);
        let grey = |i: usize| luminance(|channel| planes[channel][i]);
        planes
            .iter()
            .map(|plane| match planes.len() {
                3 => (0..len).map(|i| level(grey(i) + (plane[i] - grey(i)) * (1.0 + saturation))).collect(),
                _ => plane.iter().map(|&v| level(v)).collect(),
            })
            .collect()
    }
}

/// Along one axis: which pixels of the scaled scene are taken, and where in the piece they begin.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    from: usize,
    len: usize,
    to: usize,
    whole: usize,
}

impl Stretch {
    fn new(scaled: usize, piece: usize, place: f64) -> Self {
        let free = ((scaled.abs_diff(piece) + 1) as f64 * place) as usize;
        let (from, to) = if scaled >= piece { (free, 0) } else { (0, free) };
        Self { from, len: scaled.min(piece), to, whole: piece }
    }
}

/// Puts what was cut out into the piece and flips and turns it.
fn placed(
    plane: &[u8],
    [rows, columns]: [Stretch; 2],
    [height, width]: [usize; 2],
    outside: u8,
    flip: bool,
    turns: usize,
) -> Vec<u8> {
    let mut whole = vec![outside; rows.whole * columns.whole];
    for (row, from) in whole.chunks_exact_mut(columns.whole).skip(rows.to).zip(plane.chunks_exact(columns.len)) {
        row[columns.to..][..columns.len].copy_from_slice(from);
    }
    if !flip && turns == 0 {
        return whole;
    }
    let at = |y: usize, x: usize| {
        let x = if flip { width - 1 - x } else { x };
        // Turned anticlockwise: the right column becomes the upper row.
        let (y, x) = match turns {
            0 => (y, x),
            1 => (x, columns.whole - 1 - y),
            2 => (height - 1 - y, width - 1 - x),
            _ => (rows.whole - 1 - x, y),
        };
        whole[y * columns.whole + x]
    };
    (0..height).flat_map(|y| (0..width).map(move |x| (y, x))).map(|(y, x)| at(y, x)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Stream;
    use proptest::prelude::*;

    fn rng(index: u64) -> Random {
        Random::for_stream(9, Stream::Augment, index)
    }

    /// What is drawn, in this order, whatever is switched on.
    struct Draws {
        turns: usize,
        octave: f64,
        jitter: [f32; 3],
    }

    fn draws(index: u64) -> Draws {
        let mut random = rng(index);
        let (_flip, turns) = (random.below(2), random.below(4));
        let octave = 2.0 * f64::from(random.uniform()) - 1.0;
        let _places = [random.uniform(), random.uniform()];
        Draws { turns, octave, jitter: [(); 3].map(|()| 2.0 * random.uniform() - 1.0) }
    }

    /// A scene whose image and mask are one pattern: at every pixel the image is 20 times the class.
    fn alike(height: usize, width: usize, class: impl Fn(usize, usize) -> u8) -> Scene {
        let mask: Vec<u8> =
            (0..height).flat_map(|y| (0..width).map(move |x| (y, x))).map(|(y, x)| class(y, x)).collect();
        Scene { image: mask.iter().map(|class| 20 * class).collect(), mask, channels: 1, height, width }
    }

    /// Where the pixels of a class are in the mean; `None` where there are none.
    fn centre(piece: &Scene, class: u8) -> Option<[f64; 2]> {
        let at: Vec<usize> = (0..piece.mask.len()).filter(|&i| piece.mask[i] == class).collect();
        let mean = |of: &dyn Fn(usize) -> usize| at.iter().map(|&i| of(i) as f64).sum::<f64>() / at.len() as f64;
        (!at.is_empty()).then(|| [mean(&|i| i / piece.width), mean(&|i| i % piece.width)])
    }

    #[test]
    fn nothing_switched_on_is_a_crop() {
        let scene = alike(5, 7, |y, x| (y * 7 + x) as u8 % 12);
        assert_eq!(JointAugment::NONE.apply(&scene, [5, 7], &mut rng(0)), scene);
        let mut seen = std::collections::BTreeSet::new();
        for index in 0..100 {
            let piece = JointAugment::NONE.apply(&scene, [3, 9], &mut rng(index));
            // Each of the three rows is from one place; a column of the nine is outside left or right of the seven.
            let inside: Vec<usize> = (0..9).filter(|&x| piece.mask[x] != IGNORED).collect();
            assert_eq!(inside.len(), 7);
            let (left, top) = (inside[0], (0..3).find(|y| piece.mask[inside[0]] == scene.mask[y * 7]).unwrap());
            for y in 0..3 {
                for x in 0..9usize {
                    let expected = x.checked_sub(left).filter(|&x| x < 7).map(|x| (top + y) * 7 + x);
                    assert_eq!(piece.mask[y * 9 + x], expected.map_or(IGNORED, |at| scene.mask[at]));
                    assert_eq!(piece.image[y * 9 + x], expected.map_or(0, |at| scene.image[at]));
                }
            }
            seen.insert((top, left));
        }
        assert_eq!(seen.len(), 9, "three places along each axis");
    }

    /// Flip and turns by the definition: of all eight, each as often as another.
    #[test]
    fn flips_and_turns_are_the_eight_of_a_square() {
        let scene = alike(3, 3, |y, x| (3 * y + x) as u8);
        let transposed = |m: &[u8]| -> Vec<u8> { (0..9).map(|i| m[i % 3 * 3 + i / 3]).collect() };
        let mirrored = |m: &[u8]| -> Vec<u8> { (0..9).map(|i| m[i / 3 * 3 + 2 - i % 3]).collect() };
        let mut expected = std::collections::BTreeSet::new();
        let mut mask = scene.mask.clone();
        for _ in 0..4 {
            mask = mirrored(&transposed(&mask)); // a quarter turn
            expected.extend([mask.clone(), mirrored(&mask)]);
        }
        assert_eq!(expected.len(), 8);
        let augment = JointAugment { flip: true, quarter_turns: true, ..JointAugment::NONE };
        let mut counts = std::collections::BTreeMap::new();
        for index in 0..400 {
            let piece = augment.apply(&scene, [3, 3], &mut rng(index));
            assert!(piece.image.iter().zip(&piece.mask).all(|(v, class)| *v == 20 * class));
            *counts.entry(piece.mask).or_insert(0) += 1;
        }
        assert_eq!(counts.keys().cloned().collect::<std::collections::BTreeSet<_>>(), expected);
        // 50 each, five standard deviations are 33.
        assert!(counts.values().all(|n| (17..=83).contains(n)), "{counts:?}");
    }

    /// A turned piece that is not square, and a scene that is not: what was below is at the side.
    #[test]
    fn a_turned_piece_has_the_size_that_was_asked_for() {
        let scene = alike(2, 3, |y, x| (3 * y + x) as u8);
        let augment = JointAugment { quarter_turns: true, ..JointAugment::NONE };
        let turned: Vec<Vec<u8>> = (0..40).map(|i| augment.apply(&scene, [3, 2], &mut rng(i)).mask).collect();
        let quarters = [(1, vec![2, 5, 1, 4, 0, 3], "anticlockwise"), (3, vec![3, 0, 4, 1, 5, 2], "clockwise")];
        for (turns, expected, name) in quarters {
            let drawn: Vec<usize> = (0..40).filter(|&i| draws(i as u64).turns == turns).collect();
            assert!(!drawn.is_empty() && drawn.iter().all(|&i| turned[i] == expected), "{name}");
        }
    }

    proptest! {
        /// A bright square marks a place: after any change it is where its class is, and nothing else is bright.
        #[test]
        fn image_and_mask_move_together(
            index in 0u64..1_000_000,
            height in 20usize..60,
            width in 20usize..60,
            crop in prop::array::uniform2(16usize..70),
            at in prop::array::uniform2(0.0f64..1.0),
        ) {
            let [top, left] = [((height - 12) as f64 * at[0]) as usize, ((width - 12) as f64 * at[1]) as usize];
            let inside = |y, x| (top..top + 12).contains(&y) && (left..left + 12).contains(&x);
            let scene = alike(height, width, |y, x| if inside(y, x) { 12 } else { 0 });
            let augment = JointAugment { quarter_turns: true, colour: 0.0, ..JointAugment::default() };
            let piece = augment.apply(&scene, crop, &mut rng(index));
            prop_assert_eq!((piece.size(), piece.image.len(), piece.mask.len()), (crop, crop[0] * crop[1], crop[0] * crop[1]));
            // The image by half of its light against the mask: they differ along the outline alone.
            let bright = |i: usize| piece.image[i] >= 120;
            let outline = |i: usize| {
                let (y, x) = (i / crop[1], i % crop[1]);
                if y % (crop[0] - 1) == 0 || x % (crop[1] - 1) == 0 {
                    return true; // what is beyond is not seen
                }
                let near = |y: usize, x: usize| piece.mask.get(y * crop[1] + x).copied().unwrap_or(0);
                let around = [near(y.saturating_sub(1), x), near((y + 1).min(crop[0] - 1), x),
                    near(y, x.saturating_sub(1)), near(y, (x + 1).min(crop[1] - 1))];
                around.iter().any(|&class| class != piece.mask[i])
            };
            for i in 0..piece.mask.len() {
                prop_assert!(piece.mask[i] != IGNORED || piece.image[i] == 0, "black outside");
                prop_assert!(outline(i) || bright(i) == (piece.mask[i] == 12), "pixel {i} of {crop:?}");
            }
            // Nothing of the scene is lost where the piece is large enough, and the square has its size.
            let square = piece.mask.iter().filter(|&&class| class == 12).count();
            prop_assert!(square <= 26 * 26);
            if crop.iter().all(|&n| n >= 2 * height.max(width)) {
                prop_assert!((25..=26 * 26).contains(&square), "{square}");
            }
            // Of a square that is nearly all outside, the middle is its outline.
            if let Some([y, x]) = centre(&piece, 12) {
                let middle = y.round() as usize * crop[1] + x.round() as usize;
                prop_assert!(outline(middle) || bright(middle), "bright in the middle");
            }
        }
    }

    #[test]
    fn scales_reach_from_the_half_to_the_double() {
        let scene = alike(40, 40, |_, _| 3);
        let augment = JointAugment { scale: 2.0, ..JointAugment::NONE };
        let sides: Vec<f64> = (0..300)
            .map(|index| augment.apply(&scene, [80, 80], &mut rng(index)))
            .map(|piece| (piece.mask.iter().filter(|&&class| class == 3).count() as f64).sqrt())
            .collect();
        let (least, most) = sides.iter().fold((f64::MAX, 0f64), |(a, b), &side| (a.min(side), b.max(side)));
        assert!((20.0..22.0).contains(&least) && (78.0..=80.0).contains(&most), "{least} {most}");
        // Uniform in the logarithm.
        for (index, side) in (0..).zip(&sides) {
            assert_eq!(*side, (40.0 * draws(index).octave.exp2()).round(), "{index}");
        }
        let doubled = sides.iter().filter(|&&side| side >= 40.0).count();
        // half of them, five standard deviations are 43
        assert!((107..=193).contains(&doubled), "{doubled}");
    }

    /// A piece of a scene that is made larger is what the whole would have there.
    #[test]
    fn a_piece_is_cut_from_the_resampled_whole() {
        let scene = Scene {
            image: (0..3 * 30 * 20).map(|i| (i * 37 % 251) as u8).collect(),
            mask: (0..600).map(|i| (i % 7) as u8).collect(),
            channels: 3,
            height: 30,
            width: 20,
        };
        let augment = JointAugment { scale: 2.0, ..JointAugment::NONE };
        for index in 0..50 {
            let whole = augment.apply(&scene, [60, 40], &mut rng(index));
            let piece = augment.apply(&scene, [9, 11], &mut rng(index));
            let fits = |top: usize, left: usize| {
                (0..3 * 99).all(|i| {
                    let (channel, y, x) = (i / 99, i % 99 / 11, i % 11);
                    let at = (top + y) * 40 + left + x;
                    piece.image[i] == whole.image[channel * 2400 + at] && piece.mask[i % 99] == whole.mask[at]
                })
            };
            assert!((0..=51).any(|top| (0..=29).any(|left| fits(top, left))), "piece {index}");
        }
    }

    #[test]
    fn colour_changes_the_image_alone() {
        let scene =
            Scene { image: vec![50, 100, 150, 60, 110, 160], mask: vec![1, 2], channels: 3, height: 1, width: 2 };
        let augment = JointAugment { colour: 0.3, ..JointAugment::NONE };
        let pieces: Vec<Scene> = (0..50).map(|index| augment.apply(&scene, [1, 2], &mut rng(index))).collect();
        assert!(pieces.iter().all(|piece| piece.mask == scene.mask));
        let mut images: Vec<_> = pieces.iter().map(|piece| piece.image.clone()).collect();
        images.sort();
        images.dedup();
        assert!(images.len() > 40, "{} different", images.len());
        // Saturation moves red and blue, 50 from grey, by at most 15, contrast what is 92 from the middle by 28, both
        // together by 5 more, brightness by 38.
        let far = |image: &Vec<u8>| image.iter().zip(&scene.image).any(|(&v, &was)| v.abs_diff(was) > 86);
        assert!(!images.iter().any(far), "{images:?}");
        let lighter = images.iter().filter(|image| image[1] > scene.image[1]).count();
        assert!((10..=40).contains(&lighter), "{lighter} of {}", images.len());
        // Grey stays grey under saturation.
        let grey = Scene { image: vec![90; 6], mask: vec![1, 2], channels: 3, height: 1, width: 2 };
        for index in 0..20 {
            let piece = augment.apply(&grey, [1, 2], &mut rng(index));
            assert!(piece.image.iter().all(|&v| v == piece.image[0]), "{:?}", piece.image);
        }
    }

    /// The formulas, written out: grey of BT.601, saturation about it, contrast about the middle, brightness.
    #[test]
    fn colour_follows_the_draws() {
        let (rgb, grey) = ([[50.0, 100.0, 150.0], [200.0, 30.0, 90.0]], [20.0, 240.0]);
        let augment = JointAugment { colour: 0.3, ..JointAugment::NONE };
        for index in 0..30 {
            let [contrast, brightness, saturation] = draws(index).jitter.map(|jitter| f64::from(0.3 * jitter));
            let level = |v: f64| (v - 127.5) * (1.0 + contrast) + 127.5 + 127.5 * brightness;
            let check = |got: u8, expected: f64| {
                assert!((f64::from(got) - expected.clamp(0.0, 255.0)).abs() < 0.5 + 1e-3, "{index}: {got}, {expected}");
            };
            let image = (0..3).flat_map(|channel| rgb.map(|pixel| pixel[channel] as u8)).collect();
            let scene = Scene { image, mask: vec![1, 2], channels: 3, height: 1, width: 2 };
            let piece = augment.apply(&scene, [1, 2], &mut rng(index));
            for (x, pixel) in rgb.iter().enumerate() {
                let luminance = 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
                for (channel, v) in pixel.iter().enumerate() {
                    check(piece.image[2 * channel + x], level(luminance + (v - luminance) * (1.0 + saturation)));
                }
            }
            let scene = Scene { image: grey.map(|v| v as u8).to_vec(), channels: 1, ..scene };
            let piece = augment.apply(&scene, [1, 2], &mut rng(index));
            (0..2).for_each(|x| check(piece.image[x], level(grey[x])));
        }
    }

    #[test]
    fn one_pixel_becomes_any_piece() {
        let scene = alike(1, 1, |_, _| 7);
        let augment = JointAugment { quarter_turns: true, colour: 0.0, ..JointAugment::default() };
        for index in 0..50 {
            let piece = augment.apply(&scene, [3, 2], &mut rng(index));
            let inside = piece.mask.iter().filter(|&&class| class == 7).count();
            assert!((1..=4).contains(&inside), "{inside}");
            assert!(
                piece
                    .mask
                    .iter()
                    .zip(&piece.image)
                    .all(|(&class, &v)| (class, v) == (7, 140) || (class, v) == (IGNORED, 0))
            );
        }
    }

    #[test]
    fn the_same_generator_repeats() {
        let scene = alike(30, 30, |y, x| (y / 5 + x / 5) as u8);
        let piece = |index| JointAugment::default().apply(&scene, [16, 16], &mut rng(index));
        assert_eq!(piece(1), piece(1));
        assert_ne!(piece(1), piece(2));
    }
}
