//! State dicts of N-jet networks in PyTorch.
//!
//! A layer `NAME` of such a network has `NAME.alphas`, \[B, inputs, outputs\], and `NAME.scales`, the s of σ = 2^s; its
//! basis stands in another order than ours ([`their_jet`]). Everything else has PyTorch's names. Modules are matched by
//! kind and order: the first N-jet layer of the file is the first of the network, the third convolution the third, and so
//! on, in the order of their names with numbers compared as numbers. What does not fit is listed, all of it.
//!
//! A file without N-jet layers is read as the twin of plain convolutions.

mod modules;

use super::tensors::{TensorError, TensorFile};
use crate::layer::SigmaBounds;
use crate::models::{Architecture, Block, Classifier, Convolution, Filters, Head, LayerKind, ModelConfig, ModelError};
use burn::module::{Param, RunningState};
use burn::tensor::{Device, Tensor, TensorData};
use modules::{Kind, Module, Modules};
use njet_basis::{JetIndex, MAX_ORDER, MAX_RADIUS, basis_len, radius};
use std::path::PathBuf;

/// The basis in the layout of PyTorch checkpoints: the derivative along y rises, that along x falls from N − y to 0.
///
/// ```
/// use njet::interop::import::their_jet;
/// let orders: Vec<_> = their_jet(2).map(|index| (index.y, index.x)).collect();
/// assert_eq!(orders, [(0, 2), (0, 1), (0, 0), (1, 1), (1, 0), (2, 0)]);
/// ```
pub fn their_jet(order: usize) -> impl Iterator<Item = JetIndex> {
    (0..=order).flat_map(move |y| (0..=order - y).rev().map(move |x| JetIndex { y, x }))
}

/// What cannot be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] TensorError),
    /// The layout of an architecture's checkpoints is not known.
    #[error(
        "checkpoints of {arch} are not known: its gates are convolutions too, and their names and order differ from \
         program to program"
    )]
    Architecture {
        /// The architecture.
        arch: Architecture,
    },
    /// The tensors of the file are not those of the architecture.
    #[error("{} does not fit {arch}: {}", path.display(), listed(problems))]
    Unfit {
        /// The file.
        path: PathBuf,
        /// The architecture.
        arch: Architecture,
        /// Everything that does not fit.
        problems: Vec<String>,
    },
    /// The model cannot be built at this extent.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// Problems that a message names.
const LISTED: usize = 16;

fn listed(problems: &[String]) -> String {
    match problems.len() {
        n if n <= LISTED => problems.join("; "),
        n => format!("{}; and {} more", problems[..LISTED].join("; "), n - LISTED),
    }
}

/// A model from another program.
#[derive(Debug)]
pub struct Imported {
    /// Its settings, as far as they show in the shapes.
    pub config: ModelConfig,
    /// The model, in evaluation mode.
    pub model: Classifier,
}

