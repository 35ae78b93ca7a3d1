//! The layer against golden files; see `layer/golden.rs`.

mod layer;

use layer::{File, Implementation, engines, golden_folder, golden_layers};
use njet_basis::{Discretisation, TapSpec, Taps};

fn check<T: njet_kernels::Real>(implementation: Implementation, tolerance: f64) {
    for case in golden_layers() {
        for (what, error) in case.layer.run::<T>(implementation).errors(&case.expected) {
            assert!(error <= tolerance, "{}: {what} is off by {error:.2e} with {implementation:?}", case.name);
        }
    }
}

#[test]
fn reference_in_f64() {
    check::<f64>(Implementation::Reference, 1e-12);
}

#[test]
fn engine_in_f64() {
    for options in engines() {
        check::<f64>(Implementation::Engine(options), 1e-12);
    }
}

#[test]
fn engine_in_f32() {
    for options in engines() {
        check::<f32>(Implementation::Engine(options), 2e-5);
    }
}

#[test]
fn taps_of_the_layers() {
    for case in golden_layers() {
        let order = case.layer.geometry.jet().last().unwrap().0;
        let taps = Taps::new(&TapSpec::new(case.sigma, case.extent, order)).unwrap();
        compare(&case.name, taps.values(), &case.layer.taps);
        compare(&case.name, taps.d_sigma_values(), &case.layer.d_taps);
    }
}

#[test]
fn taps_of_the_other_discretisations() {
    let file = File::read(&golden_folder().join("taps_discretisations.safetensors"));
    let (order, extent) = (file.metadata["order"].parse().unwrap(), file.metadata["extent"].parse().unwrap());
    let others = [
        (Discretisation::Sampled, "sampled"),
        (Discretisation::Integrated, "integrated"),
        (Discretisation::DiscreteAnalogue, "discrete_analogue"),
    ];
    for sigma in ["0.6", "1.37", "3.1"] {
        for (discretisation, name) in others {
            let spec = TapSpec::new(sigma.parse().unwrap(), extent, order).with_discretisation(discretisation);
            let taps = Taps::new(&spec).unwrap();
            compare(name, taps.values(), &file.values(&format!("{name}.{sigma}.taps")));
            compare(name, taps.d_sigma_values(), &file.values(&format!("{name}.{sigma}.d_taps")));
        }
    }
}

fn compare(name: &str, ours: &[f64], expected: &[f64]) {
    let error = layer::error(ours, expected);
    assert!(error <= 1e-13, "{name}: taps are off by {error:.2e}");
}
