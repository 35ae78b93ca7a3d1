//! The comparison must be able to fail.

mod comparison;

use comparison::assert_close;

#[test]
fn equal_arrays_pass_and_zero_wants_zero() {
    assert_close("equal", &[1.0, 0.0], &[1.0, 0.0], 0.0);
    assert_close("within", &[1.0 + 1e-7, 1e-7], &[1.0, 0.0], 2e-7);
    assert_close("all zero", &[0.0, -0.0], &[0.0, 0.0], 1e-3);
}

#[test]
#[should_panic(expected = "beyond: worst at [1]")]
fn the_worst_index_is_reported() {
    assert_close("beyond", &[1.1, 0.0, 0.9], &[1.0, 2.0, 1.0], 1e-3);
}

#[test]
#[should_panic(expected = "worst at [0]")]
fn nothing_but_zero_equals_zero() {
    assert_close("zero", &[1e-300], &[0.0], 1e-3);
}

#[test]
#[should_panic(expected = "worst at [1]")]
fn a_result_that_is_not_a_number_fails() {
    assert_close("nan", &[1.0, f64::NAN], &[1.0, 1.0], 1e3);
}

#[test]
#[should_panic(expected = "worst at [1]")]
fn a_reference_that_is_not_a_number_fails() {
    assert_close("nan", &[1.0, 1.0], &[1.0, f64::NAN], 1e3);
}
