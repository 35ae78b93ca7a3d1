//! What is exported, whatever its task: a model and what its run knows of it.

use super::samples::Samples;
use anyhow::Result;
use burn::tensor::Device;
use njet::data::Normalisation;
use njet::interop::{BakeError, Baking, Graph, Pixels};

/// How far samples are, from 0 to 1.
pub type Told<'a> = dyn FnMut(f64) + 'a;

/// A model of a run.
pub trait Subject {
    /// The model as plain operations.
    fn bake(&self, baking: &Baking) -> Result<Graph, BakeError>;

    /// The size of its images, for a network that must know one.
    fn size(&self) -> Result<[usize; 2]>;

    /// How pixels become what the model takes.
    fn normalisation(&self) -> Normalisation;

    /// Channels of the images, and classes.
    fn channels_and_classes(&self) -> [usize; 2];

    /// Names of the classes that the run kept, and the place of its data.
    fn kept_classes(&self) -> (&[String], &str);

    /// Names of the classes of its data, where those can be read.
    fn classes_of_data(&self) -> Option<Vec<String>>;

    /// What a file says of it.
    fn metadata(&self, classes: Option<&[String]>, baking: &Baking, pixels: Pixels) -> Vec<(String, String)>;

    /// The first `count` test images, and what the model and the exported network make of them.
    fn samples(
        &self,
        graph: &Graph,
        pixels: Pixels,
        count: usize,
        device: &Device,
        told: &mut Told<'_>,
    ) -> Result<Samples>;
}
