//! Networks of plain convolutions as networks of N-jet layers: a start for training, where the size of the filters is
//! learned from then on.

use super::fit::{Filters, Fit, FitConfig, FitError, Reach, SigmaPer, fit};
use crate::layer::SigmaSharing;
use crate::models::{Classifier, Convolution, LayerKind, ModelConfig, ModelError};
use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use njet_basis::{Discretisation, MAX_ORDER};

/// The least σ of a converted layer: below, a derivative's taps beside its centre all but vanish.
const LEAST_SIGMA: f64 = 0.45;

/// How to convert.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConvertConfig {
    /// Part of the energy of a layer's filters that may be lost.
    pub max_error: f64,
    /// The highest order that may be taken for it.
    pub order: usize,
    /// Extent of the new layers.
    pub extent: f64,
    /// Whether each output channel has a σ of its own.
    pub sharing: SigmaSharing,
}

impl Default for ConvertConfig {
    /// 1 % of the energy, orders up to 6, extent 4, one σ a layer.
    fn default() -> Self {
        Self { max_error: 0.01, order: 6, extent: 4.0, sharing: SigmaSharing::Layer }
    }
}

/// What cannot be converted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The model has no plain spatial convolutions.
    #[error("the model's spatial layers are N-jets already: name a run of `--layer conv`")]
    NoConvolutions,
    /// Its windows are of one pixel.
    #[error(
        "all windows of the model are of one pixel, and N-jets stand for larger ones: train a run with another `--conv-side`"
    )]
    OnePixel,
    /// A setting out of range.
    #[error("{setting} is {value}: it must be {allowed}")]
    Setting {
        /// Which.
        setting: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
    /// A layer's filters cannot be fitted.
    #[error("layer {layer}: {source}")]
    Fit {
        /// Its name.
        layer: String,
        /// Why.
        source: FitError,
    },
    /// The new model cannot be built.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// A layer that was converted.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvertedLayer {
    /// Its name.
    pub name: String,
    /// Rows and columns of the plain windows.
    pub window: [usize; 2],
    /// Order of the new layer.
    pub order: usize,
    /// Its σ in pixels.
    pub sigma: Vec<f64>,
    /// Part of the energy of its filters that is lost.
    pub error: f64,
    /// Weights before, coefficients after.
    pub weights: [usize; 2],
}

/// A model of N-jet layers that stands for one of plain convolutions.
#[derive(Debug)]
pub struct Conversion {
    /// Its settings.
    pub config: ModelConfig,
    /// The model, in evaluation mode.
    pub model: Classifier,
    /// Its layers, in the order of the network.
    pub layers: Vec<ConvertedLayer>,
}

/// The same network with N-jet layers in the place of its plain spatial convolutions, each fitted to the filters there.
/// Where there is a stride and an even number of pixels, the outputs of N-jet layers, and with them the shortcuts, stand one
/// pixel further on: the new network then sees what the old one sees of the image shifted by that.
///
/// Each layer has the lowest order that loses no more than `max_error`, and the largest σ with which it does so; if there is
/// none, what loses least.
///
/// # Errors
/// The model has no plain spatial convolutions; a setting is out of range; weights that are not finite.
pub fn convert(model: &Classifier, config: &ModelConfig, settings: &ConvertConfig) -> Result<Conversion, ConvertError> {
    check(settings)?;
    if config.layer != LayerKind::Conv {
        return Err(ConvertError::NoConvolutions);
    }
    let mut layers = Vec::new();
    let mut fits = Vec::new();
    let mut converted = ModelConfig {
        layer: LayerKind::Njet,
        conv_side: None,
        extent: settings.extent,
        learn_sigma: true,
        sharing: settings.sharing,
        separate_axes: false,
        discretisation: Discretisation::NormalizedSampled,
        ..config.clone()
    };
    for block in &model.blocks {
        let Convolution::Conv(layer) = &block.convolution else { continue };
        if layer.kernel_size == [1, 1] {
            continue;
        }
        let shape = layer.weight.dims();
        let weights: Vec<f64> = layer.weight.val().into_data().iter::<f64>().collect();
        let filters = Filters::new(&weights, shape);
        let failed = |source| ConvertError::Fit { layer: block.name.clone(), source };
        let filters = filters.map_err(failed)?;
        let fitted = lowest(&filters, settings).map_err(failed)?;
        layers.push(ConvertedLayer {
            name: block.name.clone(),
            window: layer.kernel_size,
            order: fitted.config.order,
            sigma: fitted.sigma.clone(),
            error: 1.0 - fitted.explained_energy(),
            weights: [weights.len(), fitted.alpha.len()],
        });
        fits.push(fitted);
    }
    if layers.is_empty() {
        return Err(ConvertError::OnePixel);
    }
    let highest = layers.iter().map(|layer| layer.order).max().expect("a layer");
    converted.order = highest;
    let other = layers.iter().filter(|layer| layer.order != highest);
    converted.orders = other.map(|layer| (layer.name.clone(), layer.order)).collect();
    let sigmas = || layers.iter().flat_map(|layer| layer.sigma.iter().copied());
    converted.bounds = sigmas().fold(converted.bounds, |bounds, sigma| bounds.widened_for(sigma));
    converted.sigma = (sigmas().map(f64::ln).sum::<f64>() / sigmas().count() as f64).exp();

    let fresh = converted.init(&Device::flex())?;
    let mut result = model.clone();
    let mut fits = fits.into_iter();
    for (block, new) in result.blocks.iter_mut().zip(fresh.blocks) {
        let Convolution::Njet(mut layer) = new.convolution else { continue };
        let Fit { sigma, alpha, .. } = fits.next().expect("one for each spatial layer");
        let shape = layer.alpha.dims();
        let alpha: Vec<f32> = alpha.into_iter().map(|a| a as f32).collect();
        layer.alpha = Param::from_tensor(Tensor::from_data(TensorData::new(alpha, shape), &Device::flex()));
        let parameters: Vec<f32> = sigma.iter().map(|&sigma| converted.bounds.parameter(sigma) as f32).collect();
        layer.log2_sigma = Param::from_tensor(Tensor::from_floats(parameters.as_slice(), &Device::flex()));
        block.convolution = Convolution::Njet(layer);
    }
    Ok(Conversion { config: converted, model: burn::module::Module::valid(&result), layers })
}

