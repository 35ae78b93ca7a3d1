//! Which backend a tensor is on.

use burn::backend::DispatchTensorKind;
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
