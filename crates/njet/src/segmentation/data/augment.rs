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
        let turned = |[y, x]: [usize; 2]| if turns % 2 == 0 { [y, x] } else { [x, y] };
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
