//! Combinations of derivatives that do not change when the image is turned.

use njet_basis::JetIndex;

const LX: JetIndex = JetIndex { y: 0, x: 1 };
const LY: JetIndex = JetIndex { y: 1, x: 0 };
const LXX: JetIndex = JetIndex { y: 0, x: 2 };
const LXY: JetIndex = JetIndex { y: 1, x: 1 };
const LYY: JetIndex = JetIndex { y: 2, x: 0 };

/// What does not turn with the image. Of scale-normalised derivatives it is scale-normalised itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Invariant {
    /// √(Lx² + Ly²): edges.
    GradientMagnitude,
    /// Lxx + Lyy: negative on bright blobs, positive on dark ones.
    Laplacian,
    /// Lxx·Lyy − Lxy²: positive on blobs, negative on saddles.
    HessianDeterminant,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::GradientMagnitude, Self::Laplacian, Self::HessianDeterminant];

    /// The kebab-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GradientMagnitude => "gradient-magnitude",
            Self::Laplacian => "laplacian",
            Self::HessianDeterminant => "hessian-determinant",
        }
    }

    /// The derivatives it is made of.
    pub const fn derivatives(self) -> &'static [JetIndex] {
        match self {
            Self::GradientMagnitude => &[LX, LY],
            Self::Laplacian => &[LXX, LYY],
            Self::HessianDeterminant => &[LXX, LXY, LYY],
        }
    }

    /// Their highest order.
    pub const fn order(self) -> usize {
        match self {
            Self::GradientMagnitude => 1,
            Self::Laplacian | Self::HessianDeterminant => 2,
        }
    }

    /// The invariant from the maps of its [`derivatives`](Self::derivatives), in their order and all of one size.
    ///
    /// ```
    /// use njet::scale_space::Invariant;
    /// assert_eq!(Invariant::GradientMagnitude.of(&[[3.0], [4.0]]), [5.0]);
    /// assert_eq!(Invariant::HessianDeterminant.of(&[[2.0], [1.0], [5.0]]), [9.0]);
    /// ```
    ///
    /// # Panics
    /// If there are not as many maps as derivatives.
    pub fn of(self, maps: &[impl AsRef<[f32]>]) -> Vec<f32> {
        let needed = self.derivatives().len();
        assert_eq!(maps.len(), needed, "the {} is made of {needed} derivatives", self.name());
        let maps: Vec<&[f32]> = maps.iter().map(AsRef::as_ref).collect();
        let pixels = 0..maps[0].len();
        match self {
            Self::GradientMagnitude => pixels.map(|i| maps[0][i].hypot(maps[1][i])).collect(),
            Self::Laplacian => pixels.map(|i| maps[0][i] + maps[1][i]).collect(),
            Self::HessianDeterminant => pixels.map(|i| maps[0][i] * maps[2][i] - maps[1][i] * maps[1][i]).collect(),
        }
    }
}
