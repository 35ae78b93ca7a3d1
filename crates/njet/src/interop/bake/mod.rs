//! Baking: a layer or a model as plain operations, at its present σ.

mod kernels;
mod lower;
mod plain;
mod positioned;
mod transposed;

pub use plain::PlainNetwork;

use crate::interop::graph::{Convolve, Graph, Operation, Value, Zeros};
use crate::layer::{CallError, NJetConv2d, NJetConvTranspose2d, PaddingMode, around};
use crate::models::{Classifier, UNet};
use burn::module::Param;
use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::{Device, Tensor, TensorData};
use std::fmt;
use std::str::FromStr;

/// How an N-jet layer is written as plain convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// One convolution with the kernel built out.
    #[default]
    Dense,
    /// Depthwise convolutions along x and along y, then a 1×1; or the 1×1 first, where that takes fewer multiply-adds.
    Separable,
    /// Whichever of the two takes fewer multiply-adds, layer by layer.
    Cheaper,
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 3] = [Self::Dense, Self::Separable, Self::Cheaper];

    /// The name on the command line and in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Separable => "separable",
            Self::Cheaper => "cheaper",
        }
    }

    /// Whether a layer is made a chain, from the multiply-adds of its kernel and of its cheapest chain.
    fn is_separable(self, dense: f64, chain: f64) -> bool {
        match self {
            Self::Dense => false,
            Self::Separable => true,
            Self::Cheaper => chain < dense,
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Form {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|form| form.name() == name);
        known.ok_or_else(|| "known are dense, separable, cheaper".to_owned())
    }
}

/// How a layer or model is baked.
#[derive(Debug, Clone, PartialEq)]
pub struct Baking {
    /// What becomes of the N-jet layers.
    pub form: Form,
    /// Whether batch normalisation becomes part of the convolution before it.
    pub fold_norm: bool,
    /// Rows and columns of the image; `None`: any.
    pub size: Option<[usize; 2]>,
}

impl Default for Baking {
    /// Dense kernels, normalisation folded, images of any size.
    fn default() -> Self {
        Self { form: Form::Dense, fold_norm: true, size: None }
    }
}

/// A layer that cannot be baked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BakeError {
    /// Outputs at real distances, for images of any size.
    #[error(
        "{layer} has a stride of {} pixels, no whole number: its outputs stand about the centre of the image, each with \
         taps of its own, so it is no convolution; for a fixed size of the image it is a matrix for each axis", by(*stride)
    )]
    RealStride {
        /// Its name.
        layer: String,
        /// Along y and x.
        stride: [f64; 2],
    },
    /// A published stride, for images of any size.
    #[error("{layer} resamples its input by its nearest pixels, {} apart: which they are depends on the size of the image, so fix it", by(*stride))]
    Resampled {
        /// Its name.
        layer: String,
        /// Along y and x.
        stride: [f64; 2],
    },
    /// A continued image with a stride, for images of any size.
    #[error(
        "{layer} has a stride of {} and continues the image beyond its border: how far depends on the size of the image, \
         so fix it", by(*stride)
    )]
    Border {
        /// Its name.
        layer: String,
        /// Along y and x.
        stride: [f64; 2],
    },
    /// A border where only a convolution was asked for.
    #[error(
        "{layer} continues the image beyond its border ({mode:?}), and a plain convolution knows zeros alone: bake it as a network"
    )]
    NoZeros {
        /// Its name.
        layer: String,
        /// How.
        mode: PaddingMode,
    },
    /// Settings or a size that the layer cannot be called with.
    #[error("{layer}: {source}")]
    Call {
        /// Its name.
        layer: String,
        /// Why.
        source: CallError,
    },
    /// An image of which nothing is left.
    #[error("images of {}×{} pixels are too small: nothing is left of them after {layer}", size[0], size[1])]
    TooSmall {
        /// After which layer.
        layer: String,
        /// Of the image.
        size: [usize; 2],
    },
}

fn by([y, x]: [f64; 2]) -> String {
    let short = |v: f64| format!("{:.3}", v).trim_end_matches('0').trim_end_matches('.').to_owned();
    if y == x { short(y) } else { format!("{} × {}", short(y), short(x)) }
}

