#!/usr/bin/env python3
"""Write the golden files of the N-jet layer. Needs python3 and numpy, nothing else.

    python3 tools/golden.py [--out DIR]      (default: crates/njet-kernels/tests/golden)

An independent, deliberately naive implementation: every k x k kernel is built out,

    W[o, c] = sum_b alpha[o, c, b] * g_i(y) * g_j(x),   (i, j) = BASIS[b],

and cross-correlated patch by patch. The gradients of L = sum(gy * y) by x, alpha and bias come from
the dense kernel; the one by sigma, radius held, from a complex step through the taps, which has no
truncation error and no cancellation. Arithmetic is in long double (more than f64 where the platform
has it) and rounded to f64 at the end. Every file is checked before it is written: x, alpha and bias
by the difference in a random direction (L is affine in each), sigma by a central difference.

Layer files hold alpha [c_out, c_in/groups, B], bias [c_out], x [n, c_in, h, w], y, gy, grad_x,
grad_alpha, grad_bias, grad_sigma [1], taps and d_taps (by sigma) [order + 1, 2R + 1], and the strings
order, sigma, extent, groups, stride "sy,sx", padding "top,left,bottom,right" as metadata.
`taps_discretisations.safetensors` holds only taps: "NAME.SIGMA.taps" and "NAME.SIGMA.d_taps" for the
other discretisations, with the strings order, extent and sigmas.
"""

import argparse
import json
import math
import struct
from pathlib import Path

import numpy as np

REAL, COMPLEX = np.longdouble, np.clongdouble
STEP = REAL(1e-30)  # of the complex step
PI = REAL("3.14159265358979323846264338327950288")


# One axis -----------------------------------------------------------------------------------------


def radius(sigma, extent):
    return math.ceil(extent * sigma + 0.5 - 1e-6)


def hermite(order, u):
    """He_0 .. He_order at u, the probabilists' Hermite polynomials."""
    he = [np.ones_like(u), u]
    for n in range(1, order):
        he.append(u * he[n] - n * he[n - 1])
    return he[: order + 1]


def signed_hermite(order, t, sigma, gauss):
    """sigma^n d^n/dt^n of the Gaussian `gauss`, n = 0 .. order."""
    return np.stack([(-1) ** n * he * gauss for n, he in enumerate(hermite(order, t / sigma))])


def normalized_sampled(order, sigma, r):
    t = np.arange(-r, r + 1).astype(REAL)
    gauss = np.exp(-t * t / (2 * sigma * sigma))
    return signed_hermite(order, t, sigma, gauss / gauss.sum())


def sampled(order, sigma, r):
    t = np.arange(-r, r + 1).astype(REAL)
    gauss = np.exp(-t * t / (2 * sigma * sigma)) / (np.sqrt(2 * PI) * sigma)
    return signed_hermite(order, t, sigma, gauss)


def integrated(order, sigma, r):
    """sigma^n times the integral of the n-th derivative over [t - 1/2, t + 1/2]."""
    edge = np.arange(-r, r + 2).astype(REAL) - REAL(0.5)
    gauss = np.exp(-edge * edge / (2 * sigma * sigma)) / (np.sqrt(2 * PI) * sigma)
    # Order 0 by the mean of G over the pixel, Gauss-Legendre on 20 nodes: it takes a complex sigma
    # (erf does not) and is exact to rounding for sigma >= 0.4.
    node, weight = np.polynomial.legendre.leggauss(20)
    at = np.arange(-r, r + 1)[:, None] + node / 2
    zero = (np.exp(-at * at / (2 * sigma * sigma)) * (weight / 2)).sum(1) / (np.sqrt(2 * PI) * sigma)
    rows = [zero]
    # sigma^n G^(n-1) = sigma * (sigma^(n-1) G^(n-1))
    for row in signed_hermite(max(order - 1, 0), edge, sigma, gauss)[:order]:
        rows.append(sigma * (row[1:] - row[:-1]))
    return np.stack(rows)


