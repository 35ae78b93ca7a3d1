//! The settings that a claim compares.

use super::claim::Claim;
use crate::models::{Architecture, LayerKind, ModelConfig, Subsampling};
use crate::training::RunConfig;
use crate::{Discretisation, SigmaSharing};

/// What the runs of a row have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// What is varied.
    pub group: String,
    /// In words.
    pub label: String,
    /// All settings but the seed.
    pub config: RunConfig,
}

/// The σ that training begins with, in pixels.
pub(super) const STARTS: [f64; 4] = [0.5, 1.0, 2.0, 4.0];

/// The settings of a claim, `base` being what they have in common.
pub(super) fn settings(claim: Claim, base: &RunConfig) -> Vec<Setting> {
    let list = Settings { base, list: Vec::new() };
    match claim {
        Claim::Architectures => list.architectures(),
        Claim::Sizes => list.plain().scales(),
        Claim::Starts => list.scales(),
        Claim::Transfer => list.transfer(),
        Claim::Ablations => list.ablations(),
    }
}

struct Settings<'a> {
    base: &'a RunConfig,
    list: Vec<Setting>,
}

impl Settings<'_> {
    fn add(&mut self, group: &str, label: impl Into<String>, change: impl FnOnce(&mut ModelConfig)) {
        let mut config = self.base.clone();
        change(&mut config.model);
        self.list.push(Setting { group: group.to_owned(), label: label.into(), config });
    }

    fn architectures(mut self) -> Vec<Setting> {
        for arch in [Architecture::NetworkInNetwork, Architecture::AllConvolutional, Architecture::ResNet32] {
            for layer in [LayerKind::Njet, LayerKind::Conv] {
                let ModelConfig { channels, classes, .. } = self.base.model;
                self.add(arch.name(), format!("{arch}, {layer}"), |model| {
                    // As published, for both: without strides and pooling it takes five times as long.
                    let subsampling = Some(Subsampling::Strides);
                    *model = ModelConfig { layer, subsampling, ..ModelConfig::new(arch, channels, classes) };
                });
            }
        }
        self.list
    }

    fn plain(mut self) -> Self {
        for side in [3, 7] {
            self.add("conv", format!("conv {side}×{side}"), |model| {
                model.layer = LayerKind::Conv;
                model.conv_side = Some(side);
            });
        }
        self
    }

    fn scales(mut self) -> Vec<Setting> {
        for (learn, group) in [(false, "fixed"), (true, "learned")] {
            for sigma in STARTS {
                let label = if learn { format!("σ learned from {sigma}") } else { format!("σ fixed at {sigma}") };
                self.add(group, label, |model| {
                    model.sigma = sigma;
                    model.learn_sigma = learn;
                });
            }
        }
        self.list
    }

    fn transfer(mut self) -> Vec<Setting> {
        // Without strides and pooling nothing counts in pixels but σ. At half the scale the first σ is about half a pixel,
        // where the Gaussian's samples are no longer the Gaussian: filters averaged over the pixel are compared with them.
        let none = |model: &mut ModelConfig| model.subsampling = Some(Subsampling::None);
        self.add("njet", "njet", none);
        self.add("njet, integrated", "njet, filters integrated over the pixel", |model| {
            none(model);
            model.discretisation = Discretisation::Integrated;
        });
        self.add("conv", "conv", |model| {
            none(model);
            model.layer = LayerKind::Conv;
        });
        self.list
    }

    fn ablations(mut self) -> Vec<Setting> {
        for order in 1..=4 {
            self.add("order", format!("order {order}"), |model| model.order = order);
        }
        for extent in [2.0, 3.0, 4.0, 5.0] {
            self.add("extent", format!("extent {extent}"), |model| model.extent = extent);
        }
        for sharing in [SigmaSharing::Layer, SigmaSharing::Input, SigmaSharing::Output] {
            let label = if sharing == SigmaSharing::Layer { "one for the layer" } else { "one for each channel" };
            let of = match sharing {
                SigmaSharing::Input => " of the input",
                SigmaSharing::Output => " of the output",
                _ => "",
            };
            self.add("σ", format!("{label}{of}"), |model| model.sharing = sharing);
        }
        self.add("σ", "one for each axis", |model| model.separate_axes = true);
        for discretisation in Discretisation::ALL {
            self.add("discretisation, σ from 0.5", discretisation.name(), |model| {
                model.sigma = 0.5;
                model.discretisation = discretisation;
            });
        }
        for subsampling in [Subsampling::Strides, Subsampling::None, Subsampling::Safe] {
            let label = match subsampling {
                Subsampling::Strides => "pooling, as published",
                Subsampling::None => "none",
                Subsampling::Safe => "safe",
            };
            self.add("subsampling", label, |model| model.subsampling = Some(subsampling));
        }
        self.list
    }
}