impl NJetConv2d {
    /// The layer as one plain convolution, at its present σ: the same outputs to about 1e-6 of the largest.
    ///
    /// The kernel is cut where what goes is at most 1e-6 of its sum of magnitudes, for every output channel.
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use njet::NJetConv2dConfig;
    /// let device = Device::flex();
    /// let layer = NJetConv2dConfig::new([3, 8]).with_sigma(1.0).init(&device);
    /// let plain = layer.bake(&device)?;
    /// assert_eq!(plain.kernel_size, [11, 11]);
    /// let x = Tensor::<4>::ones([1, 3, 16, 16], &device);
    /// let apart = (plain.forward(x.clone()) - layer.forward(x)).abs().max();
    /// assert!(apart.into_scalar::<f32>() < 1e-5);
    /// # Ok::<(), njet::interop::BakeError>(())
    /// ```
    ///
    /// # Errors
    /// A real stride other than 1; a border that is not zeros: see [`bake_network`](Self::bake_network).
    pub fn bake(&self, device: &Device) -> Result<Conv2d, BakeError> {
        let name = "the layer";
        if self.padding_mode != PaddingMode::Zeros {
            return Err(BakeError::NoZeros { layer: name.to_owned(), mode: self.padding_mode });
        }
        let mut graph = Graph::new(self.alpha.dims()[1] * self.groups, None);
        lower_layer(&mut graph, name, self, &Baking::default(), Value::Image, None)?;
        match graph.nodes.pop().map(|node| node.operation) {
            Some(Operation::Convolve(convolve)) => Ok(conv2d(&convolve, device)),
            other => unreachable!("a dense layer with zeros around became {other:?}"),
        }
    }

    /// The layer as a network of plain operations, in any form and with every stride and border.
    ///
    /// # Errors
    /// What depends on the size of the image, where that is not given.
    pub fn bake_network(&self, baking: &Baking, device: &Device) -> Result<PlainNetwork, BakeError> {
        Ok(PlainNetwork::new(&self.bake_graph(baking)?, device))
    }

    /// The layer as a list of plain operations.
    ///
    /// # Errors
    /// As for [`bake_network`](Self::bake_network).
    pub fn bake_graph(&self, baking: &Baking) -> Result<Graph, BakeError> {
        let mut graph = Graph::new(self.alpha.dims()[1] * self.groups, baking.size);
        lower_layer(&mut graph, "layer", self, baking, Value::Image, baking.size)?;
        Ok(graph)
    }
}

impl NJetConvTranspose2d {
    /// The layer as a network of plain operations, for images of the size that `baking` says or of any: transposed
    /// convolutions, or, where the stride is real, matrices.
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use njet::NJetConvTranspose2dConfig;
    /// use njet::interop::Baking;
    /// let device = Device::flex();
    /// let layer = NJetConvTranspose2dConfig::new([8, 4]).with_stride([2, 2]).init(&device);
    /// let plain = layer.bake_network(&Baking::default(), &device)?;
    /// let x = Tensor::<4>::ones([1, 8, 7, 9], &device);
    /// let apart = (plain.forward(x.clone()) - layer.forward(x)).abs().max();
    /// assert!(apart.into_scalar::<f32>() < 1e-5);
    /// # Ok::<(), njet::interop::BakeError>(())
    /// ```
    ///
    /// # Errors
    /// A real stride, where the size is not given.
    pub fn bake_network(&self, baking: &Baking, device: &Device) -> Result<PlainNetwork, BakeError> {
        Ok(PlainNetwork::new(&self.bake_graph(baking)?, device))
    }

