//! Weights by their names, as `torch.nn` knows them: `weight`, `bias`, `running_mean`, `running_var`.
//!
//! A file also holds the list of operations, as JSON, and with it [`LOADER`], a short Python module, builds the network
//! out of `torch.nn` and loads the weights into it.

mod description;
mod pth;
mod safetensors;

pub use description::description;
pub use pth::{TooLarge, pth};
pub use safetensors::{arrays, safetensors};

/// The Python module that loads either kind of file.
pub const LOADER: &str = include_str!("torch_loader.py");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PaddingMode;
    use crate::interop::graph::Graph;
    use crate::interop::{Baking, Form};
    use crate::models::{Architecture, LayerKind, LayerSettings, ModelConfig, Subsampling, UNetConfig};
    use burn::tensor::Device;
    use std::collections::BTreeSet;

    fn classifier(arch: Architecture, subsampling: Subsampling, padding_mode: PaddingMode, baking: &Baking) -> Graph {
        let config = ModelConfig { subsampling: Some(subsampling), padding_mode, ..ModelConfig::new(arch, 1, 3) };
        config.init(&Device::flex()).unwrap().bake_graph(baking).unwrap()
    }

    fn unet(config: &UNetConfig, baking: &Baking) -> Graph {
        config.init(&Device::flex()).unwrap().bake_graph(baking).unwrap()
    }

    /// A network that is described by an operation which the loader has not fails in the user's hands only.
    #[test]
    fn the_loader_knows_every_operation() {
        let (free, sized) = (Baking::default(), Baking { size: Some([28, 28]), ..Baking::default() });
        let (separable, kept) =
            (Baking { form: Form::Separable, ..Baking::default() }, Baking { fold_norm: false, ..Baking::default() });
        use Architecture::{AllConvolutional, EfficientNetB0, ResNet18, ResNet20, Small};
        use Subsampling::{None, Safe, Strides};
        let small = UNetConfig { widths: vec![3, 6, 6], convolutions: vec![2, 2, 1], ..UNetConfig::new(2, 4) };
        let reflecting = LayerSettings { padding_mode: PaddingMode::Reflect, ..LayerSettings::default() };
        let graphs = [
            classifier(Small, Strides, PaddingMode::Circular, &kept),
            classifier(AllConvolutional, Strides, PaddingMode::Zeros, &separable),
            classifier(AllConvolutional, Safe, PaddingMode::Zeros, &sized),
            classifier(ResNet18, Strides, PaddingMode::Zeros, &free),
            classifier(ResNet20, Strides, PaddingMode::Zeros, &free).normalising(0.5, 0.25),
            classifier(ResNet20, Safe, PaddingMode::Zeros, &sized),
            classifier(EfficientNetB0, None, PaddingMode::Zeros, &free),
            unet(&UNetConfig { njet: reflecting, ..small.clone() }, &free),
            unet(&UNetConfig { subsampling: Safe, ..small.clone() }, &sized),
            unet(&UNetConfig { layer: LayerKind::Conv, ..small }, &free),
        ];
        let described: BTreeSet<String> = graphs
            .iter()
            .flat_map(|graph| description(graph).as_array().unwrap().clone())
            .map(|node| node["op"].as_str().unwrap().to_owned())
            .collect();
        // Those that are not PyTorch's are among them.
        for own in ["Matrix", "cat", "crop_like", "same", "to_multiple"] {
            assert!(described.contains(own), "no network here has {own}: {described:?}");
        }
        for op in &described {
            assert!(LOADER.contains(&format!("\"{op}\"")), "the loader has no {op}");
        }
    }
}