/// The model of an architecture with the weights of a file. Order, channels and classes follow from the shapes; the
/// extent is not in a file (published layers have 2).
///
/// # Errors
/// The file cannot be read, or does not fit; the architecture's layout is not known.
pub fn import(file: &TensorFile, arch: Architecture, extent: f64) -> Result<Imported, ImportError> {
    let network = arch.network();
    if network.blocks().any(|block| block.squeeze.is_some()) {
        return Err(ImportError::Architecture { arch });
    }
    let modules = Modules::of(file);
    let mut problems = modules.problems.clone();
    let unfit = |problems| ImportError::Unfit { path: file.path().to_owned(), arch, problems };

    // How many modules of each kind there are to be.
    let layer = if modules.of_kind(Kind::Njet).is_empty() { LayerKind::Conv } else { LayerKind::Njet };
    let spatial = network.blocks().filter(|block| block.filters != Filters::Pointwise).count();
    let all = network.blocks().count();
    let [jets, convolutions] = match layer {
        LayerKind::Njet => [spatial, all - spatial],
        LayerKind::Conv => [0, all],
    };
    let linear = usize::from(matches!(network.head, Head::MeanLinear { .. }));
    for (kind, needed) in
        [(Kind::Njet, jets), (Kind::Convolution, convolutions), (Kind::Norm, all), (Kind::Linear, linear)]
    {
        let found = modules.of_kind(kind);
        if found.len() != needed {
            let names: Vec<&str> = found.iter().map(|module| module.name.as_str()).collect();
            let names = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
            problems.push(format!("it has {} {kind}{names} where the network has {needed}", found.len()));
        }
    }
    if !problems.is_empty() {
        return Err(unfit(problems));
    }

    let mut config = ModelConfig { layer, extent, ..ModelConfig::new(arch, 1, 2) };
    infer(&mut config, &modules, &mut problems);
    if !problems.is_empty() {
        return Err(unfit(problems));
    }
    let mut model = config.init(&Device::flex())?;
    let mut source = Source { file, problems };
    let [mut jets, mut convolutions, mut norms, mut linears] =
        [Kind::Njet, Kind::Convolution, Kind::Norm, Kind::Linear].map(|kind| modules.of_kind(kind).into_iter());
    for block in &mut model.blocks {
        let norm = norms.next().expect("counted");
        source.norm(norm, block);
        let convolution = match block.convolution {
            Convolution::Njet(_) => jets.next(),
            Convolution::Conv(_) => convolutions.next(),
        };
        source.convolution(convolution.expect("counted"), block, &config.bounds);
    }
    if let (Some(linear), Some(module)) = (&mut model.linear, linears.next()) {
        let [inputs, outputs] = linear.weight.dims();
        if let Some(weight) = source.values(module, "weight", &[outputs, inputs]) {
            linear.weight = Param::from_tensor(tensor::<2>(weight, [outputs, inputs]).transpose());
        }
        // A linear layer may have none.
        let bias =
            if module.has("bias") { source.values(module, "bias", &[outputs]) } else { Some(vec![0.0; outputs]) };
        linear.bias = bias.map(|bias| Param::from_tensor(tensor(bias, [outputs])));
    }
    match source.problems {
        problems if problems.is_empty() => Ok(Imported { config, model: burn::module::Module::valid(&model) }),
        problems => Err(unfit(problems)),
    }
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// Order, channels, classes, windows and the bounds of σ, from the shapes and scales.
fn infer(config: &mut ModelConfig, modules: &Modules<'_>, problems: &mut Vec<String>) {
    let network = config.arch.network();
    let jets = modules.of_kind(Kind::Njet);
    for module in &jets {
        let Some(&[basis, ..]) = module.shape("alphas") else { continue };
        match (0..=MAX_ORDER).find(|&order| basis_len(order) == basis) {
            Some(order) if module.name == jets[0].name => config.order = order,
            Some(order) if order == config.order => {}
            Some(order) => problems.push(format!("{}.alphas has order {order}, {} order {}", module.name, jets[0].name, config.order)),
            None => problems.push(format!(
                "{}.alphas has {basis} coefficients for each pair of channels, and no order from 0 to {MAX_ORDER} has so many",
                module.name
            )),
        }
    }
    let convolutions = modules.of_kind(Kind::Convolution);
    let first = if config.layer == LayerKind::Njet { jets.first() } else { convolutions.first() };
    if let Some(&[_, inputs, ..]) = first.and_then(|module| module.shape(module.kind.weight())) {
        config.channels = inputs;
    }
    let last = match network.head {
        Head::MeanLinear { .. } => modules.of_kind(Kind::Linear).pop(),
        Head::Mean => convolutions.last().copied(),
    };
    if let Some(&[outputs, ..]) = last.and_then(|module| module.shape("weight")) {
        config.classes = outputs;
    }
    if config.layer == LayerKind::Conv {
        // Windows other than the published ones, all of one side.
        let sides = network.blocks().zip(&convolutions).filter(|(block, _)| block.filters != Filters::Pointwise);
        let sides: Vec<(usize, usize)> = sides
            .filter_map(|(block, module)| match (block.filters, module.shape("weight")) {
                (Filters::Dense { side } | Filters::Depthwise { side }, Some(&[_, _, height, _])) => {
                    Some((side, height))
                }
                _ => None,
            })
            .collect();
        if sides.iter().any(|(published, found)| published != found) {
            config.conv_side = sides.first().map(|&(_, found)| found);
        }
    }
    for module in &jets {
        for sigma in module.sigmas() {
            let reach = radius(sigma, config.extent);
            if !(sigma.is_finite() && sigma > 0.0) {
                problems.push(format!("{} has the scale σ = {sigma}", module.name));
            } else if reach > MAX_RADIUS && radius(1.0, config.extent) <= MAX_RADIUS {
                problems.push(format!(
                    "{} has the scale σ = {sigma}, whose filters reach {reach} pixels where the most is {MAX_RADIUS}",
                    module.name
                ));
            } else {
                config.bounds = config.bounds.widened_for(sigma);
            }
        }
    }
}

/// The file, and what was found not to fit.
struct Source<'a> {
    file: &'a TensorFile,
    problems: Vec<String>,
}

