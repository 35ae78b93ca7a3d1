//! The gradients of the input and of the bias do not depend on the input: it may be left out.

mod noise;

use njet_kernels::engine::{self, DEFAULT_BAND_TOLERANCE, LoopOrder, Options};
use njet_kernels::{
    AxisConfig, Backward, CentredAxis, CentredConfig, Geometry, GeometryConfig, KernelError, Taps, Wanted, reference,
};
use noise::noise;

/// [input channels, output channels, groups], radius and order.
type Shape = ([usize; 3], usize, usize);

fn geometry(([channels_in, channels_out, groups], radius, order): Shape) -> Geometry {
    let axis = AxisConfig { input: 40, radius, stride: 1, padding: (radius, radius) };
    Geometry::new(GeometryConfig { batch: 2, channels_in, channels_out, groups, order, y: axis, x: axis }).unwrap()
}

fn centred([channels_in, channels_out, groups]: [usize; 3]) -> Geometry {
    let axis = CentredAxis { input: 23, output: 11, radius: 3, factor: 2.1 };
    let (y, x) = (axis, axis);
    Geometry::centred(CentredConfig { batch: 2, channels_in, channels_out, groups, order: 2, y, x }).unwrap()
}

/// A smooth filter, so that layers of large filters may be band-limited.
fn taps(geometry: &Geometry) -> Vec<f64> {
    let [len, _] = geometry.taps_len();
    let side = geometry.y().taps();
    let (radius, sigma) = ((side / 2) as f64, side as f64 / 12.0);
    let tap = |i: usize| {
        let t = (i % side) as f64 - radius;
        let odd = (i / side) % 2 == 1;
        (-0.5 * t * t / (sigma * sigma)).exp() / (2.5 * sigma) * if odd { -t / sigma } else { 1.0 }
    };
    // A layer of one tap is a 1×1 convolution.
    if side == 1 { vec![1.0; len] } else { (0..len).map(tap).collect() }
}

#[test]
fn every_way_does_without_it() {
    let whole: [Shape; 5] =
        [([4, 4, 4], 3, 2), ([6, 9, 1], 3, 2), ([9, 4, 1], 3, 2), ([5, 7, 1], 0, 0), ([8, 8, 1], 30, 0)];
    let geometries = whole.map(geometry).into_iter().chain([centred([6, 9, 1]), centred([9, 4, 1])]);
    let mut lattices = 0;
    for geometry in geometries {
        let taps = taps(&geometry);
        let (x, grad_y) = (noise(1, geometry.input_len()), noise(2, geometry.output_len()));
        let alpha = noise(3, geometry.alpha_len());
        let wanted = Wanted { x: true, alpha: false, bias: true, sigma: false };
        let call =
            Backward { taps: Taps { y: &taps, x: &taps }, d_taps: None, alpha: &alpha, x: &x, grad_y: &grad_y, wanted };
        let without = Backward { x: &[], ..call };
        assert_eq!(reference::backward(&geometry, &without), reference::backward(&geometry, &call));
        let orders = [None, Some(LoopOrder::FilterThenMix), Some(LoopOrder::MixThenFilter)];
        for loop_order in orders {
            for band_limit in [None, Some(DEFAULT_BAND_TOLERANCE)] {
                let options = Options { loop_order, band_limit, ..Options::default() };
                let expected = engine::backward(&geometry, &call, options).unwrap();
                assert_eq!(engine::backward(&geometry, &without, options), Ok(expected), "{geometry:?}, {options:?}");
                lattices += usize::from(engine::band_step_backward(&geometry, &without, options).unwrap() != [1, 1]);
            }
        }
    }
    assert!(lattices > 0, "no case was band-limited");
}

#[test]
fn where_it_is_read_it_must_be_there() {
    let geometry = geometry(([2, 3, 1], 2, 1));
    let taps = taps(&geometry);
    let (alpha, grad_y) = (noise(1, geometry.alpha_len()), noise(2, geometry.output_len()));
    let taps = Taps { y: &taps[..], x: &taps };
    for (alpha_wanted, sigma) in [(true, false), (false, true)] {
        let wanted = Wanted { x: true, alpha: alpha_wanted, bias: false, sigma };
        let call = Backward { taps, d_taps: Some(taps), alpha: &alpha, x: &[], grad_y: &grad_y, wanted };
        let error = engine::backward(&geometry, &call, Options::default()).unwrap_err();
        assert!(matches!(error, KernelError::Length { what: "x", got: 0, .. }), "{error}");
    }
}
