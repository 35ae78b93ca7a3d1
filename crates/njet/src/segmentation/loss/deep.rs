//! The loss at a lower resolution, for training a network all the way down: Lee, Xie, Gallagher, Zhang, Tu,
//! "Deeply-supervised nets", AISTATS 2015.

use crate::segmentation::data::IGNORED;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};

/// The cross-entropy of logits whose pixels stand for cells of `side`×`side` pixels of the image, against the parts that the
/// classes have of each cell: `Σ w_c t_c (−ln p_c) / Σ w_c t_c` over cells and classes, `t_c` the pixels of class c in a cell
/// and `w_c` the class weight, 1 where there is none. Pixels that are ignored belong to no class; without another pixel it is
/// 0.
///
/// - logits: `[batch, classes, rows, columns]`
/// - masks: image by image, `[height, width]`, `size` in pixels; what is past their end belongs to no class
pub(crate) fn lower_resolution(
    logits: Tensor<4>,
    side: usize,
    masks: &[u8],
    size: [usize; 2],
    class_weights: &[f32],
) -> Tensor<1> {
    let shape @ [_, classes, rows, columns] = logits.dims();
    let [height, width] = size;
    let mut parts = vec![0.0f32; shape.iter().product()];
    let mut all = 0.0f64;
    for (mask, parts) in masks.chunks_exact(height * width).zip(parts.chunks_exact_mut(classes * rows * columns)) {
        for (row, mask) in mask.chunks_exact(width).enumerate() {
            for (column, &class) in mask.iter().enumerate().filter(|(_, class)| **class != IGNORED) {
                let weight = class_weights.get(usize::from(class)).copied().unwrap_or(1.0);
                parts[(usize::from(class) * rows + row / side) * columns + column / side] += weight;
                all += f64::from(weight);
            }
        }
    }
    let parts = Tensor::from_data(TensorData::new(parts, shape), &logits.device());
    (log_softmax(logits, 1) * parts).sum().mul_scalar(-1.0 / all.max(1e-12))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    /// Two cells of 2×2 pixels, the second with a column past the end of the image.
    #[test]
    fn against_sums_by_hand() {
        let device = Device::flex();
        let logits = [[[[0.5f32, -1.0]], [[2.0, 0.25]]]];
        let masks = [0, 1, 1, IGNORED, 0, 1];
        let loss = |weights: &[f32]| {
            let logits = Tensor::<4>::from_floats(logits, &device);
            f64::from(lower_resolution(logits, 2, &masks, [2, 3], weights).into_scalar::<f32>())
        };
        let log_p = |a: f64, b: f64| a - (a.exp() + b.exp()).ln();
        let (first, second) = ([log_p(0.5, 2.0), log_p(2.0, 0.5)], [log_p(-1.0, 0.25), log_p(0.25, -1.0)]);
        // The first cell has two pixels of class 0 and one of class 1, the second two of class 1.
        let expected = |[a, b]: [f64; 2]| {
            let sum = 2.0 * a * first[0] + b * first[1] + 2.0 * b * second[1];
            -sum / (2.0 * a + 3.0 * b)
        };
        assert!((loss(&[]) - expected([1.0, 1.0])).abs() < 1e-6, "{}", loss(&[]));
        assert!((loss(&[3.0, 0.5]) - expected([3.0, 0.5])).abs() < 1e-6);
        // The same with rows and columns exchanged, and twice.
        let logits = Tensor::<4>::from_floats(logits, &device).swap_dims(2, 3).repeat_dim(0, 2);
        let masks = [0, IGNORED, 1, 0, 1, 1].repeat(2);
        let turned = lower_resolution(logits, 2, &masks, [3, 2], &[3.0, 0.5]).into_scalar::<f32>();
        assert!((f64::from(turned) - expected([3.0, 0.5])).abs() < 1e-6, "{turned}");
    }

    #[test]
    fn without_a_pixel_that_counts_it_is_nothing() {
        let logits = Tensor::<4>::ones([1, 2, 1, 1], &Device::flex());
        assert_eq!(lower_resolution(logits, 4, &[IGNORED; 4], [2, 2], &[]).into_scalar::<f32>(), 0.0);
    }
}