impl Source<'_> {
    /// Values of a field, if it has the shape.
    fn values(&mut self, module: &Module<'_>, field: &str, shape: &[usize]) -> Option<Vec<f32>> {
        let name = format!("{}.{field}", module.name);
        let Some(entry) = module.field(field) else {
            self.problems.push(format!("{name} is missing"));
            return None;
        };
        if entry.shape != shape {
            self.problems.push(format!("{name} has the shape {:?} instead of {shape:?}", entry.shape));
            return None;
        }
        match self.file.values(entry) {
            Ok(values) if values.iter().all(|value| value.is_finite()) => Some(values),
            Ok(_) => {
                self.problems.push(format!("{name} has values that are not finite"));
                None
            }
            Err(error) => {
                self.problems.push(error.to_string());
                None
            }
        }
    }

    fn norm(&mut self, module: &Module<'_>, block: &mut Block) {
        let channels = block.norm.gamma.dims()[0];
        let [gamma, beta, mean, variance] =
            ["weight", "bias", "running_mean", "running_var"].map(|field| self.values(module, field, &[channels]));
        if let (Some(gamma), Some(beta), Some(mean), Some(variance)) = (gamma, beta, mean, variance) {
            block.norm.gamma = Param::from_tensor(tensor(gamma, [channels]));
            block.norm.beta = Param::from_tensor(tensor(beta, [channels]));
            block.norm.running_mean = RunningState::new(tensor(mean, [channels]));
            block.norm.running_var = RunningState::new(tensor(variance, [channels]));
        }
    }

    /// After the normalisation of the block: a bias becomes a part of its mean.
    fn convolution(&mut self, module: &Module<'_>, block: &mut Block, bounds: &SigmaBounds) {
        let outputs = match &mut block.convolution {
            Convolution::Njet(layer) => {
                let [outputs, inputs, basis] = layer.alpha.dims();
                if let Some(theirs) = self.values(module, "alphas", &[basis, inputs, outputs]) {
                    let mut alpha = vec![0.0; theirs.len()];
                    for (plane, index) in theirs.chunks_exact(inputs * outputs).zip(their_jet(layer.order)) {
                        for (place, &value) in plane.iter().enumerate() {
                            let (input, output) = (place / outputs, place % outputs);
                            alpha[(output * inputs + input) * basis + index.position()] = value;
                        }
                    }
                    layer.alpha = Param::from_tensor(tensor(alpha, [outputs, inputs, basis]));
                }
                if self.values(module, "scales", &[1]).is_some() {
                    let parameters = module.sigmas().into_iter().map(|sigma| bounds.parameter(sigma) as f32).collect();
                    layer.log2_sigma = Param::from_tensor(tensor(parameters, [1]));
                }
                outputs
            }
            Convolution::Conv(layer) => {
                let shape = layer.weight.dims();
                if let Some(weight) = self.values(module, "weight", &shape) {
                    layer.weight = Param::from_tensor(tensor(weight, shape));
                }
                shape[0]
            }
        };
        if module.has("bias")
            && let Some(bias) = self.values(module, "bias", &[outputs])
        {
            let mean = block.norm.running_mean.value();
            block.norm.running_mean = RunningState::new(mean - tensor(bias, [outputs]));
        }
    }
}
