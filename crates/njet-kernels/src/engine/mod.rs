//! The separable engine: the `k × k` kernel is never built.
//!
//! A layer is a short sum of separable filters, so 1-D filters along x and y give B responses for
//! each input channel and one product `[Cout × B·Cin] · [B·Cin × pixels]` mixes them. Responses are
//! made for a block of channels of one tile of pixels, used while they are in cache, and made
//! again in the backward pass: those of a whole batch never exist.
//!
//! Work is cut by shape alone, never by the number of threads, and partial sums are added in the
//! order of the cut: results are the same bits whatever the number of threads.

mod along_y;
mod asymmetric;
mod backward;
mod band_limited;
mod bands;
mod columns;
mod cost;
mod depthwise;
mod filter_then_mix;
mod filters;
mod fir;
mod line;
mod mix_then_filter;
mod orthogonal;
mod pack;
mod padded;
mod placement;
mod plane;
mod pointwise;
mod positioned;
mod product;
mod strips;
mod workspace;

pub use crate::isa::Isa;
use backward::Sums;
pub use band_limited::{DEFAULT_BAND_TOLERANCE, band_step, band_step_backward};
pub use cost::LoopOrder;
pub use orthogonal::NewtonSchulz;
pub(crate) use product::has_tile_unit;
pub(crate) use workspace::Workspace;

use crate::{Backward, Forward, Geometry, Gradients, KernelError, Real, Sharing, Taps, bias};

/// How to run a pass. The default chooses by counting operations.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Options {
    /// Which comes first, the filters or the product; `None`: the cheaper, and the one alone
    /// where the other has nothing to do: in depthwise layers and 1×1 convolutions.
    pub loop_order: Option<LoopOrder>,
    /// The instruction set.
    pub isa: Isa,
    /// Computes layers of large σ on a coarser lattice and interpolates, where the error stays within this
    /// tolerance; `None`, the default: never. [`DEFAULT_BAND_TOLERANCE`] is a choice. Filters cut at
    /// five σ and beyond profit; at two σ nothing below 1e-3 can be met. In exact arithmetic, with
    /// ‖W‖₁ = Σ|W| of the kernel from an input channel `c` to an output channel `o`,
    ///
    /// | | is off by at most |
    /// |---|---|
    /// | y | tolerance · max_o Σ_c ‖W‖₁ · max abs x |
    /// | ∂x | tolerance · max_c Σ_o ‖W‖₁ · max abs ∂y |
    /// | ∂α of `o`, `c`, `b` | 10 · tolerance · ‖basis_b‖₁ · max abs x · Σ abs ∂y of channel `o` |
    /// | ∂σ along an axis | 10 · tolerance · max_o Σ_c ‖∂W/∂σ‖₁ · max abs x · Σ abs ∂y |
    ///
    /// The bounds are computed from the taps and α of the call; a lattice that breaks one is not taken, and
    /// where none is left the pass is the ordinary one. See [`band_step`].
    pub band_limit: Option<f64>,
    /// Estimates the gradient of σ from the first so many images of the batch, at least one: theirs times as many as there are of
    /// them in the batch. `None`, the default: it is that of all. A σ is one number that every pixel has a say in, and
    /// images that it is not asked of take 0.6 to 0.8 of the time.
    pub sigma_images: Option<usize>,
}

/// How a layer is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By the product alone.
    Pointwise,
    /// By filters alone.
    Depthwise,
    Product(LoopOrder),
}

impl Way {
    fn of<T: Real>(geometry: &Geometry, taps: Taps<'_, T>, options: Options) -> Result<Self, KernelError> {
        let degenerate = depthwise::applies(geometry);
        // Filters that differ between channels must meet those channels.
        let only = match geometry.sharing {
            Sharing::Input if !degenerate => Some(LoopOrder::FilterThenMix),
            Sharing::Output if !degenerate => Some(LoopOrder::MixThenFilter),
            _ => None,
        };
        Ok(match (options.loop_order, only) {
            (Some(LoopOrder::MixThenFilter), Some(LoopOrder::FilterThenMix)) => {
                return Err(KernelError::Sharing { sharing: "input", order: "after the channels are mixed" });
            }
            (Some(LoopOrder::FilterThenMix), Some(LoopOrder::MixThenFilter)) => {
                return Err(KernelError::Sharing { sharing: "output", order: "before the channels are mixed" });
            }
            (Some(order), _) | (None, Some(order)) => Self::Product(order),
            (None, None) if pointwise::is_pointwise(geometry, taps) => Self::Pointwise,
            (None, None) if degenerate && !geometry.is_centred() => Self::Depthwise,
            (None, None) => Self::Product(LoopOrder::cheaper(geometry)),
        })
    }

