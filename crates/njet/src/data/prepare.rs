//! From images to a batch of numbers: window, resampling, random changes, normalisation.

use super::augment::{Change, push_changed};
use super::sizing::{Window, bounded, fitted};
use super::{Augment, DataError, Image, Normalisation, Random, Resampler, Samples, Sizing, Stream, fill_batch};

/// How images become the input of a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preparation {
    /// How they are brought to one size.
    pub sizing: Sizing,
    /// `[height, width]` in pixels: of every image, or the bound of [`Sizing::Group`].
    pub size: [usize; 2],
    /// Batches of [`Sizing::Group`] have at least so many rows and columns: what the model needs.
    pub least: usize,
    /// Channels of the model. Grey images are repeated for each.
    pub channels: usize,
    /// How bytes become numbers.
    pub normalisation: Normalisation,
}

/// Images and labels, ready for a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Normalised samples: `shape`, row-major.
    pub pixels: Vec<f32>,
    /// `[images, channels, height, width]`.
    pub shape: [usize; 4],
    /// The classes: `[images]`.
    pub labels: Vec<u8>,
}

/// Batches that are made from as many images at once as this many batches hold: enough to find images of similar size,
/// few enough that the composition of a batch is random.
const POOL: usize = 32;

impl Preparation {
    /// The images at `indices` as a batch. With `augment` each image is changed by draws of its own from `random`, in the
    /// order of `indices`: the part of [`Sizing::RandomResizedCrop`], the shift along y, along x, then the flip. Without,
    /// nothing is drawn.
    ///
    /// # Errors
    ///
    /// An image file that cannot be read any more; images of several sizes with [`Sizing::Fixed`].
    ///
    /// # Panics
    ///
    /// If an index is `≥ samples.len()`, like the index of a slice.
    pub fn batch(
        &self,
        samples: &Samples,
        indices: &[usize],
        augment: Option<Augment>,
        random: &mut Random,
    ) -> Result<Batch, DataError> {
        let [height, width] = self.batch_size(samples, indices);
        let shape = [indices.len(), self.channels, height, width];
        let labels = indices.iter().map(|&i| samples.label(i)).collect();
        let mut pixels = Vec::new();
        match samples {
            Samples::Memory(set) if self.sizing == Sizing::Fixed && self.channels == set.channels() => {
                fill_batch(set, indices, self.normalisation, augment, random, &mut pixels);
            }
            _ => {
                pixels.reserve_exact(shape.iter().product());
                let mut resampler = None;
                for &index in indices {
                    let image = samples.image(index)?;
                    if self.sizing == Sizing::Fixed && [image.height, image.width] != [height, width] {
                        return Err(self.mixed(samples, index, [height, width]));
                    }
                    let window = self.window(&image, augment.is_some(), random);
                    let change = augment.map_or(Change::NONE, |augment| augment.draw([height, width], random));
                    for channel in 0..self.channels {
                        let plane = cut(image.plane(channel), image.width, window, &mut resampler);
                        let plane = centred(plane, window.to, [height, width]);
                        push_changed(&plane, width, change, |v| self.normalisation.apply_between(v), &mut pixels);
                    }
                }
            }
        }
        Ok(Batch { pixels, shape, labels })
    }

    /// Cuts `indices` into batches of `count` images, the last of what is left. With [`Sizing::Group`] images of similar
    /// size come together: among all of them, or with `random` among as many as a few batches hold, and the batches in
    /// random order. Otherwise their order stays.
    pub fn batches(
        &self,
        samples: &Samples,
        mut indices: Vec<usize>,
        count: usize,
        random: Option<&mut Random>,
    ) -> Vec<Vec<usize>> {
        let count = count.max(1);
        if self.sizing == Sizing::Group {
            let pool = if random.is_some() { count.saturating_mul(POOL) } else { usize::MAX };
            for pool in indices.chunks_mut(pool) {
                pool.sort_by_cached_key(|&i| similarity(bounded(samples.size(i), self.size)));
            }
        }
        let mut batches: Vec<Vec<usize>> = indices.chunks(count).map(<[usize]>::to_vec).collect();
        if let (Sizing::Group, Some(random)) = (self.sizing, random) {
            random.shuffle(&mut batches);
        }
        batches
    }

