//! Random shapes: the engine against the reference, and every gradient against central differences.

mod layer;
mod noise;

use layer::{Implementation, Layer, Results, engines};
use njet_basis::{TapSpec, Taps as BasisTaps};
use njet_kernels::engine::{Isa, LoopOrder, Options};
use njet_kernels::{AxisConfig, Forward, Geometry, GeometryConfig, Taps, engine, reference};
use noise::noise;
use proptest::prelude::*;

#[derive(Debug, Clone)]
struct Shape {
    batch: usize,
    groups: usize,
    group_in: usize,
    group_out: usize,
    order: usize,
    sigma: f64,
    extent: f64,
    size: [usize; 2],
    stride: [usize; 2],
    /// `None`: same; else (top, left, bottom, right).
    padding: Option<[usize; 4]>,
    seed: u64,
}

fn shapes(max_order: usize, max_size: usize) -> impl Strategy<Value = Shape> {
    (
        (1usize..4, 1usize..4, 1usize..4, 1usize..4),
        (0..=max_order, 0.4..2.5f64, 1.5..4.5f64),
        [1..=max_size, 1..=max_size],
        [1usize..4, 1usize..4],
        prop::option::of([0usize..12, 0usize..12, 0usize..12, 0usize..12]),
        any::<u64>(),
    )
        .prop_map(|((batch, groups, group_in, group_out), (order, sigma, extent), size, stride, padding, seed)| {
            Shape { batch, groups, group_in, group_out, order, sigma, extent, size, stride, padding, seed }
        })
}

fn taps(shape: &Shape, sigma: f64, radius: usize) -> BasisTaps {
    BasisTaps::with_radius(&TapSpec::new(sigma, shape.extent, shape.order), radius).unwrap()
}

/// `None` where the kernel does not fit into the padded image.
fn layer_of(shape: &Shape) -> Option<Layer> {
    let radius = njet_basis::radius(shape.sigma, shape.extent);
    let [top, left, bottom, right] = shape.padding.unwrap_or([radius; 4]);
    let axis =
        |axis: usize, padding| AxisConfig { input: shape.size[axis], radius, stride: shape.stride[axis], padding };
    let geometry = Geometry::new(GeometryConfig {
        batch: shape.batch,
        channels_in: shape.groups * shape.group_in,
        channels_out: shape.groups * shape.group_out,
        groups: shape.groups,
        order: shape.order,
        y: axis(0, (top, bottom)),
        x: axis(1, (left, right)),
    })
    .ok()?;
    let taps = taps(shape, shape.sigma, radius);
    Some(Layer {
        taps: taps.values().to_vec(),
        d_taps: taps.d_sigma_values().to_vec(),
        alpha: noise(shape.seed, geometry.alpha_len()),
        bias: noise(shape.seed ^ 1, geometry.channels_out()),
        x: noise(shape.seed ^ 2, geometry.input_len()),
        grad_y: noise(shape.seed ^ 3, geometry.output_len()),
        geometry,
    })
}

/// The same layer with the absolute value of every argument: its results are the sums of the
/// absolute values of the terms, which is what rounding errors are relative to.
fn magnitudes(layer: &Layer) -> Results {
    let absolute = |values: &[f64]| values.iter().map(|v| v.abs()).collect::<Vec<_>>();
    let layer = Layer {
        geometry: layer.geometry,
        taps: absolute(&layer.taps),
        d_taps: absolute(&layer.d_taps),
        alpha: absolute(&layer.alpha),
        bias: absolute(&layer.bias),
        x: absolute(&layer.x),
        grad_y: absolute(&layer.grad_y),
    };
    layer.run::<f64>(Implementation::Reference)
}

