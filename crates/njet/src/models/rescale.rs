//! A trained model at another resolution: every σ times a factor, the coefficients as they are.

use super::block::Convolution;
use super::classifier::Classifier;
use crate::layer::{LayerWarning, Stride};
use njet_basis::BasisError;
use std::fmt;

/// A model that cannot be rescaled.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RescaleError {
    /// The factor is none.
    #[error("the scale factor is {0}: it must be above 0 and finite")]
    Factor(f64),
    /// The filters of a layer cannot be built at the new σ.
    #[error("layer {layer} at σ × {factor}: {source}; choose a factor nearer to 1")]
    Scale {
        /// Name of the layer.
        layer: String,
        /// The factor.
        factor: f64,
        /// What is wrong with the new σ.
        source: BasisError,
    },
}

/// A part of a model whose size in pixels is not learned, so it stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FixedPart {
    /// A plain spatial convolution.
    Convolution {
        /// Taps along y and x.
        kernel: [usize; 2],
    },
    /// The stride of a convolution.
    Stride {
        /// Along y and x, in pixels.
        stride: [usize; 2],
    },
    /// A pooling.
    Pooling {
        /// Side of its window in pixels.
        side: usize,
        /// Distance between its outputs in pixels.
        stride: usize,
    },
}

/// A part that does not rescale, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// Name of the block.
    pub name: String,
    /// What stays as it is.
    pub part: FixedPart,
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, part } = self;
        match part {
            FixedPart::Convolution { kernel: [y, x] } => write!(f, "the {y}×{x} convolution of {name}"),
            FixedPart::Stride { stride: [y, x] } if y == x => write!(f, "the stride of {y} of {name}"),
            FixedPart::Stride { stride: [y, x] } => write!(f, "the stride of {y} along y and {x} along x of {name}"),
            FixedPart::Pooling { side, stride } => {
                write!(f, "the pooling of {side}×{side} pixels at every {stride} after {name}")
            }
        }
    }
}

/// What came of rescaling.
#[derive(Debug)]
pub struct Rescaled {
    /// The model.
    pub model: Classifier,
    /// What does not rescale, in the order of the network. Where it is empty, the new model does to an image
    /// enlarged by the factor what the old one does to the image, but for sampling and borders.
    pub fixed: Vec<Fixed>,
    /// What is unusual about the rescaled layers, with their names.
    pub warnings: Vec<(String, LayerWarning)>,
}

impl Classifier {
    /// The model for images enlarged by `factor`: σ of every N-jet layer times `factor`, all weights untouched.
    ///
    /// Derivatives are normalised by σ, so coefficients mean the same at every scale (Pintea et al. 2021, section 3).
    ///
    /// # Errors
    /// A factor that is not positive and finite; a layer whose filters cannot be built at the new σ.
    pub fn rescale(&self, factor: f64) -> Result<Rescaled, RescaleError> {
        if !(factor > 0.0 && factor.is_finite()) {
            return Err(RescaleError::Factor(factor));
        }
        let mut model = self.clone();
        let (mut fixed, mut warnings) = (Vec::new(), Vec::new());
        for block in &mut model.blocks {
            let mut stays = |part| fixed.push(Fixed { name: block.name.clone(), part });
            let kernel = block.convolution.kernel_size();
            match &mut block.convolution {
                Convolution::Njet(layer) => {
                    let (rescaled, unusual) = layer.clone().rescale(factor);
                    rescaled.settings().check_scales().map_err(|source| RescaleError::Scale {
                        layer: block.name.clone(),
                        factor,
                        source,
                    })?;
                    // A stride that follows σ rescales with it.
                    if let Stride::Fixed(stride) = rescaled.stride
                        && stride != [1, 1]
                    {
                        stays(FixedPart::Stride { stride });
                    }
                    warnings.extend(unusual.into_iter().map(|warning| (block.name.clone(), warning)));
                    *layer = rescaled;
                }
                Convolution::Conv(layer) => {
                    if kernel != [1, 1] {
                        stays(FixedPart::Convolution { kernel });
                    }
                    if layer.stride != [1, 1] {
                        stays(FixedPart::Stride { stride: layer.stride });
                    }
                }
            }
            if let Some(pool) = block.pool {
                stays(FixedPart::Pooling { side: pool.side(), stride: pool.stride() });
            }
        }
        Ok(Rescaled { model, fixed, warnings })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Architecture, LayerKind, ModelConfig};
    use burn::tensor::{Device, Tensor};

    fn fixed(config: &ModelConfig) -> Vec<String> {
        let model = config.init(&Device::flex()).unwrap();
        model.rescale(2.0).unwrap().fixed.iter().map(Fixed::to_string).collect()
    }

    #[test]
    fn scales_are_multiplied_and_weights_untouched() {
        let device = Device::flex().autodiff();
        let config = ModelConfig { sigma: 1.5, ..ModelConfig::new(Architecture::EfficientNetB0, 3, 10) };
        let model = config.init(&device).unwrap();
        let rescaled = model.rescale(0.5).unwrap().model;
        for ((name, old), (_, new)) in model.njet_layers().zip(rescaled.njet_layers()) {
            assert!((new.sigma() / old.sigma() - 0.5).abs() < 1e-6, "{name}");
            assert_eq!(new.alpha.val().into_data(), old.alpha.val().into_data(), "{name}");
            assert_eq!((new.log2_sigma.id, new.log2_sigma.is_require_grad()), (old.log2_sigma.id, true), "{name}");
            let gradients =
                new.forward(Tensor::ones([1, new.groups * new.alpha.dims()[1], 4, 4], &device)).sum().backward();
            assert!(new.log2_sigma.val().grad(&gradients).is_some(), "{name} is trained on");
        }
    }

    #[test]
    fn what_stays_is_named() {
        let new = |arch| ModelConfig::new(arch, 3, 10);
        assert_eq!(fixed(&new(Architecture::NetworkInNetwork)), Vec::<String>::new());
        let pooling = |layer: &str| format!("the pooling of 2×2 pixels at every 2 after {layer}");
        assert_eq!(fixed(&new(Architecture::Small)), ["layer1", "layer2"].map(pooling));
        let resnet = fixed(&ModelConfig { layer: LayerKind::Conv, ..new(Architecture::ResNet18) });
        assert_eq!(resnet[..2], ["the 7×7 convolution of stem", "the stride of 2 of stem"]);
        assert_eq!(resnet[2], "the pooling of 3×3 pixels at every 2 after stem");
        // 17 windows, 4 strides, 1 pooling; the projections are 1×1.
        assert_eq!(resnet.len(), 17 + 4 + 1);
    }

    #[test]
    fn impossible_factors_are_refused_in_words() {
        let model = ModelConfig::new(Architecture::Small, 1, 10).init(&Device::flex()).unwrap();
        for factor in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let message = model.rescale(factor).unwrap_err().to_string();
            assert_eq!(message, format!("the scale factor is {factor}: it must be above 0 and finite"));
        }
        let message = model.rescale(1e6).unwrap_err().to_string();
        assert!(message.starts_with("layer layer1 at σ × 1000000: ") && message.contains("nearer to 1"), "{message}");
    }
}
