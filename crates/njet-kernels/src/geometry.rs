//! Shapes of one layer call, checked once: everything behind them may rely on it.

use crate::KernelError;

/// The highest order of the N-jet.
pub const MAX_ORDER: usize = 10;

/// One image axis as the caller gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AxisConfig {
    /// Input pixels.
    pub input: usize,
    /// Radius R of the taps in pixels; there are 2R + 1.
    pub radius: usize,
    /// Distance between outputs in input pixels.
    pub stride: usize,
    /// Zeros before the first and after the last pixel.
    pub padding: (usize, usize),
}

/// One image axis, checked. Output `o` reads inputs `o·stride − pad + t`, `t = 0 … 2R`; those
/// outside the image are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    pub(crate) input: usize,
    pub(crate) output: usize,
    pub(crate) radius: usize,
    pub(crate) stride: usize,
    pub(crate) pad: usize,
}

impl Axis {
    fn new(config: AxisConfig, axis: &'static str) -> Result<Self, KernelError> {
        let AxisConfig { input, radius, stride, padding: (before, after) } = config;
        if stride == 0 {
            return Err(KernelError::Stride { axis });
        }
        let too_large = KernelError::TooLarge { what: "padded input" };
        let kernel = radius.checked_mul(2).and_then(|k| k.checked_add(1)).ok_or(too_large.clone())?;
        let padded = input.checked_add(before).and_then(|n| n.checked_add(after)).ok_or(too_large)?;
        if input == 0 || padded < kernel {
            return Err(KernelError::KernelLargerThanInput { axis, input, before, after, kernel });
        }
        Ok(Self { input, output: (padded - kernel) / stride + 1, radius, stride, pad: before })
    }

    /// Taps at each end that meet only zeros whatever the output: where the kernel is larger than
    /// the image, filters of `2(R − dead) + 1` taps do the same.
    pub(crate) fn dead_taps(&self) -> usize {
        let before = self.pad.saturating_sub((self.output - 1) * self.stride);
        let after = self.taps().saturating_sub(self.pad + self.input);
        before.min(after)
    }

    /// The axis without its dead taps.
    pub(crate) fn trimmed(&self) -> Self {
        let dead = self.dead_taps();
        Self { radius: self.radius - dead, pad: self.pad - dead, ..*self }
    }

    /// Input pixels.
    pub fn input(&self) -> usize {
        self.input
    }

    /// Output pixels.
    pub fn output(&self) -> usize {
        self.output
    }

    /// Taps of the 1-D filters, 2R + 1.
    pub fn taps(&self) -> usize {
        2 * self.radius + 1
    }
}

/// One layer call as the caller gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GeometryConfig {
    /// Images.
    pub batch: usize,
    /// Input channels.
    pub channels_in: usize,
    /// Output channels.
    pub channels_out: usize,
    /// Groups; both channel counts are multiples of it.
    pub groups: usize,
    /// Order N of the N-jet.
    pub order: usize,
    /// Rows.
    pub y: AxisConfig,
    /// Columns.
    pub x: AxisConfig,
}

/// The shapes of one layer call, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    pub(crate) batch: usize,
    pub(crate) groups: usize,
    /// Input channels of one group.
    pub(crate) group_in: usize,
    /// Output channels of one group.
    pub(crate) group_out: usize,
    pub(crate) order: usize,
    pub(crate) y: Axis,
    pub(crate) x: Axis,
}

impl Geometry {
    /// Checks the shapes.
    ///
    /// # Errors
    /// Order above [`MAX_ORDER`], channels that the groups do not divide, a stride of zero, a kernel
    /// larger than the padded input, arrays too large to address.
    pub fn new(config: GeometryConfig) -> Result<Self, KernelError> {
        let GeometryConfig { batch, channels_in, channels_out, groups, order, y, x } = config;
        if order > MAX_ORDER {
            return Err(KernelError::Order { order });
        }
        let divides = |channels: usize| channels > 0 && groups > 0 && channels.is_multiple_of(groups);
        if !divides(channels_in) || !divides(channels_out) {
            return Err(KernelError::Groups { channels_in, channels_out, groups });
        }
        let geometry = Self {
            batch,
            groups,
            group_in: channels_in / groups,
            group_out: channels_out / groups,
            order,
            y: Axis::new(y, "y")?,
            x: Axis::new(x, "x")?,
        };
        let addressable = |what, factors: &[usize]| {
            factors
                .iter()
                .try_fold(size_of::<f64>(), |n, &f| n.checked_mul(f))
                .filter(|&bytes| bytes <= isize::MAX as usize)
                .map(|_| ())
                .ok_or(KernelError::TooLarge { what })
        };
        addressable("input", &[batch, channels_in, geometry.y.input, geometry.x.input])?;
        addressable("output", &[batch, channels_out, geometry.y.output, geometry.x.output])?;
        addressable("alpha", &[channels_out, geometry.group_in, geometry.basis()])?;
        Ok(geometry)
    }