def discrete_analogue(order, sigma, r):
    """T(t) = exp(-s) I_t(s), s = sigma^2, by the trapezoidal rule on its integral over the circle
    (which converges geometrically), and sigma^n times its central differences."""
    far = r + order + 1
    m = 4 * far + 128
    theta = np.arange(m).astype(REAL) * (2 * PI / m)
    t = np.arange(-far, far + 1).astype(REAL)
    spectrum = np.exp(sigma * sigma * (np.cos(theta) - 1))
    smooth = (np.cos(t[:, None] * theta) * spectrum).sum(1) / m

    def even(v):
        return np.pad(v[2:] - 2 * v[1:-1] + v[:-2], 1)

    def odd(v):
        return np.pad((v[2:] - v[:-2]) / 2, 1)

    rows = []
    for n in range(order + 1):
        v = odd(smooth) if n % 2 else smooth
        for _ in range(n // 2):
            v = even(v)
        rows.append(sigma**n * v[far - r : far + r + 1])
    return np.stack(rows)


def complex_sigma(sigma):
    z = np.zeros((), COMPLEX)
    z.real, z.imag = REAL(sigma), STEP
    return z[()]


def taps_and_derivative(family, order, sigma, r):
    z = family(order, complex_sigma(sigma), r)
    return z.real, z.imag / STEP


# The layer ----------------------------------------------------------------------------------------


def basis_indices(order):
    """(i, j), derivatives along y and x: by total degree, then by falling x-degree."""
    return [(d - j, j) for d in range(order + 1) for j in range(d, -1, -1)]


def basis(order, taps):
    return np.stack([np.outer(taps[i], taps[j]) for i, j in basis_indices(order)])


def patches(x, side, stride, padding, groups):
    """(oy, ox, the slices in the padded image, the patch [n, groups, c_in/groups, k, k])."""
    top, left, bottom, right = padding
    n, c, h, w = x.shape
    xp = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    xp = xp.reshape(n, groups, c // groups, h + top + bottom, w + left + right)
    for oy in range((h + top + bottom - side) // stride[0] + 1):
        for ox in range((w + left + right - side) // stride[1] + 1):
            rows = slice(oy * stride[0], oy * stride[0] + side)
            columns = slice(ox * stride[1], ox * stride[1] + side)
            yield oy, ox, (Ellipsis, rows, columns), xp[..., rows, columns]


def output_shape(case):
    h, w = case["image"]
    top, left, bottom, right = case["padding"]
    side = 2 * radius(case["sigma"], case["extent"]) + 1
    return (
        (h + top + bottom - side) // case["stride"][0] + 1,
        (w + left + right - side) // case["stride"][1] + 1,
    )


def kernel(case, alpha, sigma):
    """The dense kernel [groups, c_out/groups, c_in/groups, k, k]; sigma real or complex."""
    r = radius(case["sigma"], case["extent"])  # of the nominal sigma: held
    b = basis(case["order"], normalized_sampled(case["order"], sigma, r))
    w = np.einsum("ocb,byx->ocyx", alpha, b)
    return w.reshape(case["groups"], -1, *w.shape[1:])


def forward(case, x, alpha, bias, sigma):
    w = kernel(case, alpha, sigma)
    n, c_out = x.shape[0], alpha.shape[0]
    y = np.zeros((n, c_out, *output_shape(case)), w.dtype)
    for oy, ox, _, patch in patches(x, w.shape[-1], case["stride"], case["padding"], case["groups"]):
        y[:, :, oy, ox] = np.einsum("ngcij,gocij->ngo", patch, w).reshape(n, c_out) + bias
    return y


def backward(case, x, alpha, gy, taps):
    w = kernel(case, alpha, REAL(case["sigma"]))
    n, c_in, h, width = x.shape
    groups, side = case["groups"], w.shape[-1]
    top, left, bottom, right = case["padding"]
    gxp = np.zeros((n, groups, c_in // groups, h + top + bottom, width + left + right), REAL)
    gw = np.zeros_like(w)
    for oy, ox, where, patch in patches(x, side, case["stride"], case["padding"], groups):
        g = gy[:, :, oy, ox].reshape(n, groups, -1)
        gxp[where] += np.einsum("ngo,gocij->ngcij", g, w)
        gw += np.einsum("ngo,ngcij->gocij", g, patch)
    grad_x = gxp[..., top : top + h, left : left + width].reshape(x.shape)
    gw = gw.reshape(alpha.shape[0], alpha.shape[1], side, side)
    grad_alpha = np.einsum("ocij,bij->ocb", gw, basis(case["order"], taps))
    return grad_x, grad_alpha, gy.sum(axis=(0, 2, 3))


def evaluate(case, x, alpha, bias, gy):
    """Everything a layer file holds but the inputs, in long double."""
    r = radius(case["sigma"], case["extent"])
    taps, d_taps = taps_and_derivative(normalized_sampled, case["order"], case["sigma"], r)
    dy = forward(case, x, alpha, bias, complex_sigma(case["sigma"])).imag / STEP
    grad_x, grad_alpha, grad_bias = backward(case, x, alpha, gy, taps)
    return {
        "y": forward(case, x, alpha, bias, REAL(case["sigma"])),
        "grad_x": grad_x,
        "grad_alpha": grad_alpha,
        "grad_bias": grad_bias,
        "grad_sigma": np.array([(gy * dy).sum()]),
        "taps": taps,
        "d_taps": d_taps,
    }, dy


def inputs(case, seed):
    rng = np.random.RandomState(seed)  # its stream is frozen by numpy's compatibility policy
    indices = basis_indices(case["order"])
    # Coefficients fall with the energy of the basis function, so that every order has its say.
    fall = np.array([1 / math.sqrt(math.factorial(i) * math.factorial(j)) for i, j in indices])
    x = rng.standard_normal((case["batch"], case["c_in"], *case["image"]))
    alpha = rng.standard_normal((case["c_out"], case["c_in"] // case["groups"], len(indices))) * fall
    bias = rng.standard_normal(case["c_out"])
    gy = rng.standard_normal((case["batch"], case["c_out"], *output_shape(case)))
    return tuple(v.astype(REAL) for v in (x, alpha, bias, gy))


def check(case, x, alpha, bias, gy, out, dy, seed):
    """Worst relative error of the gradients against differences, and the cancellation in grad_sigma."""
    rng = np.random.RandomState(seed + 1000)
    sigma = REAL(case["sigma"])

    def loss(x, alpha, bias, sigma):
        return (gy * forward(case, x, alpha, bias, sigma)).sum()

    here = loss(x, alpha, bias, sigma)
    worst = 0.0
    for at, name in enumerate(("grad_x", "grad_alpha", "grad_bias")):
        moved = [x, alpha, bias]
        v = rng.standard_normal(moved[at].shape).astype(REAL)
        moved[at] = moved[at] + v
        terms = v * out[name]
        error = abs(loss(*moved, sigma) - here - terms.sum()) / np.abs(terms).sum()
        worst = max(worst, float(error))
    h = sigma * REAL(1e-5)
    central = (loss(x, alpha, bias, sigma + h) - loss(x, alpha, bias, sigma - h)) / (2 * h)
    size = np.abs(gy * dy).sum()
    sigma_error = float(abs(central - out["grad_sigma"][0]) / size)
    assert worst < 1e-12, worst
    assert sigma_error < 1e-8, sigma_error
    return worst, sigma_error, float(size / abs(out["grad_sigma"][0]))


# The files ----------------------------------------------------------------------------------------


def write_safetensors(path, tensors, metadata):
    header, data = {"__metadata__": metadata}, b""
    for name, value in tensors.items():
        raw = np.ascontiguousarray(value, dtype="<f8").tobytes()
        header[name] = {
            "dtype": "F64",
            "shape": list(value.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def case(order, sigma, extent, channels, image, groups=1, stride=(1, 1), padding="same", batch=2):
    r = radius(sigma, extent)
    return {
        "order": order,
        "sigma": sigma,
        "extent": extent,
        "groups": groups,
        "stride": stride,
        "padding": {"same": (r,) * 4, "valid": (0,) * 4}.get(padding, padding),
        "c_in": channels[0],
        "c_out": channels[1],
        "image": image,
        "batch": batch,
    }


CASES = {
    "order0_sigma0.5_extent2": case(0, 0.5, 2, (3, 4), (9, 13)),
    "order1_sigma0.75_extent3": case(1, 0.75, 3, (3, 5), (8, 11)),
    "order2_sigma1.37_extent4": case(2, 1.37, 4, (3, 5), (11, 14)),
    "order3_sigma2_extent2_groups2": case(3, 2.0, 2, (4, 6), (10, 9), groups=2),
    "order4_sigma3.1_extent3": case(4, 3.1, 3, (2, 3), (12, 17)),
    "order6_sigma1.1_extent4": case(6, 1.1, 4, (3, 2), (9, 10)),
    "order10_sigma1.9_extent4": case(10, 1.9, 4, (2, 3), (13, 12)),
    "depthwise_order2": case(2, 1.5, 3, (6, 6), (9, 8), groups=6),
    "depthwise_multiplier2_stride2": case(3, 0.9, 4, (3, 6), (12, 11), groups=3, stride=(2, 2)),
    "narrow_6_to_2": case(2, 1.25, 4, (6, 2), (12, 9)),
    "narrow_groups2_stride2x1": case(1, 1.6, 2, (8, 4), (11, 8), groups=2, stride=(2, 1)),
    "wide_1_to_8_batch1": case(2, 0.8, 3, (1, 8), (19, 7), batch=1),
    "stride2_groups2": case(2, 1.2, 3, (4, 6), (13, 10), groups=2, stride=(2, 2)),
    "valid_stride2x1": case(2, 1.0, 4, (3, 4), (17, 15), stride=(2, 1), padding="valid"),
    "padding_asymmetric_stride3x2": case(3, 1.3, 3, (3, 4), (14, 16), stride=(3, 2), padding=(1, 4, 0, 9)),
    "image_smaller_than_kernel": case(4, 3.1, 2, (4, 2), (5, 3), groups=2),
    "image_1x1": case(2, 1.37, 4, (3, 4), (1, 1), batch=3),
    "image_one_row": case(2, 1.0, 2, (2, 3), (1, 15), batch=1),
    # extent * sigma + 0.5 lies 4e-7 above 6: the slack keeps R at 6.
    "radius_slack_sigma2.7500002_extent2": case(2, 2.7500002, 2, (2, 3), (13, 9)),
}


def discretisations(order=6, extent=4, sigmas=(0.6, 1.37, 3.1)):
    tensors = {}
    for family in (sampled, integrated, discrete_analogue):
        for sigma in sigmas:
            pair = taps_and_derivative(family, order, sigma, radius(sigma, extent))
            name = f"{family.__name__}.{sigma}"
            tensors[name + ".taps"], tensors[name + ".d_taps"] = pair
    metadata = {"order": order, "extent": extent, "sigmas": ",".join(map(str, sigmas))}
    return tensors, {k: str(v) for k, v in metadata.items()}


def main():
    here = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description="Write the golden files of the N-jet layer.")
    parser.add_argument("--out", type=Path, default=here / "crates/njet-kernels/tests/golden")
    out_dir = parser.parse_args().out
    out_dir.mkdir(parents=True, exist_ok=True)
    for seed, (name, c) in enumerate(CASES.items(), start=1):
        x, alpha, bias, gy = inputs(c, seed)
        out, dy = evaluate(c, x, alpha, bias, gy)
        errors = check(c, x, alpha, bias, gy, out, dy, seed)
        metadata = {k: str(c[k]) for k in ("order", "sigma", "extent", "groups")}
        for k in ("stride", "padding"):
            metadata[k] = ",".join(map(str, c[k]))
        path = out_dir / f"{name}.safetensors"
        write_safetensors(path, {"alpha": alpha, "bias": bias, "x": x, "gy": gy, **out}, metadata)
        print(
            f"{name:38} {path.stat().st_size:6} B  R {radius(c['sigma'], c['extent']):2}"
            f"  differences: x, alpha, bias {errors[0]:.0e}, sigma {errors[1]:.0e}"
            f"  cancellation in grad_sigma {errors[2]:.0f}x"
        )
    path = out_dir / "taps_discretisations.safetensors"
    write_safetensors(path, *discretisations())
    print(f"{path.stem:38} {path.stat().st_size:6} B")


if __name__ == "__main__":
    main()
