//! The layer against the oracle files; see `layer/oracle.rs`. Skipped where they are absent;
//! `golden.rs` always runs.

mod layer;

use layer::{Case, Implementation, engines, oracle_layers};
use njet_kernels::Real;

fn check<T: Real>(implementation: Implementation, tolerance: f64) {
    let Some(cases) = oracle_layers() else { return };
    let mut worst = (0.0, String::new());
    for Case { name, layer, expected, .. } in &cases {
        for (what, error) in layer.run::<T>(implementation).errors(expected) {
            assert!(error <= tolerance, "{name}: {what} is off by {error:.2e} with {implementation:?}");
            if error > worst.0 {
                worst = (error, format!("{what} of {name}"));
            }
        }
    }
    println!("{} oracle files, worst {:.1e} ({}), {implementation:?}", cases.len(), worst.0, worst.1);
}

#[test]
fn reference_in_f64() {
    check::<f64>(Implementation::Reference, 1e-12);
}

#[test]
fn engine_in_f64() {
    for options in engines() {
        check::<f64>(Implementation::Engine(options), 1e-10);
    }
}

#[test]
fn engine_in_f32() {
    for options in engines() {
        check::<f32>(Implementation::Engine(options), 2e-5);
    }
}
