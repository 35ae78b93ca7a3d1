//! The oracle: build the kernel, correlate directly, every sum in f64.
//!
//! Slow and plain on purpose; the engine is tested against it.

use crate::{Axis, Backward, Forward, Geometry, Gradients, KernelError, Real, Sharing, Taps};

/// `y = x ⋆ W + bias` with `W[o,c] = Σ_b α[o,c,b] · basis_b`.
///
/// # Errors
/// A slice whose length is not that of its shape.
pub fn forward<T: Real>(geometry: &Geometry, call: &Forward<'_, T>) -> Result<Vec<T>, KernelError> {
    call.check(geometry)?;
    let kernel = build_kernel(geometry, &basis(geometry, call.taps), call.alpha);
    let mut sums = vec![0.0; geometry.output_len()];
    visit(geometry, |v| sums[v.y] += kernel[v.kernel] * call.x[v.x].to_f64());
    let pixels = geometry.pixels_out();
    let bias = |i: usize| call.bias.map_or(0.0, |bias| bias[i / pixels % geometry.channels_out()].to_f64());
    Ok(sums.into_iter().enumerate().map(|(i, sum)| T::from_f64(sum + bias(i))).collect())
}

/// Every gradient by way of the gradient of the built kernel.
///
/// # Errors
/// A slice whose length is not that of its shape; the gradient of σ without `d_taps`.
pub fn backward<T: Real>(geometry: &Geometry, call: &Backward<'_, T>) -> Result<Gradients<T>, KernelError> {
    call.check(geometry)?;
    let functions = basis(geometry, call.taps);
    let kernel = build_kernel(geometry, &functions, call.alpha);
    let mut grad_kernel = vec![0.0; kernel.len()];
    // Without the input its coefficients have no gradient, and none is asked for.
    let x = |i: usize| call.x.get(i).map_or(0.0, |x| x.to_f64());
    let mut grad_x = vec![0.0; geometry.input_len()];
    visit(geometry, |v| {
        let g = call.grad_y[v.y].to_f64();
        grad_kernel[v.kernel] += g * x(v.x);
        grad_x[v.x] += g * kernel[v.kernel];
    });
    let wanted = call.wanted;
    let alpha = || by_alpha(geometry, &functions, &grad_kernel).map(T::from_f64).collect();
    let sigma = || {
        let d = call.d_taps.unwrap_or(call.taps);
        let [len_y, len_x] = geometry.taps_len();
        let arrays = d.y.chunks_exact(len_y).zip(d.x.chunks_exact(len_x));
        arrays.flat_map(|(y, x)| by_sigma(geometry, call, Taps { y, x }, &grad_kernel)).collect()
    };
    let bias = || {
        let mut sums = vec![0.0; geometry.channels_out()];
        for (i, g) in call.grad_y.iter().enumerate() {
            sums[i / geometry.pixels_out() % geometry.channels_out()] += g.to_f64();
        }
        sums.into_iter().map(T::from_f64).collect()
    };
    Ok(Gradients {
        alpha: wanted.alpha.then(alpha),
        bias: wanted.bias.then(bias),
        sigma: wanted.sigma.then(sigma),
        x: wanted.x.then(|| grad_x.iter().copied().map(T::from_f64).collect()),
    })
}

/// `[by y, by x]` of each set, for one array of derivatives.
fn by_sigma<T: Real>(
    geometry: &Geometry,
    call: &Backward<'_, T>,
    d: Taps<'_, T>,
    grad_kernel: &[f64],
) -> Vec<[f64; 2]> {
    let side = side(geometry);
    let mut sums = vec![[0.0; 2]; geometry.sets()];
    // The product rule, one axis at a time: ∂W/∂σy has the derivative taps along y.
    for (axis, taps) in [Taps { y: d.y, x: call.taps.x }, Taps { y: call.taps.y, x: d.x }].into_iter().enumerate() {
        let tangent = build_kernel(geometry, &basis(geometry, taps), call.alpha);
        for (pair, (g, t)) in grad_kernel.chunks_exact(side).zip(tangent.chunks_exact(side)).enumerate() {
            sums[set(geometry, pair)][axis] += g.iter().zip(t).map(|(g, t)| g * t).sum::<f64>();
        }
    }
    sums
}