    /// The layer as a list of plain operations.
    ///
    /// # Errors
    /// As for [`bake_network`](Self::bake_network).
    pub fn bake_graph(&self, baking: &Baking) -> Result<Graph, BakeError> {
        let Self { convolution, bias } = self;
        let [channels_in, group_out, _] = convolution.alpha.dims();
        let mut graph = Graph::new(channels_in, baking.size);
        let settings = convolution.settings();
        let alpha: Vec<f64> = convolution.alpha.val().into_data().iter::<f64>().collect();
        let transposed = transposed::Transposed {
            settings: &settings,
            alpha: &alpha,
            channels_in,
            channels_out: group_out * settings.groups,
            bias: bias.as_ref().map(|bias| bias.val().into_data().iter::<f32>().collect()),
        };
        let sizes = baking.size.map(|size| [size, self.output_size(size)]);
        transposed.lower(&mut graph, "layer", baking, Value::Image, sizes)?;
        Ok(graph)
    }
}

impl Classifier {
    /// The model with plain convolutions in the place of its N-jet layers, for evaluation.
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use njet::interop::Baking;
    /// use njet::models::{Architecture, ModelConfig};
    /// let device = Device::flex();
    /// let model = ModelConfig::new(Architecture::Small, 1, 10).init(&device)?;
    /// let plain = model.bake(&Baking::default(), &device)?;
    /// assert_eq!(plain.forward(Tensor::zeros([2, 1, 20, 24], &device)).dims(), [2, 10, 1, 1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Layers that depend on the size of the image, where that is not given; a size of which nothing is left.
    pub fn bake(&self, baking: &Baking, device: &Device) -> Result<PlainNetwork, BakeError> {
        Ok(PlainNetwork::new(&self.bake_graph(baking)?, device))
    }

    /// The model as a list of plain operations.
    ///
    /// # Errors
    /// As for [`bake`](Self::bake).
    pub fn bake_graph(&self, baking: &Baking) -> Result<Graph, BakeError> {
        lower::classifier(self, baking)
    }
}

impl UNet {
    /// The network with plain convolutions in the place of its N-jet layers, for evaluation.
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use njet::interop::Baking;
    /// use njet::models::UNetConfig;
    /// let device = Device::flex();
    /// let model = UNetConfig { widths: vec![4, 8, 8, 8], ..UNetConfig::new(1, 3) }.init(&device)?;
    /// let plain = model.bake(&Baking::default(), &device)?;
    /// assert_eq!(plain.forward(Tensor::zeros([2, 1, 21, 14], &device)).dims(), [2, 3, 21, 14]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Layers that depend on the size of the image, where that is not given.
    pub fn bake(&self, baking: &Baking, device: &Device) -> Result<PlainNetwork, BakeError> {
        Ok(PlainNetwork::new(&self.bake_graph(baking)?, device))
    }

    /// The network as a list of plain operations.
    ///
    /// # Errors
    /// As for [`bake`](Self::bake).
    pub fn bake_graph(&self, baking: &Baking) -> Result<Graph, BakeError> {
        lower::unet(self, baking)
    }
}