    /// Functions in the basis, B = (N+1)(N+2)/2.
    pub fn basis(&self) -> usize {
        (self.order + 1) * (self.order + 2) / 2
    }

    /// The orders `(i, j)` along y and x of each basis function in canonical order: by total degree,
    /// then by falling x-degree (L, Lx, Ly, Lxx, Lxy, Lyy, …).
    pub fn jet(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        (0..=self.order).flat_map(|degree| (0..=degree).rev().map(move |j| (degree - j, j)))
    }

    /// Rows of the image.
    pub fn y(&self) -> Axis {
        self.y
    }

    /// Columns of the image.
    pub fn x(&self) -> Axis {
        self.x
    }

    /// Input channels.
    pub fn channels_in(&self) -> usize {
        self.group_in * self.groups
    }

    /// Output channels.
    pub fn channels_out(&self) -> usize {
        self.group_out * self.groups
    }

    /// Pixels of an input plane.
    pub(crate) fn pixels_in(&self) -> usize {
        self.y.input * self.x.input
    }

    /// Pixels of an output plane.
    pub(crate) fn pixels_out(&self) -> usize {
        self.y.output * self.x.output
    }

    /// Elements of the input, `[batch, channels_in, height, width]`.
    pub fn input_len(&self) -> usize {
        self.batch * self.channels_in() * self.pixels_in()
    }

    /// Elements of the output, `[batch, channels_out, height_out, width_out]`.
    pub fn output_len(&self) -> usize {
        self.batch * self.channels_out() * self.pixels_out()
    }

    /// Elements of the coefficients, `[channels_out, channels_in / groups, B]`.
    pub fn alpha_len(&self) -> usize {
        self.channels_out() * self.group_in * self.basis()
    }
}

/// Place of basis function `(i, j)` in the canonical order.
pub(crate) fn jet_index(i: usize, j: usize) -> usize {
    let degree = i + j;
    degree * (degree + 1) / 2 + i
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(input: usize) -> AxisConfig {
        AxisConfig { input, radius: 2, stride: 1, padding: (2, 2) }
    }

    fn config() -> GeometryConfig {
        GeometryConfig { batch: 2, channels_in: 4, channels_out: 6, groups: 2, order: 3, y: axis(5), x: axis(7) }
    }

    #[test]
    fn canonical_order() {
        let geometry = Geometry::new(config()).unwrap();
        let jet: Vec<_> = geometry.jet().collect();
        assert_eq!(jet[..6], [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0)]);
        assert_eq!(jet.len(), geometry.basis());
        for (b, &(i, j)) in jet.iter().enumerate() {
            assert_eq!(jet_index(i, j), b);
        }
    }

    #[test]
    fn output_sizes() {
        let out = |input, radius, stride, padding| {
            Axis::new(AxisConfig { input, radius, stride, padding }, "x").map(|a| a.output)
        };
        assert_eq!(out(5, 2, 1, (2, 2)), Ok(5));
        assert_eq!(out(5, 2, 1, (0, 0)), Ok(1));
        assert_eq!(out(6, 1, 2, (1, 1)), Ok(3));
        assert_eq!(out(1, 4, 3, (4, 4)), Ok(1));
        assert!(matches!(out(4, 2, 1, (0, 0)), Err(KernelError::KernelLargerThanInput { kernel: 5, .. })));
    }

    #[test]
    fn taps_that_meet_only_zeros() {
        let dead = |input, radius, stride, padding| {
            Axis::new(AxisConfig { input, radius, stride, padding }, "x").unwrap().dead_taps()
        };
        assert_eq!(dead(7, 17, 1, (17, 17)), 11);
        assert_eq!(dead(1, 3, 1, (3, 3)), 3);
        assert_eq!(dead(32, 5, 1, (5, 5)), 0);
        assert_eq!(dead(7, 17, 3, (17, 17)), 11);
        assert_eq!(dead(7, 17, 1, (0, 30)), 0);
    }

    #[test]
    fn errors_say_what_and_where() {
        let message = |change: fn(&mut GeometryConfig)| {
            let mut c = config();
            change(&mut c);
            Geometry::new(c).unwrap_err().to_string()
        };
        assert!(message(|c| c.order = 11).contains("order 11 is too high"));
        assert!(message(|c| c.groups = 4).contains("4 input and 6 output channels cannot be divided into 4 groups"));
        assert!(message(|c| c.groups = 0).contains("0 groups"));
        assert!(message(|c| c.channels_in = 0).contains("0 input"));
        assert!(message(|c| c.x.stride = 0).contains("along x is 0"));
        assert!(message(|c| c.batch = usize::MAX / 8).contains("more elements than memory"));
        assert!(message(|c| c.y.radius = usize::MAX).contains("more elements than memory"));
    }
}