fn check(settings: &ConvertConfig) -> Result<(), ConvertError> {
    let ConvertConfig { max_error, order, sharing, .. } = *settings;
    let refused = |setting, value: String, allowed| Err(ConvertError::Setting { setting, value, allowed });
    if !(0.0..=1.0).contains(&max_error) {
        return refused("the error", max_error.to_string(), "a part from 0 to 1");
    }
    if order > MAX_ORDER {
        return refused("the highest order", order.to_string(), "at most 10");
    }
    if !matches!(sharing, SigmaSharing::Layer | SigmaSharing::Output) {
        return refused("the sharing of sigma", sharing.to_string(), "layer or output");
    }
    Ok(())
}

/// The fit of the lowest order within the error, or the best.
fn lowest(filters: &Filters<'_>, settings: &ConvertConfig) -> Result<Fit, FitError> {
    let [.., height, width] = filters.shape();
    // With one σ, a few filters stand for all of them until σ and the order are known.
    let condensed = if settings.sharing == SigmaSharing::Layer { filters.condensed() } else { None };
    if let Some(values) = condensed.filter(|values| !values.is_empty()) {
        let few = Filters::new(&values, [values.len() / (height * width), 1, height, width])?;
        let Fit { config, sigma, .. } = lowest(&few, settings)?;
        return fit(filters, &FitConfig { bounds: Some([sigma[0]; 2]), ..config });
    }
    let largest = LEAST_SIGMA.max(height.max(width) as f64);
    let config = |order, bounds| FitConfig {
        sigma_per: if settings.sharing == SigmaSharing::Output { SigmaPer::Output } else { SigmaPer::Layer },
        reach: Reach::Extent(settings.extent),
        bounds: Some(bounds),
        ..FitConfig::new(order)
    };
    let error = |fitted: &Fit| 1.0 - fitted.explained_energy();
    let mut best: Option<Fit> = None;
    for order in 0..=settings.order {
        let fitted = fit(filters, &config(order, [LEAST_SIGMA, largest]))?;
        if error(&fitted) <= settings.max_error {
            return match settings.sharing {
                SigmaSharing::Layer => {
                    smoothest(fitted, settings.max_error, largest, |sigma| fit(filters, &config(order, [sigma; 2])))
                }
                _ => Ok(fitted),
            };
        }
        if best.as_ref().is_none_or(|best| error(&fitted) < error(best)) {
            best = Some(fitted);
        }
    }
    Ok(best.expect("order 0 at least"))
}

/// The fit of the largest σ within the error, from one that is. Small windows are fitted best by derivatives so narrow that
/// their taps all but vanish and their coefficients are in the thousands: no start for training.
fn smoothest(
    mut best: Fit,
    max_error: f64,
    largest: f64,
    at: impl Fn(f64) -> Result<Fit, FitError>,
) -> Result<Fit, FitError> {
    let (mut low, mut high) = (best.sigma[0].ln(), largest.ln());
    while high - low > 1e-3 {
        let middle = 0.5 * (low + high);
        let fitted = at(middle.exp())?;
        if 1.0 - fitted.explained_energy() <= max_error {
            (low, best) = (middle, fitted);
        } else {
            high = middle;
        }
    }
    Ok(best)
}