    /// The same for a backward pass, which need not go the way of its forward pass.
    fn back<T: Real>(geometry: &Geometry, call: &Backward<'_, T>, options: Options) -> Result<Self, KernelError> {
        let either = options.loop_order.is_none() && matches!(geometry.sharing, Sharing::Layer | Sharing::Group);
        Ok(match Self::of(geometry, call.taps, options)? {
            Self::Product(_) if either && !call.wanted.sigma => {
                Self::Product(LoopOrder::cheaper_without_sigma(geometry, call.wanted))
            }
            way => way,
        })
    }
}

/// Computes the layer: `[batch, channels_out, height_out, width_out]`.
///
/// # Errors
/// A slice whose length is not that of its shape.
pub fn forward<T: Real>(geometry: &Geometry, call: &Forward<'_, T>, options: Options) -> Result<Vec<T>, KernelError> {
    T::forward(geometry, call, options)
}

pub(crate) fn run_forward<T: Real>(
    geometry: &Geometry,
    call: &Forward<'_, T>,
    options: Options,
) -> Result<Vec<T>, KernelError> {
    call.check(geometry)?;
    if let Some(y) = band_limited::forward(geometry, call, options) {
        return y;
    }
    Ok(match Way::of(geometry, call.taps, options)? {
        Way::Pointwise => pointwise::forward(geometry, call, options.isa),
        Way::Depthwise => depthwise::forward(geometry, call, options.isa),
        Way::Product(LoopOrder::FilterThenMix) => filter_then_mix::forward(geometry, call, options.isa),
        Way::Product(LoopOrder::MixThenFilter) => mix_then_filter::forward(geometry, call, options.isa),
    })
}

/// Computes the gradients that are wanted.
///
/// # Errors
/// A slice whose length is not that of its shape; the gradient of σ without `d_taps`.
pub fn backward<T: Real>(
    geometry: &Geometry,
    call: &Backward<'_, T>,
    options: Options,
) -> Result<Gradients<T>, KernelError> {
    T::backward(geometry, call, options)
}

pub(crate) fn run_backward<T: Real>(
    geometry: &Geometry,
    call: &Backward<'_, T>,
    options: Options,
) -> Result<Gradients<T>, KernelError> {
    call.check(geometry)?;
    let first = backward::sampled(geometry, call, options);
    let mut gradients = match Way::of(geometry, call.taps, options)? {
        Way::Product(_) if options.band_limit.is_none() => run_way_back(geometry, call, options)?,
        _ if first == geometry.batch => run_way_back(geometry, call, options)?,
        _ => {
            let options = Options { sigma_images: None, ..options };
            backward::apart(geometry, call, |geometry, call| run_way_back(geometry, call, options), first)?
        }
    };
    let by_bias = || bias::gradient(call.grad_y, geometry.channels_out(), geometry.pixels_out());
    gradients.bias = call.wanted.bias.then(by_bias);
    Ok(gradients)
}

fn run_way_back<T: Real>(
    geometry: &Geometry,
    call: &Backward<'_, T>,
    options: Options,
) -> Result<Gradients<T>, KernelError> {
    if let Some(gradients) = band_limited::backward(geometry, call, options) {
        return gradients;
    }
    Ok(match Way::back(geometry, call, options)? {
        // The gradient of σ needs responses of the derivative taps, which need not be trivial.
        Way::Pointwise if call.wanted.sigma => backward::backward(geometry, call, options, LoopOrder::FilterThenMix)?,
        Way::Pointwise => pointwise::backward(geometry, call, options.isa),
        Way::Depthwise => depthwise::backward(geometry, call, options.isa),
        Way::Product(order) => backward::backward(geometry, call, options, order)?,
    })
}

/// Fewest pieces of a pass: what keeps the threads of common machines busy at batch 1. A constant, so that
/// results do not depend on the machine.
const TASKS: usize = 16;

