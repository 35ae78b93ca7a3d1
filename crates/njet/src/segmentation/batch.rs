//! Scenes as tensors.

use super::data::{IGNORED, Scene};
use crate::data::Normalisation;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Scenes of one size, ready for a network.
#[derive(Debug)]
pub(crate) struct SceneBatch {
    pixels: Vec<f32>,
    /// Scene by scene, `[height, width]`.
    pub(super) masks: Vec<u8>,
    shape: [usize; 4],
}

impl SceneBatch {
    /// Scenes of one size. A grey one is repeated for each of `channels`.
    pub(super) fn new(scenes: &[Scene], channels: usize, normalisation: Normalisation) -> Self {
        let Scene { height, width, .. } = scenes[0];
        let planes = scenes.iter().flat_map(|scene| (0..channels).map(move |channel| scene.plane(channel)));
        let samples = planes.flatten();
        Self {
            pixels: samples.map(|&v| normalisation.apply(v)).collect(),
            masks: scenes.iter().flat_map(|scene| &scene.mask).copied().collect(),
            shape: [scenes.len(), channels, height, width],
        }
    }

    /// The same scenes in so many batches of about one size, none of them empty.
    pub(super) fn divided(self, parts: usize) -> Vec<Self> {
        let [scenes, channels, height, width] = self.shape;
        if parts.min(scenes) == 1 {
            return vec![self];
        }
        let pixels = height * width;
        let bound = |part: usize| part * scenes / parts.min(scenes);
        let some = |part: usize| {
            let range = bound(part)..bound(part + 1);
            Self {
                pixels: self.pixels[range.start * channels * pixels..range.end * channels * pixels].to_vec(),
                masks: self.masks[range.start * pixels..range.end * pixels].to_vec(),
                shape: [range.len(), channels, height, width],
            }
        };
        (0..parts.min(scenes)).map(some).collect()
    }

    /// The number of scenes.
    pub(super) fn len(&self) -> usize {
        self.shape[0]
    }

    /// Rows and columns.
    pub(super) fn size(&self) -> [usize; 2] {
        [self.shape[2], self.shape[3]]
    }

    /// `[batch, channels, height, width]`
    pub(super) fn images(&self, device: &Device) -> Tensor<4> {
        Tensor::from_data(TensorData::new(self.pixels.clone(), self.shape), device)
    }

    /// The masks in the order of cells of `side`×`side` pixels: first the first pixels of all cells, row by row, then their
    /// second ones; what is past the end is to be ignored. `[batch, side² · rows, columns]` for so many rows and columns of
    /// cells.
    pub(super) fn by_cells(&self, side: usize, [rows, columns]: [usize; 2]) -> Vec<u8> {
        let [height, width] = self.size();
        let mut masks = Vec::with_capacity(self.len() * side * side * rows * columns);
        for mask in self.masks.chunks_exact(height * width) {
            for (i, j) in (0..side).flat_map(|i| (0..side).map(move |j| (i, j))) {
                for y in (i..rows * side).step_by(side) {
                    let row = if y < height { &mask[y * width..][..width] } else { &[] };
                    let present = row.iter().skip(j).step_by(side).copied();
                    masks.extend(present.chain(std::iter::repeat(IGNORED)).take(columns));
                }
            }
        }
        masks
    }
}

/// Classes as a tensor.
pub(super) fn targets(masks: &[u8], shape: [usize; 3], device: &Device) -> Tensor<3, Int> {
    let numbers: Vec<i32> = masks.iter().map(|&class| i32::from(class)).collect();
    Tensor::from_data(TensorData::new(numbers, shape), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_divided_evenly_and_nothing_is_lost() {
        let scene =
            |number: u8| Scene { image: vec![number; 4], mask: vec![number, 9], channels: 2, height: 1, width: 2 };
        let scenes: Vec<Scene> = (0..5).map(scene).collect();
        let batch = || SceneBatch::new(&scenes, 2, Normalisation { mean: 0.0, std: 1.0 });
        for (parts, expected) in [(1, vec![5]), (2, vec![2, 3]), (3, vec![1, 2, 2]), (9, vec![1; 5])] {
            let divided = batch().divided(parts);
            assert_eq!(divided.iter().map(SceneBatch::len).collect::<Vec<_>>(), expected);
            assert!(divided.iter().all(|part| part.size() == [1, 2]));
            assert_eq!(divided.iter().flat_map(|part| part.masks.clone()).collect::<Vec<_>>(), batch().masks);
            assert_eq!(divided.iter().flat_map(|part| part.pixels.clone()).collect::<Vec<_>>(), batch().pixels);
        }
    }

    #[test]
    fn pixels_in_the_order_of_cells() {
        let normalisation = Normalisation { mean: 0.0, std: 1.0 };
        let scene = Scene { image: vec![0; 6], mask: vec![1, 2, 3, 4, 5, 6], channels: 1, height: 2, width: 3 };
        let batch = SceneBatch::new(&[scene], 1, normalisation);
        assert_eq!(batch.by_cells(1, [2, 3]), batch.masks);
        // Two cells, the second with a column past the end.
        assert_eq!(batch.by_cells(2, [1, 2]), [1, 3, 2, IGNORED, 4, 6, 5, IGNORED]);
        assert_eq!(batch.by_cells(1, [3, 4])[..8], [1, 2, 3, IGNORED, 4, 5, 6, IGNORED]);
    }
}
