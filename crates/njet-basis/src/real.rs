//! The number types taps are handed out in.

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// `f32` or `f64`: what taps, always computed in `f64`, can be rounded to.
pub trait Real: Copy + sealed::Sealed {
    /// Rounds to the nearest representable value.
    fn from_f64(value: f64) -> Self;
}

impl Real for f32 {
    fn from_f64(value: f64) -> Self {
        value as f32
    }
}

impl Real for f64 {
    fn from_f64(value: f64) -> Self {
        value
    }
}