fn assert_close(ours: &Results, expected: &Results, scale: &Results, tolerance: f64) -> Result<(), TestCaseError> {
    let close = |what: &str, a: &[f64], b: &[f64], scale: &[f64]| {
        prop_assert_eq!(a.len(), b.len());
        let scale = scale.iter().fold(0.0, |m: f64, s| m.max(*s));
        for (i, (a, b)) in a.iter().zip(b).enumerate() {
            let off = (a - b).abs();
            prop_assert!(off <= tolerance * scale, "{what}[{i}] is off by {off:.2e} where terms sum to {scale:.2e}");
        }
        Ok(())
    };
    close("y", &ours.y, &expected.y, &scale.y)?;
    close("grad_x", &ours.grad_x, &expected.grad_x, &scale.grad_x)?;
    close("grad_alpha", &ours.grad_alpha, &expected.grad_alpha, &scale.grad_alpha)?;
    close("grad_bias", &ours.grad_bias, &expected.grad_bias, &scale.grad_bias)?;
    close("grad_sigma", &[ours.grad_sigma], &[expected.grad_sigma], &[scale.grad_sigma])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, max_global_rejects: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn engine_agrees_with_the_reference(shape in shapes(10, 40)) {
        let layer = layer_of(&shape);
        prop_assume!(layer.is_some());
        let layer = layer.unwrap();
        let expected = layer.run::<f64>(Implementation::Reference);
        let scale = magnitudes(&layer);
        for options in engines() {
            let engine = Implementation::Engine(options);
            // A few hundred roundings in either type.
            assert_close(&layer.run::<f64>(engine), &expected, &scale, 200.0 * f64::EPSILON)?;
            assert_close(&layer.run::<f32>(engine), &expected, &scale, 20.0 * f64::from(f32::EPSILON))?;
        }
    }

    #[test]
    fn gradients_agree_with_central_differences(shape in shapes(6, 12)) {
        let layer = layer_of(&shape);
        prop_assume!(layer.is_some());
        let layer = layer.unwrap();
        let radius = njet_basis::radius(shape.sigma, shape.extent);
        // The loss Σ y · grad_y, in f64, as a function of each argument.
        let loss = |taps: &[f64], alpha: &[f64], bias: &[f64], x: &[f64]| {
            let call = Forward { taps: Taps { y: taps, x: taps }, alpha, bias: Some(bias), x };
            let y = reference::forward(&layer.geometry, &call).unwrap();
            y.iter().zip(&layer.grad_y).map(|(y, g)| y * g).sum::<f64>()
        };
        let (taps_0, a, b, x) = (&layer.taps[..], &layer.alpha[..], &layer.bias[..], &layer.x[..]);
        // Linear in x, α and bias: a random direction, and a step that rounding does not see.
        let step = 0.5;
        let direction = |len| noise(shape.seed ^ 5, len);
        let moved = |v: &[f64], sign: f64| v.iter().zip(direction(v.len())).map(|(v, d)| v + sign * step * d).collect::<Vec<_>>();
        let slope = |up: f64, down: f64| (up - down) / (2.0 * step);
        let by_x = slope(loss(taps_0, a, b, &moved(x, 1.0)), loss(taps_0, a, b, &moved(x, -1.0)));
        let by_alpha = slope(loss(taps_0, &moved(a, 1.0), b, x), loss(taps_0, &moved(a, -1.0), b, x));
        let by_bias = slope(loss(taps_0, a, &moved(b, 1.0), x), loss(taps_0, a, &moved(b, -1.0), x));
        // σ: four points, so that the step's error is of fourth order.
        let h = 1e-3 * shape.sigma;
        let at = |k: f64| loss(taps(&shape, shape.sigma + k * h, radius).values(), a, b, x);
        let by_sigma = (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * h);

        let dot = |g: &[f64]| g.iter().zip(direction(g.len())).map(|(g, d)| g * d).sum::<f64>();
        let size = |g: &[f64]| g.iter().map(|g| g.abs()).sum::<f64>();
        let magnitudes = magnitudes(&layer);
        let scale = by_sigma.abs().max(1e-2 * magnitudes.grad_sigma);
        // A difference of losses cannot be finer than the roundings of either: terms up to twice those at zero moved.
        let terms = magnitudes.y.iter().zip(&layer.grad_y).map(|(y, g)| y * g.abs()).sum::<f64>();
        let rounding = 16.0 * f64::EPSILON * terms / step;
        for implementation in engines().into_iter().map(Implementation::Engine).chain([Implementation::Reference]) {
            let r = layer.run::<f64>(implementation);
            prop_assert!((dot(&r.grad_x) - by_x).abs() <= 1e-6 * size(&r.grad_x) + rounding, "x: {} {by_x} {implementation:?}", dot(&r.grad_x));
            prop_assert!((dot(&r.grad_alpha) - by_alpha).abs() <= 1e-6 * size(&r.grad_alpha) + rounding, "α {implementation:?}");
            prop_assert!((dot(&r.grad_bias) - by_bias).abs() <= 1e-6 * size(&r.grad_bias) + rounding, "bias {implementation:?}");
            prop_assert!((r.grad_sigma - by_sigma).abs() <= 1e-6 * scale + rounding * step / h, "σ: {} {by_sigma} {implementation:?}", r.grad_sigma);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_global_rejects: 20_000, ..ProptestConfig::default() })]

    /// Each factor of a product is off by 2⁻⁸ of itself at most, and so the product by 2⁻⁷ and a little, and what the filters make of it. Where
    /// there is no unit for it nothing is rounded.
    #[test]
    fn products_in_bf16_are_as_precise_as_their_factors(
        shape in shapes(3, 40),
        channels in [32usize..80, 32usize..80],
    ) {
        // Half of them whole strips of pixels and of channels.
        let whole = |n: usize, of: usize| if shape.seed % 2 == 0 { n.next_multiple_of(of) } else { n };
        let [group_in, group_out] = channels.map(|n| whole(n, 16));
        let (batch, size, stride) = (1 + shape.batch % 2, shape.size.map(|n| whole(n, 4)), if shape.seed % 4 < 3 { [1, 1] } else { shape.stride });
        let padding = if shape.seed % 2 == 0 { None } else { shape.padding };
        let shape = Shape { batch, groups: 1, group_in, group_out, size, stride, padding, ..shape };
        let layer = layer_of(&shape);
        prop_assume!(layer.is_some());
        let layer = layer.unwrap();
        let (expected, scale) = (layer.run::<f64>(Implementation::Reference), magnitudes(&layer));
        for loop_order in [LoopOrder::FilterThenMix, LoopOrder::MixThenFilter] {
            let run = |isa| {
                let options = Options { isa, loop_order: Some(loop_order), ..Options::default() };
                layer.run::<f32>(Implementation::Engine(options))
            };
            let (rounded, exact) = (run(Isa::Amx), run(Isa::Best));
            assert_close(&rounded, &expected, &scale, 0.01)?;
            let same = (rounded.y == exact.y, rounded.grad_x == exact.grad_x, rounded.grad_alpha == exact.grad_alpha);
            let taken = !Isa::Amx.is_available();
            prop_assert_eq!(same, (taken, taken, taken), "what is not rounded");
            // In f64 there is nothing faster.
            let options = Options { isa: Isa::Amx, loop_order: Some(loop_order), ..Options::default() };
            assert_close(&layer.run::<f64>(Implementation::Engine(options)), &expected, &scale, 200.0 * f64::EPSILON)?;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The gradient of σ of the first images, times what they stand for; the others are those of all.
    #[test]
    fn sigma_is_asked_of_the_first_images_alone(shape in shapes(3, 24), batch in 1usize..6, first in 1usize..7, depthwise in any::<bool>()) {
        let shape = if depthwise { Shape { group_in: 1, group_out: 1, batch, ..shape } } else { Shape { batch, ..shape } };
        let layer = layer_of(&shape);
        prop_assume!(layer.is_some());
        let layer = layer.unwrap();
        let some = layer_of(&Shape { batch: first.min(batch), ..shape.clone() }).unwrap();
        prop_assert!(layer.x.starts_with(&some.x) && layer.grad_y.starts_with(&some.grad_y));
        let times = batch as f64 / first.min(batch) as f64;
        let with_sigma_of_some = |all: Results, some: Results| Results { grad_sigma: times * some.grad_sigma, ..all };
        let reference = |layer: &Layer| layer.run::<f64>(Implementation::Reference);
        let expected = with_sigma_of_some(reference(&layer), reference(&some));
        let scale = with_sigma_of_some(magnitudes(&layer), magnitudes(&some));
        for options in engines() {
            for band_limit in [None, Some(1e-12)] {
                let options = Options { sigma_images: Some(first), band_limit, ..options };
                let ours = layer.run::<f64>(Implementation::Engine(options));
                assert_close(&ours, &expected, &scale, 200.0 * f64::EPSILON)?;
            }
        }
    }
}

/// Work is cut by shape: the same bits on one thread and on several.
#[test]
fn thread_count_does_not_change_a_bit() {
    let shape = |group_in, group_out| Shape {
        batch: 11,
        groups: 2,
        group_in,
        group_out,
        order: 2,
        sigma: 1.3,
        extent: 3.0,
        size: [21, 34],
        stride: [1, 1],
        padding: None,
        seed: 7,
    };
    // The tile unit multiplies from 32 channels on.
    let bf16 = Options { isa: Isa::Amx, ..Options::default() };
    for (shape, all) in [(shape(5, 6), engines()), (shape(33, 48), vec![bf16])] {
        let layer = layer_of(&shape).unwrap();
        for options in all {
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| layer.run::<f32>(Implementation::Engine(options)))
            };
            let (one, four) = (run(1), run(4));
            assert_eq!(one.y, four.y);
            assert_eq!(one.grad_x, four.grad_x);
            assert_eq!(one.grad_alpha, four.grad_alpha);
            assert_eq!(one.grad_sigma, four.grad_sigma);
        }
    }
}