/// Pixels below which several images share a product: its packing costs the same for 49 columns as
/// for a few hundred.
const TILE_PIXELS: usize = 512;

/// Channels whose responses are in memory together: at most `block` elements of them, and as many in each block. A last block
/// of a few channels would read and write the whole output for little.
fn channels_per_block(block: usize, basis: usize, tile_pixels: usize, channels: usize) -> usize {
    let most = (block / (basis * tile_pixels)).clamp(1, channels);
    channels.div_ceil(channels.div_ceil(most))
}

/// Cuts `0..n` into pieces of `size`, the last one shorter.
fn pieces(n: usize, size: usize) -> impl ExactSizeIterator<Item = std::ops::Range<usize>> + Clone {
    (0..n.div_ceil(size)).map(move |i| i * size..((i + 1) * size).min(n))
}

/// Parts of the batch whose gradients are summed apart. More would keep more threads busy and take
/// more memory for partial sums of ∂α; it is a constant so that results do not depend on the machine.
const PARTS: usize = 8;

/// Images in one part of the batch.
fn images_per_part(batch: usize) -> usize {
    batch.div_ceil(PARTS).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AxisConfig, GeometryConfig, Wanted};

    #[test]
    fn each_kind_of_layer_goes_its_way() {
        let axis = AxisConfig { input: 16, radius: 3, stride: 1, padding: (3, 3) };
        let way = |channels_in, channels_out, groups, loop_order| {
            let config = GeometryConfig { batch: 2, channels_in, channels_out, groups, order: 2, y: axis, x: axis };
            let taps = Taps { y: &[0.5f32; 21], x: &[0.5; 21] };
            Way::of(&Geometry::new(config).unwrap(), taps, Options { loop_order, ..Options::default() }).unwrap()
        };
        assert_eq!(way(8, 8, 8, None), Way::Depthwise);
        assert_eq!(way(1, 1, 1, None), Way::Depthwise);
        assert_eq!(way(8, 16, 8, None), Way::Product(LoopOrder::FilterThenMix));
        assert_eq!(way(96, 192, 1, None), Way::Product(LoopOrder::FilterThenMix));
        assert_eq!(way(192, 10, 1, None), Way::Product(LoopOrder::MixThenFilter));
        let forced = Some(LoopOrder::MixThenFilter);
        assert_eq!(way(8, 8, 8, forced), Way::Product(LoopOrder::MixThenFilter));
    }

    #[test]
    fn without_the_gradient_of_sigma_a_layer_goes_back_the_cheaper_way() {
        use LoopOrder::{FilterThenMix, MixThenFilter};
        let axis = AxisConfig { input: 16, radius: 3, stride: 1, padding: (3, 3) };
        let way = |channels_in, channels_out, sharing, loop_order, [x, alpha, sigma]: [bool; 3]| {
            let config = GeometryConfig { batch: 2, channels_in, channels_out, groups: 1, order: 2, y: axis, x: axis };
            let geometry = Geometry::new(config).unwrap().with_sharing(sharing);
            let filters = if sharing == Sharing::Input { channels_in } else { 1 };
            let taps = vec![0.5f32; 21 * filters];
            let call = Backward {
                taps: Taps { y: &taps, x: &taps },
                d_taps: None,
                alpha: &[],
                x: &[],
                grad_y: &[],
                wanted: Wanted { x, alpha, bias: false, sigma },
            };
            Way::back(&geometry, &call, Options { loop_order, ..Options::default() }).unwrap()
        };
        let both = [true, true, false];
        assert_eq!(way(48, 48, Sharing::Layer, None, both), Way::Product(MixThenFilter));
        assert_eq!(way(48, 48, Sharing::Layer, None, [true; 3]), Way::Product(FilterThenMix));
        assert_eq!(way(48, 48, Sharing::Layer, Some(FilterThenMix), both), Way::Product(FilterThenMix));
        assert_eq!(way(48, 48, Sharing::Input, None, both), Way::Product(FilterThenMix));
        // The input's gradient alone is filtered once either way.
        assert_eq!(way(48, 48, Sharing::Layer, None, [true, false, false]), Way::Product(FilterThenMix));
        assert_eq!(way(48, 144, Sharing::Layer, None, both), Way::Product(FilterThenMix));
        assert_eq!(way(192, 10, Sharing::Layer, None, [true; 3]), Way::Product(MixThenFilter));
    }
}
