//! The speed of one layer, on the engine alone.

use super::cases::LayerCase;
use super::timing::{Runs, median_ms};
use anyhow::Result;
use njet::data::{Random, Stream};
use njet_kernels::engine::{self, Options};
use njet_kernels::{Backward, Forward, Taps, Wanted};
use std::hint::black_box;

/// What a layer took, in milliseconds, and how it was run.
#[derive(Debug, Clone, Copy)]
pub struct LayerTimes {
    pub forward: f64,
    pub forward_backward: f64,
    /// Pixels between the samples along y and x of the forward and of the backward pass: 1 but with a band limit.
    pub steps: [[usize; 2]; 2],
}

/// Times the forward pass, and forward and backward with the gradients of x, α and σ.
pub fn measure(case: &LayerCase, options: Options, runs: Runs) -> Result<LayerTimes> {
    let geometry = &case.geometry;
    let mut random = Random::for_stream(0, Stream::Weights, 0);
    let mut noise = |len: usize| (0..len).map(|_| 2.0 * random.uniform() - 1.0).collect::<Vec<f32>>();
    let (x, grad_y, alpha) = (noise(geometry.input_len()), noise(geometry.output_len()), noise(geometry.alpha_len()));
    let (taps, d_taps) = (case.taps.values_as::<f32>(), case.taps.d_sigma_as::<f32>());
    let taps = Taps { y: &taps[..], x: &taps[..] };
    let forward = Forward { taps, alpha: &alpha, bias: None, x: &x };
    let backward = Backward {
        taps,
        d_taps: Some(Taps { y: &d_taps[..], x: &d_taps[..] }),
        alpha: &alpha,
        x: &x,
        grad_y: &grad_y,
        wanted: Wanted { bias: false, ..Wanted::ALL },
    };
    // A call that is wrong is refused at once: after these two no other can fail.
    engine::forward(geometry, &forward, options)?;
    engine::backward(geometry, &backward, options)?;
    let once_forward = || {
        black_box(engine::forward(geometry, &forward, options).expect("checked above"));
    };
    let once_both = || {
        black_box(engine::forward(geometry, &forward, options).expect("checked above"));
        black_box(engine::backward(geometry, &backward, options).expect("checked above"));
    };
    Ok(LayerTimes {
        forward: median_ms(runs, once_forward),
        forward_backward: median_ms(runs, once_both),
        steps: [
            engine::band_step(geometry, &forward, options)?,
            engine::band_step_backward(geometry, &backward, options)?,
        ],
    })
}
