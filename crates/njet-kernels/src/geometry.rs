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

/// One image axis whose outputs stand `factor` input pixels apart, a real number, about the image's centre.
///
/// Output `p` is at [`centred_position`] and reads the `2R + 1` inputs about the nearest pixel, each output with
/// taps of its own. A factor below 1 puts the outputs closer than the inputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CentredAxis {
    /// Input pixels.
    pub input: usize,
    /// Output pixels.
    pub output: usize,
    /// Radius R of the taps in input pixels.
    pub radius: usize,
    /// Distance between outputs in input pixels.
    pub factor: f64,
}

/// Where output `p` of `outputs` stands among `inputs` pixels, in pixels from the first: the outputs are `factor`
/// apart and their middle is the image's.
///
/// ```
/// use njet_kernels::centred_position;
/// // Two outputs, 2.5 pixels apart, in the middle of five pixels.
/// assert_eq!([0, 1].map(|p| centred_position(p, 5, 2, 2.5)), [0.75, 3.25]);
/// ```
pub fn centred_position(p: usize, inputs: usize, outputs: usize, factor: f64) -> f64 {
    (p as f64 - 0.5 * (outputs as f64 - 1.0)) * factor + 0.5 * (inputs as f64 - 1.0)
}

/// One image axis, checked. Output `o` reads inputs `first(o) + t`, `t = 0 … 2R`; those
/// outside the image are zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Axis {
    pub(crate) input: usize,
    pub(crate) output: usize,
    pub(crate) radius: usize,
    pub(crate) stride: usize,
    pub(crate) pad: usize,
    /// Distance between outputs where it is real: then `stride` and `pad` mean nothing.
    pub(crate) factor: Option<f64>,
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
        Ok(Self { input, output: (padded - kernel) / stride + 1, radius, stride, pad: before, factor: None })
    }

    fn centred(config: CentredAxis, axis: &'static str) -> Result<Self, KernelError> {
        let CentredAxis { input, output, radius, factor } = config;
        if !(factor > 0.0 && factor.is_finite()) {
            return Err(KernelError::Factor { axis, factor: factor.to_string() });
        }
        if input == 0 || output == 0 {
            return Err(KernelError::NoPixels { axis, input, output });
        }
        let reach = factor * output as f64 + input as f64;
        if radius >= usize::MAX / 4 || reach >= f64::from(i32::MAX) {
            return Err(KernelError::TooLarge { what: "reach of the outputs" });
        }
        Ok(Self { input, output, radius, stride: 1, pad: 0, factor: Some(factor) })
    }

    /// The input under the first tap of output `o`; it may lie outside the image.
    pub(crate) fn first(&self, o: usize) -> isize {
        match self.factor {
            None => (o * self.stride) as isize - self.pad as isize,
            Some(factor) => {
                centred_position(o, self.input, self.output, factor).round() as isize - self.radius as isize
            }
        }
    }

    /// Where each output's nearest pixel is, and how far the output stands from it, −½ … ½: a tap at distance `t`
    /// from that pixel is at distance `t − offset` from the output.
    pub fn positions(&self) -> impl Iterator<Item = (isize, f64)> + '_ {
        (0..self.output).map(|o| {
            let nearest = self.first(o) + self.radius as isize;
            let position = self.factor.map(|factor| centred_position(o, self.input, self.output, factor));
            (nearest, position.map_or(0.0, |position| position - nearest as f64))
        })
    }

    /// Filters of 2R + 1 taps that the axis has: one for each output where it is centred.
    pub(crate) fn filters(&self) -> usize {
        if self.factor.is_some() { self.output } else { 1 }
    }

    /// Taps at each end that meet only zeros whatever the output: where the kernel is larger than
    /// the image, filters of `2(R − dead) + 1` taps do the same.
    pub(crate) fn dead_taps(&self) -> usize {
        if self.factor.is_some() {
            return 0;
        }
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

/// One layer call with outputs at real distances.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CentredConfig {
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
    pub y: CentredAxis,
    /// Columns.
    pub x: CentredAxis,
}

/// Which channels share their filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// All channels have the same filters.
    #[default]
    Layer,
    /// Each group has its own.
    Group,
    /// Each input channel has its own: the filters come first, then the product.
    Input,
    /// Each output channel has its own: the product comes first, then the filters.
    Output,
}

/// The shapes of one layer call, checked.
#[derive(Debug, Clone, Copy, PartialEq)]
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
    pub(crate) sharing: Sharing,
}

