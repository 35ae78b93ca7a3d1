//! Layers whose filters do nothing: order 0, one tap of 1, stride 1, no padding. They are 1×1
//! convolutions.
//!
//! The responses are the input itself and ∂x is the product itself: each operand is copied into strips
//! once, and no plane goes through the filters. Pixels have no neighbours here, so an image is cut
//! anywhere, not between rows.

use super::pack::{self, Source};
use super::product::{Onto, Output, Right, Tiles, multiply, multiply_pixels};
use super::workspace::Buffer;
use super::{PARTS, TASKS, TILE_PIXELS, Workspace, pieces};
use crate::disjoint::{Disjoint, Filling};
use crate::geometry::Axis;
use crate::isa::Isa;
use crate::simd::STRIP;
use crate::{Backward, Forward, Geometry, Gradients, Real, Taps};
use rayon::prelude::*;
use std::ops::Range;

/// Fewest pixels of an image worth a task of its own.
const BAND_PIXELS: usize = 128;

/// Whether these filters leave every pixel as and where it is.
pub(super) fn is_pointwise<T: Real>(geometry: &Geometry, taps: Taps<'_, T>) -> bool {
    // One tap and as many outputs as inputs: there is no padding.
    let identity =
        |axis: &Axis, taps: &[T]| axis.stride == 1 && axis.input == axis.output && *taps == [T::from_f64(1.0)];
    geometry.order == 0
        && geometry.sets() == 1
        && !geometry.is_centred()
        && identity(&geometry.y, taps.y)
        && identity(&geometry.x, taps.x)
}

/// Several whole images, or some pixels of one.
#[derive(Debug, Clone)]
struct Tile {
    images: Range<usize>,
    pixels: Range<usize>,
}

fn tiles(geometry: &Geometry) -> Vec<Tile> {
    let (batch, pixels) = (geometry.batch, geometry.pixels_out());
    let images = (TILE_PIXELS / pixels).clamp(1, batch.div_ceil(TASKS).max(1));
    let band = (batch * pixels).div_ceil(TASKS).clamp(BAND_PIXELS, TILE_PIXELS).next_multiple_of(STRIP);
    pieces(batch, images)
        .flat_map(|images| pieces(pixels, band).map(move |pixels| Tile { images: images.clone(), pixels }))
        .collect()
}

/// A tile of some channels of an array: those of one group.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    tile: &'a Tile,
    channels: usize,
    /// Where the first plane begins,
    start: usize,
    /// elements between images,
    image: usize,
    /// and between planes.
    plane: usize,
}

impl<'a> Place<'a> {
    /// `channels`: of each group.
    fn new(geometry: &Geometry, tile: &'a Tile, group: usize, channels: usize) -> Self {
        let plane = geometry.pixels_out();
        let image = geometry.groups * channels * plane;
        Self { tile, channels, start: tile.images.start * image + group * channels * plane, image, plane }
    }

    fn of<T>(self, data: &[T]) -> Source<'_, T> {
        let Self { tile, channels, start, image, plane } = self;
        Source { data, start, image, images: tile.images.len(), channels, pixels: plane }
    }

    fn by_pixels<'b, T: Real>(self, isa: Isa, data: &[T], to: &'b mut Buffer<T>) -> Right<'b, T> {
        pack::band_by_pixels(isa, self.of(data), self.tile.pixels.clone(), to)
    }

    fn by_channels<'b, T: Real>(self, isa: Isa, data: &[T], to: &'b mut Buffer<T>) -> Right<'b, T> {
        pack::band_by_channels(isa, self.of(data), self.tile.pixels.clone(), to)
    }

    /// Writes `mixing` times the pixels of each image into this place of `to`.
    ///
    /// # Safety
    /// No other thread writes this place, and nobody reads it meanwhile.
    unsafe fn fill<T: Real>(
        self,
        isa: Isa,
        mixing: &Tiles<T>,
        pixels: Right<'_, T>,
        to: &Disjoint<'_, T>,
        onto: Onto<'_, T>,
    ) {
        let columns = self.tile.pixels.len();
        let strips = columns.div_ceil(STRIP);
        for m in 0..self.tile.images.len() {
            let image = pixels.at_strip(m * strips, columns);
            let start = self.start + m * self.image + self.tile.pixels.start;
            // SAFETY: the caller's promise.
            let out = unsafe { Output::shared(to, start, self.plane, onto) };
            multiply(isa, mixing.rows(0..self.channels), image, out);
        }
    }
}

/// The coefficients of each group, `[group_out, group_in]`.
fn groups<'a, T>(geometry: &Geometry, alpha: &'a [T]) -> std::slice::ChunksExact<'a, T> {
    alpha.chunks_exact(geometry.group_out * geometry.group_in)
}

