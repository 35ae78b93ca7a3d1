//! The shape of a layer as it is written on the command line: `96x192x32`, `64x64x64/64`.

use std::fmt;
use std::str::FromStr;

/// Channels and image of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Input channels.
    pub channels_in: usize,
    /// Output channels.
    pub channels_out: usize,
    /// Rows and columns of the image.
    pub side: usize,
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

impl Shape {
    /// A layer of one group.
    pub const fn dense(channels_in: usize, channels_out: usize, side: usize) -> Self {
        Self { channels_in, channels_out, side, groups: 1 }
    }

    /// A layer with a filter of its own for each channel.
    pub const fn depthwise(channels: usize, side: usize) -> Self {
        Self { channels_in: channels, channels_out: channels, side, groups: channels }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { channels_in, channels_out, side, groups } = self;
        write!(f, "{channels_in}x{channels_out}x{side}")?;
        if *groups == 1 { Ok(()) } else { write!(f, "/{groups}") }
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (sizes, groups) = text.split_once('/').unwrap_or((text, "1"));
            let mut sizes = sizes.split('x').map(|size| size.parse().ok().filter(|&size| size > 0));
            let shape = Self {
                channels_in: sizes.next()??,
                channels_out: sizes.next()??,
                side: sizes.next()??,
                groups: groups.parse().ok().filter(|&groups| groups > 0)?,
            };
            sizes.next().is_none().then_some(shape)
        };
        parse().ok_or_else(|| {
            "a shape is three positive numbers, channels in × channels out × side, and after a slash the groups \
             if they are not 1: 96x192x32, 64x64x64/64"
                .to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        for (text, shape) in [("96x192x32", Shape::dense(96, 192, 32)), ("64x64x8/64", Shape::depthwise(64, 8))] {
            assert_eq!(text.parse(), Ok(shape));
            assert_eq!(shape.to_string(), text);
        }
    }

    #[test]
    fn no_shapes() {
        for text in ["", "3", "3x4", "3x4x5x6", "0x4x5", "3x4x5/0", "3x4x5/", "-3x4x5", "3x4x5/1/1", "axbxc"] {
            assert!(text.parse::<Shape>().unwrap_err().contains("96x192x32, 64x64x64/64"), "{text}");
        }
    }
}
