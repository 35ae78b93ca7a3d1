//! The size of images on the command line.

use std::str::FromStr;

/// Any size, or one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Any.
    Free,
    /// Rows and columns.
    Pixels([usize; 2]),
}

/// The longest side.
const MOST: usize = 16_384;

impl FromStr for Size {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "free" {
            return Ok(Self::Free);
        }
        let side = |text: &str| text.trim().parse().ok().filter(|side| (1..=MOST).contains(side));
        let (height, width) = text.split_once(['x', '×']).unwrap_or((text, text));
        let size = side(height).zip(side(width));
        size.map(|(height, width)| Self::Pixels([height, width]))
            .ok_or_else(|| format!("it is free, a side, or HEIGHTxWIDTH, of 1 to {MOST} pixels"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let size = |text: &str| text.parse::<Size>();
        assert_eq!(size("free"), Ok(Size::Free));
        assert_eq!(size("28"), Ok(Size::Pixels([28, 28])));
        assert_eq!(size("28x32"), Ok(Size::Pixels([28, 32])));
        for wrong in ["", "0", "x", "28x", "-3", "28x32x3", "99999", "big"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