pub(super) fn forward<T: Real>(geometry: &Geometry, call: &Forward<'_, T>, isa: Isa) -> Vec<T> {
    let (inputs, outputs) = (geometry.group_in, geometry.group_out);
    let mixing: Vec<_> =
        groups(geometry, call.alpha).map(|a| Tiles::pack(isa, outputs, inputs, |o, c| a[o * inputs + c])).collect();
    let mut filling = Filling::new(geometry.output_len());
    let y = filling.parts(geometry.output_len());
    let tiles = tiles(geometry);
    (0..tiles.len() * geometry.groups).into_par_iter().for_each(|task| {
        let (tile, group) = (&tiles[task / geometry.groups], task % geometry.groups);
        let onto = call.bias.map_or(Onto::Overwrite, |bias| Onto::Bias(&bias[group * outputs..][..outputs]));
        T::with_workspace(|workspace| {
            let x = Place::new(geometry, tile, group, inputs).by_pixels(isa, call.x, &mut workspace.panel);
            // SAFETY: the only task with this tile and group.
            unsafe { Place::new(geometry, tile, group, outputs).fill(isa, &mixing[group], x, &y, onto) };
            workspace.trim();
        });
    });
    // SAFETY: the tiles cover every pixel of every image, the groups every channel.
    unsafe { filling.finish(geometry.output_len()) }
}

/// Gradients of x and α; not of the bias, and not of σ.
pub(super) fn backward<T: Real>(geometry: &Geometry, call: &Backward<'_, T>, isa: Isa) -> Gradients<T> {
    let (inputs, outputs, wanted) = (geometry.group_in, geometry.group_out, call.wanted);
    let transposed: Vec<_> =
        groups(geometry, call.alpha).map(|a| Tiles::pack(isa, inputs, outputs, |c, o| a[o * inputs + c])).collect();
    let x_len = if wanted.x { geometry.input_len() } else { 0 };
    let mut filling = Filling::new(x_len);
    let grad_x = filling.parts(x_len);
    let tiles = tiles(geometry);
    let parts: Vec<_> = pieces(tiles.len(), tiles.len().div_ceil(PARTS).max(1)).collect();
    let pass = BackwardPass { geometry, call, isa, transposed, grad_x };
    // The gradients of α, `[group_out, group_in]` each, part by part and in a part group by group.
    let partials: Vec<Vec<T>> = (0..parts.len() * geometry.groups)
        .into_par_iter()
        .map(|task| {
            let (part, group) = (&tiles[parts[task / geometry.groups].clone()], task % geometry.groups);
            let mut alpha = vec![T::ZERO; if wanted.alpha { outputs * inputs } else { 0 }];
            T::with_workspace(|workspace| {
                part.iter().for_each(|tile| pass.run(tile, group, &mut alpha, workspace));
                workspace.trim();
            });
            alpha
        })
        .collect();
    Gradients {
        // SAFETY: the tiles cover every pixel of every image, the groups every channel.
        x: wanted.x.then(|| unsafe { filling.finish(x_len) }),
        alpha: wanted.alpha.then(|| sum_alpha(geometry, &partials)),
        bias: None,
        sigma: None,
    }
}

struct BackwardPass<'a, T> {
    geometry: &'a Geometry,
    call: &'a Backward<'a, T>,
    isa: Isa,
    /// The coefficients of each group, `[group_in, group_out]`.
    transposed: Vec<Tiles<T>>,
    grad_x: Disjoint<'a, T>,
}

impl<T: Real> BackwardPass<'_, T> {
    /// Writes ∂x of one tile and group and adds its ∂α.
    fn run(&self, tile: &Tile, group: usize, alpha: &mut [T], workspace: &mut Workspace<T>) {
        let Self { geometry, call, isa, .. } = *self;
        if !call.wanted.x && !call.wanted.alpha {
            return;
        }
        let input = Place::new(geometry, tile, group, geometry.group_in);
        let output = Place::new(geometry, tile, group, geometry.group_out);
        let upstream = output.by_pixels(isa, call.grad_y, &mut workspace.by_pixels);
        if call.wanted.x {
            // SAFETY: the only task with this tile and group.
            unsafe { input.fill(isa, &self.transposed[group], upstream, &self.grad_x, Onto::Overwrite) };
        }
        if call.wanted.alpha {
            let x = input.by_channels(isa, call.x, &mut workspace.by_channels);
            multiply_pixels(isa, geometry.group_out, upstream, x, Output::new(alpha, geometry.group_in, Onto::Add));
        }
    }
}

