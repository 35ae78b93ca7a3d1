//! Batch normalisation with what follows it against its definition in f64 and central differences.

use njet_kernels::Nonlinearity;
use njet_kernels::batch_norm::{Activations, Norm, backward, forward, moments};
use proptest::prelude::*;

const EPSILON: f64 = 1e-5;

fn channel(shape: &Activations, x: &[f64], c: usize) -> Vec<f64> {
    let plane = |n: usize| (n * shape.channels + c) * shape.pixels;
    (0..shape.batch).flat_map(|n| x[plane(n)..plane(n) + shape.pixels].to_vec()).collect()
}

/// Straight from the definition.
fn reference(shape: &Activations, f: Nonlinearity, gamma: &[f64], beta: &[f64], x: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; x.len()];
    for c in 0..shape.channels {
        let values = channel(shape, x, c);
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        for (i, y) in y.iter_mut().enumerate().filter(|(i, _)| i / shape.pixels % shape.channels == c) {
            let z = gamma[c] * (x[i] - mean) / (variance + EPSILON).sqrt() + beta[c];
            *y = match f {
                Nonlinearity::Relu => z.max(0.0),
                Nonlinearity::Swish => z / (1.0 + (-z).exp()),
            };
        }
    }
    y
}

fn largest(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |m, d| if d > m || d.is_nan() { d } else { m })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_definition(
        f in prop::sample::select(vec![Nonlinearity::Relu, Nonlinearity::Swish]),
        (shape, x, gamma, beta, g) in (1usize..5, 1usize..5, 1usize..70).prop_flat_map(|(batch, channels, pixels)| {
            let shape = Activations { batch, channels, pixels };
            let values = |n| prop::collection::vec(-2.0..2.0f64, n);
            let n = shape.elements();
            (Just(shape), values(n), values(channels), values(channels), values(n))
        })
    ) {
        // A large common offset: the variance must not drown in the square of the mean.
        let x: Vec<f64> = x.iter().map(|v| v + 100.0).collect();
        let expected = reference(&shape, f, &gamma, &beta, &x);

        let (mean, variance) = moments(&shape, &x).unwrap();
        let norm = Norm { gamma: &gamma, beta: &beta, mean: &mean, variance: &variance, epsilon: EPSILON };
        let y = forward(&shape, &norm, f, &x).unwrap();
        prop_assert!(largest(&y, &expected) < 1e-9, "y: {}", largest(&y, &expected));

        // A random direction of all three arguments; a step that no kink of the ReLU may hide in.
        let gradients = backward(&shape, &norm, f, &x, &g).unwrap();
        let loss = |t: f64| {
            let moved = |v: &[f64], d: &[f64]| v.iter().zip(d).map(|(v, d)| v + t * d).collect::<Vec<_>>();
            let y = reference(&shape, f, &moved(&gamma, &beta), &moved(&beta, &gamma), &moved(&x, &g));
            y.iter().zip(&g).map(|(y, g)| y * g).sum::<f64>()
        };
        let active = |t: f64| {
            let moved = |v: &[f64], d: &[f64]| v.iter().zip(d).map(|(v, d)| v + t * d).collect::<Vec<_>>();
            let y = reference(&shape, f, &moved(&gamma, &beta), &moved(&beta, &gamma), &moved(&x, &g));
            y.iter().map(|&y| y > 0.0).collect::<Vec<_>>()
        };
        let h = 1e-6;
        let smooth = f == Nonlinearity::Swish || active(h) == active(-h);
        if smooth && shape.batch * shape.pixels > 1 {
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let slope = dot(&gradients.x, &g) + dot(&gradients.gamma, &beta) + dot(&gradients.beta, &gamma);
            let difference = (loss(h) - loss(-h)) / (2.0 * h);
            let scale = g.iter().map(|g| g.abs()).sum::<f64>().max(1.0) / variance.iter().fold(1.0f64, |m, v| m.min(*v)).sqrt();
            prop_assert!((slope - difference).abs() < 1e-5 * scale, "{slope} {difference}");
        }

        // f32 on the same numbers.
        let cast = |v: &[f64]| v.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        let (x32, gamma32, beta32) = (cast(&x), cast(&gamma), cast(&beta));
        let (mean, variance) = moments(&shape, &x32).unwrap();
        let norm = Norm { gamma: &gamma32, beta: &beta32, mean: &mean, variance: &variance, epsilon: EPSILON };
        let y: Vec<f64> = forward(&shape, &norm, f, &x32).unwrap().iter().map(|&v| f64::from(v)).collect();
        // x itself is rounded to 4e-6 there, and divided by the deviation.
        let smallest = variance.iter().fold(f32::INFINITY, |m, v| m.min(*v)).max(0.0);
        let bound = 1e-4 / (f64::from(smallest) + EPSILON).sqrt();
        prop_assert!(largest(&y, &expected) < bound, "f32 y: {} {bound}", largest(&y, &expected));
    }
}

#[test]
fn not_a_number_stays_visible() {
    let shape = Activations { batch: 1, channels: 1, pixels: 3 };
    let norm = Norm { gamma: &[1.0f32], beta: &[0.0], mean: &[0.0], variance: &[1.0], epsilon: EPSILON };
    for (f, [below, above]) in [(Nonlinearity::Relu, [0.0, 1.99999]), (Nonlinearity::Swish, [-0.26894, 1.76158])] {
        let y = forward(&shape, &norm, f, &[f32::NAN, -1.0, 2.0]).unwrap();
        assert!(y[0].is_nan() && (y[1] - below).abs() < 1e-4 && (y[2] - above).abs() < 1e-4, "{f:?}: {y:?}");
    }
}

#[test]
fn wrong_lengths_are_refused() {
    let shape = Activations { batch: 2, channels: 3, pixels: 4 };
    let message = moments(&shape, &[0.0f32; 23]).unwrap_err().to_string();
    assert_eq!(message, "moments: `x` has 23 elements, its shape [batch, channels, pixels] needs 24");
}