/// Adds what an N-jet layer does to `x`, an image of `size` where that is known.
pub(super) fn lower_layer(
    graph: &mut Graph,
    name: &str,
    layer: &NJetConv2d,
    baking: &Baking,
    x: Value,
    size: Option<[usize; 2]>,
) -> Result<Value, BakeError> {
    let settings = layer.settings();
    let named = |source| BakeError::Call { layer: name.to_owned(), source };
    let [channels_out, group_in, _] = layer.alpha.dims();
    let channels_in = group_in * layer.groups;
    let stride = settings.factors();
    let alpha: Vec<f64> = layer.alpha.val().into_data().iter::<f64>().collect();
    let bias: Option<Vec<f32>> = layer.bias.as_ref().map(|bias| bias.val().into_data().iter::<f32>().collect());
    let (x, size) = match (positioned::nearest(&settings, size), size) {
        (None, _) => (x, size),
        (Some(_), None) => return Err(BakeError::Resampled { layer: name.to_owned(), stride }),
        (Some(pixels), Some(_)) => positioned::pick(graph, name, pixels, x),
    };
    // An image as large as the kernel where there is none: it only has to be possible.
    let [height, width] = size.unwrap_or_else(|| layer.kernel_size());
    let call = settings.call([1, channels_in, height, width], channels_out).map_err(named)?;
    if call.geometry.is_centred() {
        if size.is_none() {
            return Err(BakeError::RealStride { layer: name.to_owned(), stride });
        }
        return Ok(positioned::lower(graph, name, &call, &alpha, bias, x));
    }
    let stride = call.stride;
    let kernels = kernels::Kernels::new(&call, &alpha, &settings.padding);
    let [ry, rx] = kernels.radius();
    let cut = kernels.cut();
    // The zeros or the border that the cut kernel needs; `None`: they depend on the size.
    let around = |axis: usize| {
        let taps = 2 * [ry, rx][axis] + 1;
        let margin = |(before, after): (usize, usize)| (before - cut[axis], after - cut[axis]);
        match (&settings.padding, size) {
            (PaddingConfig2d::Same, None) if stride[axis] > 1 => None,
            (PaddingConfig2d::Same, None) => Some((taps / 2, taps / 2)),
            (PaddingConfig2d::Same, Some(size)) => {
                Some(around(&settings.padding, axis, size[axis], taps, stride[axis]))
            }
            (explicit, _) => Some(margin(around(explicit, axis, 0, taps, 1))),
        }
    };
    let margins = match [around(0), around(1)] {
        [Some(y), Some(x)] => Some([y, x]),
        _ => None,
    };
    let none = Zeros::Explicit([(0, 0); 2]);
    let (x, zeros) = match (settings.padding_mode, margins) {
        (PaddingMode::Zeros, Some(margins)) => (x, Zeros::Explicit(margins)),
        (PaddingMode::Zeros, None) => (x, Zeros::Same),
        (_, None) => {
            let stride = stride.map(|stride| stride as f64);
            return Err(BakeError::Border { layer: name.to_owned(), stride });
        }
        (mode, Some(margins)) => (border(graph, name, mode, margins, size, x), none),
    };
    let place = kernels::Place { name, bias, stride, zeros };
    Ok(kernels.lower(graph, baking.form, place, x))
}

/// The image continued by itself. Where it is narrower than the margin, an engine's own padding cannot do it.
fn border(
    graph: &mut Graph,
    name: &str,
    mode: PaddingMode,
    margins: [(usize, usize); 2],
    size: Option<[usize; 2]>,
    x: Value,
) -> Value {
    let narrow = size.is_some_and(|size| (0..2).any(|a| margins[a].0.max(margins[a].1) >= size[a]));
    let (Some(size), Some(border), true) = (size, mode.border(), narrow) else {
        return graph.push(format!("{name}.border"), Operation::Border { mode, margins }, &[x]);
    };
    (0..2).fold(x, |x, axis| {
        let (n, (before, after)) = (size[axis], margins[axis]);
        let pixels = (-(before as isize)..(n + after) as isize).map(|i| border.pixel(i, n)).collect();
        let name = format!("{name}.border.{}", ["y", "x"][axis]);
        graph.push(name, Operation::Pick { axis: 2 + axis, pixels }, &[x])
    })
}

/// A convolution as Burn's.
pub(super) fn conv2d(convolve: &Convolve, device: &Device) -> Conv2d {
    let Convolve { weight, bias, stride, zeros, groups } = convolve;
    let [channels_out, group_in, height, width] = weight.shape[..] else { unreachable!("four axes") };
    let tensor = |values: &[f32]| TensorData::new(values.to_vec(), [values.len()]);
    let mut conv = Conv2dConfig::new([group_in * groups, channels_out], [height, width])
        .with_stride(*stride)
        .with_groups(*groups)
        .with_bias(false)
        .with_padding(match *zeros {
            Zeros::Same => PaddingConfig2d::Same,
            Zeros::Explicit([(top, bottom), (left, right)]) => PaddingConfig2d::Explicit(top, left, bottom, right),
        })
        .init(device);
    let data = TensorData::new(weight.values.clone(), [channels_out, group_in, height, width]);
    conv.weight = Param::from_tensor(Tensor::from_data(data, device));
    conv.bias = bias.as_ref().map(|bias| Param::from_tensor(Tensor::from_data(tensor(bias), device)));
    conv
}
