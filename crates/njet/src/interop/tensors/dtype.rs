//! Types of elements.

/// A type of elements in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// IEEE double.
    F64,
    /// IEEE single.
    F32,
    /// IEEE half.
    F16,
    /// The upper half of a single.
    Bf16,
    /// Signed.
    I64,
    /// Signed.
    I32,
    /// Signed.
    I16,
    /// Signed.
    I8,
    /// Unsigned.
    U64,
    /// Unsigned.
    U32,
    /// Unsigned.
    U16,
    /// Unsigned.
    U8,
    /// A byte, zero or not.
    Bool,
}

impl Dtype {
    /// Bytes of an element.
    pub const fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    pub(super) fn of_safetensors(dtype: safetensors::Dtype) -> Option<Self> {
        use safetensors::Dtype as S;
        Some(match dtype {
            S::F64 => Self::F64,
            S::F32 => Self::F32,
            S::F16 => Self::F16,
            S::BF16 => Self::Bf16,
            S::I64 => Self::I64,
            S::I32 => Self::I32,
            S::I16 => Self::I16,
            S::I8 => Self::I8,
            S::U64 => Self::U64,
            S::U32 => Self::U32,
            S::U16 => Self::U16,
            S::U8 => Self::U8,
            S::BOOL => Self::Bool,
            _ => return None,
        })
    }

    /// The storage classes of PyTorch, as `torch.FloatStorage`.
    pub(super) fn of_storage(class: &str) -> Option<Self> {
        Some(match class {
            "DoubleStorage" => Self::F64,
            "FloatStorage" => Self::F32,
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::Bf16,
            "LongStorage" => Self::I64,
            "IntStorage" => Self::I32,
            "ShortStorage" => Self::I16,
            "CharStorage" => Self::I8,
            "ByteStorage" => Self::U8,
            "BoolStorage" => Self::Bool,
            _ => return None,
        })
    }

    /// NumPy's letter and size, as in `<f4`.
    pub(super) fn of_numpy(kind: &str) -> Option<Self> {
        Some(match kind {
            "f8" => Self::F64,
            "f4" => Self::F32,
            "f2" => Self::F16,
            "i8" => Self::I64,
            "i4" => Self::I32,
            "i2" => Self::I16,
            "i1" => Self::I8,
            "u8" => Self::U64,
            "u4" => Self::U32,
            "u2" => Self::U16,
            "u1" => Self::U8,
            "b1" => Self::Bool,
            _ => return None,
        })
    }

    /// The number that [`size`](Self::size) bytes stand for.
    pub(crate) fn decode(self, bytes: &[u8], big_endian: bool) -> f64 {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        if big_endian {
            word[..bytes.len()].reverse();
        }
        let bits = u64::from_le_bytes(word);
        match self {
            Self::F64 => f64::from_bits(bits),
            Self::F32 => f64::from(f32::from_bits(bits as u32)),
            Self::F16 => half(bits as u16),
            Self::Bf16 => f64::from(f32::from_bits((bits as u32) << 16)),
            Self::I64 => bits as i64 as f64,
            Self::I32 => f64::from(bits as i32),
            Self::I16 => f64::from(bits as i16),
            Self::I8 => f64::from(bits as i8),
            Self::U64 => bits as f64,
            Self::U32 => f64::from(bits as u32),
            Self::U16 => f64::from(bits as u16),
            Self::U8 => f64::from(bits as u8),
            Self::Bool => f64::from(u8::from(bits != 0)),
        }
    }
}

/// IEEE binary16: one bit sign, five exponent, ten fraction.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let fraction = f64::from(bits & 0x3ff) / 1024.0;
    match i32::from(bits >> 10 & 0x1f) {
        0 => sign * fraction * 2f64.powi(-14),
        31 if fraction == 0.0 => sign * f64::INFINITY,
        31 => f64::NAN,
        exponent => sign * (1.0 + fraction) * 2f64.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_numbers() {
        let of = |dtype: Dtype, bytes: &[u8]| dtype.decode(bytes, false);
        for (bits, value) in
            [(0x3c00u16, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (0x0001, 2f64.powi(-24)), (0x3555, 0.333251953125)]
        {
            assert_eq!(of(Dtype::F16, &bits.to_le_bytes()), value);
        }
        assert_eq!(of(Dtype::F16, &0xfc00u16.to_le_bytes()), f64::NEG_INFINITY);
        assert!(of(Dtype::F16, &0x7e00u16.to_le_bytes()).is_nan());
        assert_eq!(of(Dtype::Bf16, &[0x20, 0xc0]), -2.5);
        assert_eq!(of(Dtype::F32, &1.5f32.to_le_bytes()), 1.5);
        assert_eq!(Dtype::F64.decode(&(-0.1f64).to_be_bytes(), true), -0.1);
        assert_eq!(of(Dtype::I64, &(-3i64).to_le_bytes()), -3.0);
        assert_eq!(of(Dtype::I8, &[0xff]), -1.0);
        assert_eq!(Dtype::U16.decode(&[1, 2], true), 258.0);
        assert_eq!(of(Dtype::Bool, &[7]), 1.0);
    }
}