    /// `[height, width]` of a batch.
    fn batch_size(&self, samples: &Samples, indices: &[usize]) -> [usize; 2] {
        match self.sizing {
            Sizing::Fixed => indices.first().map_or(self.size, |&i| samples.size(i)),
            Sizing::Letterbox | Sizing::RandomResizedCrop => self.size,
            Sizing::Group => indices.iter().fold([self.least.max(1); 2], |[height, width], &i| {
                let [h, w] = bounded(samples.size(i), self.size);
                [height.max(h), width.max(w)]
            }),
        }
    }

    fn window(&self, image: &Image<'_>, training: bool, random: &mut Random) -> Window {
        let from = [image.height, image.width];
        match self.sizing {
            Sizing::Fixed => Window::whole(from, from),
            Sizing::Letterbox => Window::whole(from, fitted(from, self.size)),
            Sizing::RandomResizedCrop if training => Window::random(from, self.size, random),
            Sizing::RandomResizedCrop => Window::middle(from, self.size),
            Sizing::Group => Window::whole(from, bounded(from, self.size)),
        }
    }

    fn mixed(&self, samples: &Samples, index: usize, expected: [usize; 2]) -> DataError {
        let path = match samples {
            Samples::Files(files) => files.path(index).to_path_buf(),
            Samples::Memory(_) => format!("image {index}").into(),
        };
        let text = |[height, width]: [usize; 2]| format!("{height}×{width}");
        DataError::MixedSizes { path, found: text(samples.size(index)), expected: text(expected) }
    }
}

/// The generator of the random changes of a batch: a function of the seed, the epoch and the number of the batch in it,
/// so that batches can be made in any order.
pub fn batch_random(seed: u64, epoch: usize, batch: usize) -> Random {
    Random::for_stream(seed, Stream::Augment, ((epoch as u64) << 32) | batch as u64)
}

/// Images that are neighbours in this order can share a batch: of similar aspect first, then of similar area.
fn similarity([height, width]: [usize; 2]) -> (i64, usize) {
    // Steps of √2.
    let aspect = (2.0 * libm::log2(height as f64 / width as f64)).round() as i64;
    (aspect, height * width)
}

/// A window of a plane at its new size; `resampler` is used again where the sizes are the same as the last time.
fn cut(plane: &[u8], stride: usize, window: Window, resampler: &mut Option<Resampler>) -> Vec<f32> {
    let Window { top, left, from: [height, width], to } = window;
    let rows = plane.chunks_exact(stride).skip(top).take(height);
    let part: Vec<f32> = rows.flat_map(|row| row[left..][..width].iter().map(|&v| f32::from(v))).collect();
    if window.from == to {
        return part;
    }
    let fits = resampler.take().filter(|resampler| (resampler.from(), resampler.to()) == (window.from, to));
    resampler.insert(fits.unwrap_or_else(|| Resampler::new(window.from, to))).plane(&part)
}

