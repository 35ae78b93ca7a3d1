//! The CPU backend: which tensors are on it, and their elements.

use burn::backend::flex::FlexTensor;
use burn::backend::{DispatchTensorKind, Element};
use burn::tensor::Tensor;

/// Whether the tensor is on the CPU backend, with automatic differentiation or without.
pub(crate) fn on_flex<const D: usize>(tensor: &Tensor<D>) -> bool {
    fn is_flex(kind: &DispatchTensorKind) -> bool {
        match kind {
            DispatchTensorKind::Flex(_) => true,
            DispatchTensorKind::Autodiff(inner) => is_flex(inner),
            #[allow(unreachable_patterns)] // the only backend of a build may be this one
            _ => false,
        }
    }
    is_flex(&tensor.clone().into_dispatch().kind)
}

/// The types that the engine and the backend share.
pub(crate) trait Float: njet_kernels::Real + Element + njet_basis::Real {
    /// The elements of a contiguous tensor.
    fn slice(tensor: &FlexTensor) -> &[Self];
}

impl Float for f32 {
    fn slice(tensor: &FlexTensor) -> &[Self] {
        tensor.as_slice().expect("a contiguous f32 tensor")
    }
}

impl Float for f64 {
    fn slice(tensor: &FlexTensor) -> &[Self] {
        tensor.as_slice().expect("a contiguous f64 tensor")
    }
}
