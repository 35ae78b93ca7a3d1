//! Values of a map as the pixels of a picture.

/// How the values of a map are shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// Black to white from the first value to the second.
    Grey([f64; 2]),
    /// Blue, white at 0, red, as far as this on both sides.
    Diverging(f64),
    /// Grey with 0 in the middle, as far as this on both sides.
    GreySigned(f64),
}

impl Scale {
    /// What shows the range of a map whole: signed values about 0.
    pub fn of([least, greatest]: [f64; 2], signed: bool, colours: bool) -> Self {
        let reach = least.abs().max(greatest.abs());
        match (signed, colours) {
            (false, _) => Self::Grey([least, greatest]),
            (true, true) => Self::Diverging(reach),
            (true, false) => Self::GreySigned(reach),
        }
    }

    /// The values at the two ends.
    pub fn ends(self) -> [f64; 2] {
        match self {
            Self::Grey(ends) => ends,
            Self::Diverging(reach) | Self::GreySigned(reach) => [-reach, reach],
        }
    }

    /// Where a value stands between the ends, 0 … 1. Where they are one, in the middle if that is 0, else below.
    fn place(self, value: f32) -> f64 {
        let [least, greatest] = self.ends();
        match greatest - least {
            span if span > 0.0 => ((f64::from(value) - least) / span).clamp(0.0, 1.0),
            _ if matches!(self, Self::Grey(_)) => 0.0,
            _ => 0.5,
        }
    }

    /// Whether pixels are red, green and blue, not one byte of grey.
    pub fn coloured(self) -> bool {
        matches!(self, Self::Diverging(_))
    }

    /// The bytes of a picture.
    pub fn paint(self, map: &[f32]) -> Vec<u8> {
        let places = map.iter().map(|&value| self.place(value));
        match self {
            Self::Grey(_) | Self::GreySigned(_) => places.map(|place| byte(255.0 * place)).collect(),
            Self::Diverging(_) => places.flat_map(diverging).collect(),
        }
    }
}

fn byte(value: f64) -> u8 {
    value.round() as u8
}

/// Blue, white, red: dark at both ends, so that a strong response is dark on a white ground.
fn diverging(place: f64) -> [u8; 3] {
    const BLUE: [f64; 3] = [5.0, 48.0, 160.0];
    const RED: [f64; 3] = [165.0, 10.0, 30.0];
    let (end, strength) = if place < 0.5 { (BLUE, 1.0 - 2.0 * place) } else { (RED, 2.0 * place - 1.0) };
    end.map(|channel| byte(255.0 + strength * (channel - 255.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_in_the_middle_of_signed_maps() {
        assert_eq!(Scale::of([-2.0, 1.0], true, true), Scale::Diverging(2.0));
        let picture = Scale::Diverging(2.0).paint(&[-2.0, -1.0, 0.0, 2.0]);
        assert_eq!(picture, [[5, 48, 160], [130, 152, 208], [255, 255, 255], [165, 10, 30]].concat());
        assert_eq!(Scale::of([-2.0, 1.0], true, false).paint(&[-2.0, 0.0, 1.0]), [0, 128, 191]);
    }

    #[test]
    fn grey_spans_the_range() {
        assert_eq!(Scale::of([0.25, 0.75], false, true).paint(&[0.25, 0.5, 0.75]), [0, 128, 255]);
    }

    #[test]
    fn flat_maps_have_a_colour() {
        assert_eq!(Scale::of([0.0, 0.0], true, true).paint(&[0.0]), [255, 255, 255]);
        assert_eq!(Scale::of([0.0, 0.0], true, false).paint(&[0.0]), [128]);
        assert_eq!(Scale::of([0.5, 0.5], false, true).paint(&[0.5]), [0]);
    }
}