/// A plane in the middle of a larger black one.
fn centred(plane: Vec<f32>, [height, width]: [usize; 2], room: [usize; 2]) -> Vec<f32> {
    if [height, width] == room {
        return plane;
    }
    let mut canvas = vec![0.0; room[0] * room[1]];
    let [top, left] = [(room[0] - height) / 2, (room[1] - width) / 2];
    for (row, target) in plane.chunks_exact(width).zip(canvas.chunks_exact_mut(room[1]).skip(top)) {
        target[left..][..width].copy_from_slice(row);
    }
    canvas
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ImageSet;

    const PLAIN: Normalisation = Normalisation { mean: 0.0, std: 1.0 / 255.0 };

    /// Two grey images of 2×4, one of 50 and one of 200 throughout.
    fn samples() -> Samples {
        ImageSet::new([[50; 8], [200; 8]].concat(), vec![3, 4], 1, 2, 4).unwrap().into()
    }

    fn preparation(sizing: Sizing, size: [usize; 2]) -> Preparation {
        Preparation { sizing, size, least: 1, channels: 1, normalisation: PLAIN }
    }

    fn rng() -> Random {
        batch_random(1, 2, 3)
    }

    fn near(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        // f32 at 200: half a unit in the last place is 8e-6, a few of them
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{found:?}\n{expected:?}");
    }

    #[test]
    fn fixed_is_the_images_as_they_are() {
        let (samples, mut random) = (samples(), rng());
        let batch = preparation(Sizing::Fixed, [2, 4]).batch(&samples, &[1, 0], None, &mut random).unwrap();
        assert_eq!((batch.shape, batch.labels), ([2, 1, 2, 4], vec![4, 3]));
        near(&batch.pixels, &[[200.0; 8], [50.0; 8]].concat());
        assert_eq!(random, rng(), "nothing is drawn without augmentation");
    }

    #[test]
    fn the_general_way_gives_what_the_fast_one_gives() {
        let bytes: Vec<u8> = (0..5 * 12).map(|i| i * 4 + 3).collect();
        let samples = Samples::from(ImageSet::new(bytes, vec![0; 5], 1, 3, 4).unwrap());
        let augment = Some(Augment { shift: 2, flip: true });
        let normalisation = Normalisation { mean: 0.3, std: 0.2 };
        let fast = Preparation { normalisation, ..preparation(Sizing::Fixed, [3, 4]) };
        // Nothing is larger than the bound or smaller than its batch: the same pixels by way of windows.
        let general = Preparation { sizing: Sizing::Group, ..fast };
        let batch = |preparation: Preparation| preparation.batch(&samples, &[4, 0, 3, 1, 2], augment, &mut rng());
        assert_eq!(batch(fast).unwrap(), batch(general).unwrap());
    }

    #[test]
    fn grey_images_fill_all_channels() {
        let preparation = Preparation { channels: 3, ..preparation(Sizing::Fixed, [2, 4]) };
        let batch = preparation.batch(&samples(), &[0], None, &mut rng()).unwrap();
        assert_eq!(batch.shape, [1, 3, 2, 4]);
        near(&batch.pixels, &[50.0; 24]);
    }

    #[test]
    fn letterbox_puts_the_whole_image_in_the_middle() {
        let batch = preparation(Sizing::Letterbox, [4, 4]).batch(&samples(), &[0], None, &mut rng()).unwrap();
        assert_eq!(batch.shape, [1, 1, 4, 4]);
        near(&batch.pixels, &[[0.0; 4], [50.0; 4], [50.0; 4], [0.0; 4]].concat());
        let batch = preparation(Sizing::Letterbox, [8, 8]).batch(&samples(), &[0], None, &mut rng()).unwrap();
        near(&batch.pixels, &[[0.0; 16], [50.0; 16], [50.0; 16], [0.0; 16]].concat());
    }

    #[test]
    fn random_resized_crop_fills_the_size() {
        let preparation = preparation(Sizing::RandomResizedCrop, [3, 3]);
        let samples = ImageSet::new((0..=255).collect(), vec![0], 1, 16, 16).unwrap().into();
        let augment = Some(Augment { shift: 0, flip: false });
        let one = preparation.batch(&samples, &[0, 0], augment, &mut rng()).unwrap();
        assert_eq!(one.shape, [2, 1, 3, 3]);
        assert_ne!(one.pixels[..9], one.pixels[9..], "another part for each image");
        assert_eq!(one, preparation.batch(&samples, &[0, 0], augment, &mut rng()).unwrap());
        // The ramp grows by 16 a row and by 1 a column, in the middle of which its mean lies.
        let middle = preparation.batch(&samples, &[0], None, &mut rng()).unwrap();
        assert!((middle.pixels[4] - 127.5).abs() < 1e-3, "{:?}", middle.pixels);
    }

    #[test]
    fn group_bounds_pads_and_keeps_what_fits() {
        let batch = Preparation { least: 4, ..preparation(Sizing::Group, [9, 9]) };
        let batch = batch.batch(&samples(), &[1], None, &mut rng()).unwrap();
        near(&batch.pixels, &[[0.0; 4], [200.0; 4], [200.0; 4], [0.0; 4]].concat());
        let batch = preparation(Sizing::Group, [2, 2]).batch(&samples(), &[1], None, &mut rng()).unwrap();
        assert_eq!(batch.shape, [1, 1, 1, 2]);
        near(&batch.pixels, &[200.0; 2]);
    }

    #[test]
    fn batches_hold_every_index_once() {
        let samples = Samples::from(ImageSet::new(vec![0; 103], vec![0; 103], 1, 1, 1).unwrap());
        for sizing in Sizing::ALL {
            for random in [None, Some(&mut rng())] {
                let batches = preparation(sizing, [1, 1]).batches(&samples, (0..103).rev().collect(), 10, random);
                assert_eq!(batches.len(), 11);
                let mut all = batches.concat();
                all.sort_unstable();
                assert_eq!(all, (0..103).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn similar_sizes_are_neighbours() {
        let mut sizes = [[30, 60], [10, 10], [61, 30], [50, 50], [20, 40], [12, 11]];
        sizes.sort_by_key(|&size| similarity(size));
        assert_eq!(sizes, [[20, 40], [30, 60], [10, 10], [12, 11], [50, 50], [61, 30]]);
    }
}