/// Adds the parts in their order.
fn sum_alpha<T: Real>(geometry: &Geometry, partials: &[Vec<T>]) -> Vec<T> {
    let mut alpha = vec![T::ZERO; geometry.alpha_len()];
    alpha.par_chunks_mut(geometry.group_in).enumerate().for_each(|(output, row)| {
        let (group, at) = (output / geometry.group_out, output % geometry.group_out * geometry.group_in);
        for partial in partials.iter().skip(group).step_by(geometry.groups) {
            row.iter_mut().zip(&partial[at..]).for_each(|(sum, &part)| *sum += part);
        }
    });
    alpha
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AxisConfig, GeometryConfig, Wanted, reference};
    use proptest::prelude::*;

    #[derive(Debug, Clone, Copy)]
    struct Shape {
        batch: usize,
        groups: usize,
        group_in: usize,
        group_out: usize,
        size: [usize; 2],
    }

    impl Shape {
        fn geometry(self) -> Geometry {
            let Self { batch, groups, group_in, group_out, size: [height, width] } = self;
            let axis = |input| AxisConfig { input, radius: 0, stride: 1, padding: (0, 0) };
            let (channels_in, channels_out) = (groups * group_in, groups * group_out);
            let (y, x) = (axis(height), axis(width));
            Geometry::new(GeometryConfig { batch, channels_in, channels_out, groups, order: 0, y, x }).unwrap()
        }
    }

    /// y, ∂x and ∂α.
    type Results<T> = [Vec<T>; 3];

    struct Arguments<T> {
        geometry: Geometry,
        alpha: Vec<T>,
        bias: Vec<T>,
        x: Vec<T>,
        grad_y: Vec<T>,
    }

    impl<T: Real> Arguments<T> {
        fn new(geometry: Geometry, value: impl Fn(usize) -> f64) -> Self {
            let values = |seed: usize, len: usize| (0..len).map(|i| T::from_f64(value(seed + i))).collect();
            Self {
                alpha: values(1, geometry.alpha_len()),
                bias: values(5, geometry.channels_out()),
                x: values(2, geometry.input_len()),
                grad_y: values(3, geometry.output_len()),
                geometry,
            }
        }

        fn run(
            &self,
            forward: impl FnOnce(&Geometry, &Forward<'_, T>) -> Vec<T>,
            backward: impl FnOnce(&Geometry, &Backward<'_, T>) -> Gradients<T>,
        ) -> Results<T> {
            let Self { geometry, alpha, bias, x, grad_y } = self;
            let one = [T::from_f64(1.0)];
            let taps = Taps { y: &one[..], x: &one[..] };
            assert!(is_pointwise(geometry, taps));
            let y = forward(geometry, &Forward { taps, alpha, bias: Some(bias), x });
            let wanted = Wanted { x: true, alpha: true, bias: false, sigma: false };
            let gradients = backward(geometry, &Backward { taps, d_taps: None, alpha, x, grad_y, wanted });
            [y, gradients.x.unwrap(), gradients.alpha.unwrap()]
        }

        fn here(&self, isa: Isa) -> Results<T> {
            self.run(|g, call| forward(g, call, isa), |g, call| backward(g, call, isa))
        }

        fn reference(&self) -> Results<T> {
            self.run(|g, call| reference::forward(g, call).unwrap(), |g, call| reference::backward(g, call).unwrap())
        }
    }

    fn agrees<T: Real>(shape: Shape) {
        // Small integers: every sum is exact in either type, whatever its order.
        let arguments = Arguments::<T>::new(shape.geometry(), |i| ((i * i + 31 * i) % 13) as f64 - 6.0);
        let expected = arguments.reference();
        for isa in Isa::ALL {
            for (what, (ours, expected)) in ["y", "∂x", "∂α"].iter().zip(arguments.here(isa).iter().zip(&expected))
            {
                assert!(ours == expected, "{what} of {shape:?}, {isa:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn agrees_with_the_reference(
            (batch, groups, group_in, group_out) in (1usize..6, 1usize..4, 1usize..20, 1usize..20),
            size in [1usize..28, 1usize..28],
        ) {
            let shape = Shape { batch, groups, group_in, group_out, size };
            agrees::<f32>(shape);
            agrees::<f64>(shape);
        }
    }

    /// Several images in a tile, bands of one image, a batch of none.
    #[test]
    fn tiles_and_bands() {
        for (batch, size) in [(40, [7, 7]), (1, [67, 91]), (18, [13, 30]), (0, [3, 5])] {
            agrees::<f32>(Shape { batch, groups: 1, group_in: 5, group_out: 7, size });
        }
    }

    #[test]
    fn thread_count_does_not_change_a_bit() {
        let shape = Shape { batch: 11, groups: 2, group_in: 9, group_out: 17, size: [21, 34] };
        let arguments = Arguments::<f32>::new(shape.geometry(), |i| (i as f64).sin());
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| arguments.here(Isa::Best))
        };
        assert_eq!(on(1), on(4));
    }

    #[test]
    fn filters_that_do_something_are_told_apart() {
        let axis = AxisConfig { input: 5, radius: 0, stride: 1, padding: (0, 0) };
        let is = |axis, order, tap: f32| {
            let taps = vec![tap; (order + 1) * 3];
            let config =
                GeometryConfig { batch: 1, channels_in: 2, channels_out: 2, groups: 1, order, y: axis, x: axis };
            let geometry = Geometry::new(config).unwrap();
            let taps = &taps[..(order + 1) * geometry.x.taps()];
            is_pointwise(&geometry, Taps { y: taps, x: taps })
        };
        assert!(is(axis, 0, 1.0));
        assert!(!is(axis, 0, 0.5));
        assert!(!is(axis, 1, 1.0));
        assert!(!is(AxisConfig { stride: 2, ..axis }, 0, 1.0));
        assert!(!is(AxisConfig { padding: (1, 0), ..axis }, 0, 1.0));
        assert!(!is(AxisConfig { radius: 1, padding: (1, 1), ..axis }, 0, 1.0));
    }
}
