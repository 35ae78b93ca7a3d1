//! Memory of one thread, kept from call to call.

use super::plane::Stages;

/// Elements that a thread keeps between calls; what a call needed beyond that is given back.
const KEPT: usize = 1 << 24;

/// Buffers grow to what the layers need and stay: no call allocates but the first.
#[derive(Debug)]
pub(crate) struct Workspace<T> {
    /// The filters' intermediate planes.
    pub(super) stages: Stages<T>,
    /// Responses, in strips.
    pub(super) panel: Vec<T>,
    /// Planes that the product wrote for the filters, with margins.
    pub(super) mixed: Vec<T>,
    /// An operand in strips of pixels,
    pub(super) by_pixels: Vec<T>,
    /// and in strips of channels.
    pub(super) by_channels: Vec<T>,
}

impl<T> Default for Workspace<T> {
    fn default() -> Self {
        let stages = Stages::default();
        Self { stages, panel: Vec::new(), mixed: Vec::new(), by_pixels: Vec::new(), by_channels: Vec::new() }
    }
}

impl<T> Workspace<T> {
    /// Gives back what is too large to keep.
    pub(super) fn trim(&mut self) {
        for buffer in [&mut self.panel, &mut self.mixed, &mut self.by_pixels, &mut self.by_channels] {
            if buffer.capacity() > KEPT {
                *buffer = Vec::new();
            }
        }
    }
}
