//! How well predicted masks agree with true ones.
//!
//! [`Confusion`] counts pixels, [`BoundaryF1`] compares outlines, and [`SizeIou`] tells objects apart by their size. All
//! are filled image by image and add up over a set; pixels whose truth is 255 count in none.

mod boundary;
mod confusion;
mod distance;
mod size;

pub use boundary::BoundaryF1;
pub use confusion::Confusion;
pub use size::{ObjectIou, SizeIou, SizeRange};

/// The mean of what there is; `None` where there is nothing.
fn mean(values: impl IntoIterator<Item = Option<f64>>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0);
    for value in values.into_iter().flatten() {
        (sum, count) = (sum + value, count + 1);
    }
    (count > 0).then(|| sum / f64::from(count))
}