/// The set of filters of a pair of output and input channel.
fn set(geometry: &Geometry, pair: usize) -> usize {
    let o = pair / geometry.group_in;
    match geometry.sharing {
        Sharing::Layer => 0,
        Sharing::Group => o / geometry.group_out,
        Sharing::Input => o / geometry.group_out * geometry.group_in + pair % geometry.group_in,
        Sharing::Output => o,
    }
}

/// Taps of an order along an axis, those of every output where each has its own.
fn taps_of(axis: &Axis) -> usize {
    axis.filters() * axis.taps()
}

/// Elements of the kernel of one pair of channels.
fn side(geometry: &Geometry) -> usize {
    taps_of(&geometry.y) * taps_of(&geometry.x)
}

/// `[sets, B, taps along y, taps along x]`.
fn basis<T: Real>(geometry: &Geometry, taps: Taps<'_, T>) -> Vec<f64> {
    let (ky, kx, orders) = (taps_of(&geometry.y), taps_of(&geometry.x), geometry.order + 1);
    let mut functions = Vec::with_capacity(geometry.sets() * geometry.basis() * ky * kx);
    for (taps_y, taps_x) in taps.y.chunks_exact(orders * ky).zip(taps.x.chunks_exact(orders * kx)) {
        for (i, j) in geometry.jet() {
            for y in &taps_y[i * ky..(i + 1) * ky] {
                functions.extend(taps_x[j * kx..(j + 1) * kx].iter().map(|x| y.to_f64() * x.to_f64()));
            }
        }
    }
    functions
}

/// `[channels_out, channels_in / groups, taps along y, taps along x]`.
fn build_kernel<T: Real>(geometry: &Geometry, functions: &[f64], alpha: &[T]) -> Vec<f64> {
    let (side, basis) = (side(geometry), geometry.basis());
    let mut kernel = Vec::with_capacity(alpha.len() / basis * side);
    for (pair, coefficients) in alpha.chunks_exact(basis).enumerate() {
        let functions = &functions[set(geometry, pair) * basis * side..];
        kernel.extend((0..side).map(|t| -> f64 {
            coefficients.iter().enumerate().map(|(b, a)| a.to_f64() * functions[b * side + t]).sum()
        }));
    }
    kernel
}

fn by_alpha<'a>(
    geometry: &'a Geometry,
    functions: &'a [f64],
    grad_kernel: &'a [f64],
) -> impl Iterator<Item = f64> + 'a {
    let (side, basis) = (side(geometry), geometry.basis());
    grad_kernel.chunks_exact(side).enumerate().flat_map(move |(pair, grad)| {
        let functions = &functions[set(geometry, pair) * basis * side..][..basis * side];
        functions.chunks_exact(side).map(move |function| function.iter().zip(grad).map(|(f, g)| f * g).sum())
    })
}

/// Flat indices of one product of the correlation.
struct Visit {
    y: usize,
    x: usize,
    kernel: usize,
}

/// Calls `product` for every triple of output, input and kernel element that meet.
fn visit(geometry: &Geometry, mut product: impl FnMut(Visit)) {
    let (ky, kx) = (taps_of(&geometry.y), taps_of(&geometry.x));
    let rows: Vec<_> = meetings(&geometry.y);
    let columns: Vec<_> = meetings(&geometry.x);
    for n in 0..geometry.batch {
        for o in 0..geometry.channels_out() {
            for c in 0..geometry.group_in {
                let channel = o / geometry.group_out * geometry.group_in + c;
                let plane_y = (n * geometry.channels_out() + o) * geometry.pixels_out();
                let plane_x = (n * geometry.channels_in() + channel) * geometry.pixels_in();
                let plane_kernel = (o * geometry.group_in + c) * ky * kx;
                for &(oy, iy, ty) in &rows {
                    for &(ox, ix, tx) in &columns {
                        product(Visit {
                            y: plane_y + oy * geometry.x.output + ox,
                            x: plane_x + iy * geometry.x.input + ix,
                            kernel: plane_kernel + ty * kx + tx,
                        });
                    }
                }
            }
        }
    }
}

/// Every (output, input, tap) along one axis whose input lies inside the image.
fn meetings(axis: &Axis) -> Vec<(usize, usize, usize)> {
    (0..axis.output)
        .flat_map(|o| {
            (0..axis.taps()).filter_map(move |t| {
                let i = usize::try_from(axis.first(o) + t as isize).ok()?;
                let filter = if axis.filters() > 1 { o } else { 0 };
                (i < axis.input).then_some((o, i, filter * axis.taps() + t))
            })
        })
        .collect()
}