impl Geometry {
    /// Checks the shapes. All channels share their filters; see [`with_sharing`](Self::with_sharing).
    ///
    /// # Errors
    /// Order above [`MAX_ORDER`], channels that the groups do not divide, a stride of zero, a kernel
    /// larger than the padded input, arrays too large to address.
    pub fn new(config: GeometryConfig) -> Result<Self, KernelError> {
        let GeometryConfig { batch, channels_in, channels_out, groups, order, y, x } = config;
        Self::checked(batch, [channels_in, channels_out], groups, order, || {
            Ok([Axis::new(y, "y")?, Axis::new(x, "x")?])
        })
    }

    /// Checks the shapes of a call whose outputs stand at real distances.
    ///
    /// # Errors
    /// As for [`new`](Self::new); a factor that is not positive and finite; an axis without pixels.
    pub fn centred(config: CentredConfig) -> Result<Self, KernelError> {
        let CentredConfig { batch, channels_in, channels_out, groups, order, y, x } = config;
        let axes = || Ok([Axis::centred(y, "y")?, Axis::centred(x, "x")?]);
        Self::checked(batch, [channels_in, channels_out], groups, order, axes)
    }

    /// The same with other filters for each group or channel: arrays of taps then have a set for each, and so has the
    /// gradient of σ.
    pub fn with_sharing(self, sharing: Sharing) -> Self {
        Self { sharing, ..self }
    }

    /// The same for another number of images.
    pub(crate) fn with_batch(&self, batch: usize) -> Self {
        Self { batch, ..*self }
    }

    fn checked(
        batch: usize,
        [channels_in, channels_out]: [usize; 2],
        groups: usize,
        order: usize,
        axes: impl FnOnce() -> Result<[Axis; 2], KernelError>,
    ) -> Result<Self, KernelError> {
        if order > MAX_ORDER {
            return Err(KernelError::Order { order });
        }
        let divides = |channels: usize| channels > 0 && groups > 0 && channels.is_multiple_of(groups);
        if !divides(channels_in) || !divides(channels_out) {
            return Err(KernelError::Groups { channels_in, channels_out, groups });
        }
        let [y, x] = axes()?;
        let (group_in, group_out) = (channels_in / groups, channels_out / groups);
        let geometry = Self { batch, groups, group_in, group_out, order, y, x, sharing: Sharing::Layer };
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

    /// Sets of filters: one, or one for each group or channel.
    pub fn sets(&self) -> usize {
        match self.sharing {
            Sharing::Layer => 1,
            Sharing::Group => self.groups,
            Sharing::Input => self.channels_in(),
            Sharing::Output => self.channels_out(),
        }
    }

    /// The set of an input channel.
    ///
    /// # Panics
    /// If output channels have sets of their own, in a layer that is not depthwise.
    pub fn set_of_input(&self, channel: usize) -> usize {
        match self.sharing {
            Sharing::Layer => 0,
            Sharing::Group => channel / self.group_in,
            Sharing::Input => channel,
            // Depthwise: the two are one.
            Sharing::Output => {
                assert!(self.group_in == 1 && self.group_out == 1, "filters of output channels come after the product");
                channel
            }
        }
    }

    /// The set of an output channel.
    ///
    /// # Panics
    /// If input channels have sets of their own, in a layer that is not depthwise.
    pub fn set_of_output(&self, channel: usize) -> usize {
        match self.sharing {
            Sharing::Layer => 0,
            Sharing::Group => channel / self.group_out,
            Sharing::Output => channel,
            Sharing::Input => {
                assert!(self.group_in == 1 && self.group_out == 1, "filters of input channels come before the product");
                channel
            }
        }
    }

    /// Which channels share their filters.
    pub fn sharing(&self) -> Sharing {
        self.sharing
    }

    /// Order N of the N-jet.
    pub fn order(&self) -> usize {
        self.order
    }

    /// Whether outputs stand at real distances.
    pub fn is_centred(&self) -> bool {
        self.y.factor.is_some()
    }

    /// Elements of the taps along y and along x: `[sets, order + 1, 2R + 1]`, with `[outputs]` before the last where
    /// the outputs stand at real distances.
    pub fn taps_len(&self) -> [usize; 2] {
        [self.y, self.x].map(|axis| self.sets() * (self.order + 1) * axis.filters() * axis.taps())
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
