//! Filters that differ from output to output: the outputs stand at real distances, so each sees the Gaussian from
//! another place between its pixels.
//!
//! Along each axis the filters of an order are a matrix with a band of nonzero elements, `F_n` `[outputs, inputs]`, and
//! a plane `X` has the responses `F_i X F_jᵀ`. The adjoint is the same with the matrices transposed, so here too a pass
//! has two operations, *analyse* and *synthesise*.
//!
//! Vectors run across the axis that is not filtered: a tap is one number for all lanes, whatever the output. Along y
//! that is as the plane lies; along x the plane is transposed first, and what comes out is transposed back, which costs
//! one load and one store an element against `(order + 1)(2R + 1)` multiply-adds.

mod axes;
mod plane;
mod transpose;

pub(super) use axes::Axes;
pub(super) use plane::{Filters, Stages};