/// Shapes that take the other branches: many small images in one product, one image in bands,
/// more channels than one block of responses holds.
#[test]
fn tiles_bands_and_blocks() {
    let shape = |batch, group_in, group_out, size| Shape {
        batch,
        groups: 1,
        group_in,
        group_out,
        order: 1,
        sigma: 0.7,
        extent: 2.0,
        size,
        stride: [1, 1],
        padding: None,
        seed: 3,
    };
    for shape in [shape(40, 2, 3, [7, 7]), shape(1, 2, 3, [80, 90]), shape(2, 50, 40, [66, 64])] {
        let layer = layer_of(&shape).unwrap();
        let expected = layer.run::<f64>(Implementation::Reference);
        for options in engines() {
            for (what, error) in layer.run::<f64>(Implementation::Engine(options)).errors(&expected) {
                assert!(error < 1e-11, "{shape:?} {options:?}: {what} {error:.2e}");
            }
        }
    }
}

#[test]
fn wrong_lengths_are_refused() {
    let shape = Shape {
        batch: 1,
        groups: 1,
        group_in: 1,
        group_out: 1,
        order: 1,
        sigma: 1.0,
        extent: 2.0,
        size: [5, 5],
        stride: [1, 1],
        padding: None,
        seed: 1,
    };
    let layer = layer_of(&shape).unwrap();
    let taps = Taps { y: &layer.taps[..], x: &layer.taps[..] };
    let call = Forward { taps, alpha: &layer.alpha[1..], bias: None, x: &layer.x };
    let message = engine::forward(&layer.geometry, &call, Default::default()).unwrap_err().to_string();
    assert_eq!(message, "forward: `alpha` has 2 elements, its shape [channels_out, channels_in / groups, B] needs 3");
}
