#!/usr/bin/env python3
"""Compare njet with PyTorch on this machine, in turns, and hold the ratios against bounds.

    python3 -m venv venv && venv/bin/pip install torch numpy        (about 6 GB)
    cargo build --release
    venv/bin/python benches/compare.py [--only layers,networks] [--rounds 5] [--json]

A time alone says little: machines differ, and a shared one changes from minute to minute. So each case is measured in
rounds, PyTorch and `njet bench` one after the other on the same work (f32, the same number of threads), and the figure
is the ratio. It is the median of the ratios of the rounds, so it is not exactly the quotient of the two medians beside
it. The subsets:

    layers     N-jet layers of order 2, extent 2 against Conv2d 3x3
    depthwise  one filter a channel, against PyTorch's depthwise convolution of the same side 2R + 1
    dense      against the straightforward N-jet layer: build the kernel from the basis, then convolve
               (96x192x32; --dense: every shape)
    extent     extent 4 over extent 2, both njet
    band       σ 8 over σ 4 at extent 5 with a tolerance of 1e-5, both njet: the larger σ on a coarser lattice
    networks   nin and njet-small: a training step and inference, against the twin of 3x3 convolutions and the dense one
    unet       the pooled U-Net: the same, against the built kernels at σ 2 and the 3x3 twin
    memory     peak memory of a training step of nin above the idle program, in fresh processes
    threads    two threads over one, both njet
    peak       rate of the product in the layer over the measured multiply-add peak of the machine

Layers are timed forward, and forward with backward (gradients of x, weights and σ). PyTorch runs in this process, which
starts itself again with an allocator that keeps memory between calls, as njet's does: otherwise page faults would be
compared. Results go to standard output, as a Markdown table or by --json as an object a line; progress to standard error.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "4000000000",
    "MALLOC_TRIM_THRESHOLD_": "16000000000",
    "MALLOC_TOP_PAD_": "268435456",
}
STARTED = "NJET_COMPARE_STARTED"
SUBSETS = ["layers", "depthwise", "dense", "extent", "band", "networks", "unet", "memory", "threads", "peak"]
SHAPES = ["3x192x32", "16x16x32", "64x64x16", "64x64x64", "96x192x32", "192x192x32"]
BATCH = 32
FORWARD, BOTH, TRAINING, INFERENCE, MEMORY = "forward", "forward+backward", "training step", "inference", "peak memory"

# The most that ours may take of theirs: forward and forward+backward, for σ up to 2, 4 and 8.
LAYER_BOUNDS = {
    "3x192x32": ([1.0, 1.0, 1.0], [1.0, 1.0, 1.0]),
    "16x16x32": ([1.5, 2.0, 2.5], [2.0, 3.0, 3.0]),
    "64x64x16": ([1.0, 1.2, 1.2], [1.1, 1.4, 1.4]),
    "64x64x64": ([0.95, 1.05, 1.2], [1.05, 1.25, 1.5]),
    "96x192x32": ([0.80, 0.85, 0.95], [0.85, 0.95, 1.05]),
    "192x192x32": ([0.80, 0.85, 0.95], [0.85, 0.95, 1.05]),
}
DEPTHWISE_BOUNDS = {1.0: 0.5, 2.0: 0.25}
EXTENT_BOUNDS = {1.0: 1.1, 2.0: 1.15}
# The U-Net's channels at each resolution, its convolutions there on the way down, and those after each step up from the
# highest resolution: njet's own.
UNET_WIDTHS, UNET_CONVOLUTIONS, UNET_UP = [32, 48, 96, 128], [1, 3, 4, 3], [0, 1]
# How many times the images a second of PyTorch's U-Net with kernels that are built at σ 2, and of its 3x3 twin.
UNET_SPEEDUPS = {"dense": 3, "conv": 0.8}
# Of band-limited evaluation, σ 8 over σ 4.
BAND_BOUND = 0.6
# How many times faster than the dense layer, forward+backward, 96x192x32.
DENSE_SPEEDUP = {1.0: 5.5, 2.0: 12, 4.0: 45}
# How many times faster than the dense network, in training and inference.
NIN_DENSE_SPEEDUP = {1.0: 3.3, 2.0: 7}
THREADS_SPEEDUP = 1.85
PEAK_BOUNDS = {FORWARD: 0.85, BOTH: 0.72}


def fail(message, code):
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


# PyTorch ------------------------------------------------------------------------------------------
# torch is imported where it is needed: `--help` and a wrong command line need none.


def dense_njet(c_in, c_out, order=2, sigma=1.0, extent=2.0, up=None):
    """y = conv2d(x, W(α, σ)), W[o,c] = Σ_b α[o,c,b] g_i(y) g_j(x), i + j ≤ order; σ = 2^s learned. With `up` the
    transpose of that with a stride of `up`, from c_out channels to c_in."""
    import torch
    from torch import nn

    class DenseNJet(nn.Module):
        def __init__(self):
            super().__init__()
            self.pairs = [(n - j, j) for n in range(order + 1) for j in range(n, -1, -1)]
            basis = len(self.pairs)
            self.alpha = nn.Parameter(torch.randn(c_out, c_in, basis) / math.sqrt(c_in * basis))
            self.log2_sigma = nn.Parameter(torch.tensor(math.log2(sigma)))

        def taps(self):
            sigma = torch.exp2(self.log2_sigma)
            radius = math.ceil(extent * sigma.item() + 0.5 - 1e-6)
            t = torch.arange(-radius, radius + 1, dtype=torch.float32)
            gauss = torch.exp(-t * t / (2 * sigma * sigma))
            gauss = gauss / gauss.sum()
            u = t / sigma
            hermite = [torch.ones_like(u), u]
            for n in range(1, order):
                hermite.append(u * hermite[n] - n * hermite[n - 1])
            return torch.stack([(-1) ** n * hermite[n] * gauss for n in range(order + 1)])

        def forward(self, x):
            g = self.taps()
            basis = torch.stack([torch.outer(g[i], g[j]) for i, j in self.pairs])
            weight = torch.einsum("ocb,byx->ocyx", self.alpha, basis)
            half = weight.shape[-1] // 2
            if up:
                return nn.functional.conv_transpose2d(x, weight, stride=up, padding=half, output_padding=up - 1)
            return nn.functional.conv2d(x, weight, padding=half)

    return DenseNJet()


def conv(c_in, c_out, side=3, groups=1):
    from torch import nn

    return nn.Conv2d(c_in, c_out, side, padding=side // 2, groups=groups, bias=False)


def network_in_network(spatial, classes=10):
    """The `nin` of njet: three spatial layers without pooling, each followed by two 1x1 convolutions."""
    from torch import nn

    def block(c_in, widths, drop):
        layers = [spatial(c_in, widths[0])]
        for a, b in zip(widths, widths[1:]):
            layers += [nn.BatchNorm2d(a), nn.ReLU(inplace=True), nn.Conv2d(a, b, 1, bias=False)]
        layers += [nn.BatchNorm2d(widths[-1]), nn.ReLU(inplace=True)]
        return layers + ([nn.Dropout(0.5)] if drop else [])

    blocks = [*block(3, (192, 160, 96), True), *block(96, (192, 192, 192), True)]
    blocks += block(192, (192, 192, classes), False)
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def small(spatial, classes=10):
    """The `njet-small` of njet: three spatial layers, average pooling after the first two, mean, linear."""
    from torch import nn

    def layer(a, b, pool):
        return [spatial(a, b), nn.BatchNorm2d(b), nn.ReLU(inplace=True)] + ([nn.AvgPool2d(2)] if pool else [])

    blocks = [*layer(1, 32, True), *layer(32, 64, True), *layer(64, 96, False)]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, classes))


def unet(spatial, classes=10, widths=UNET_WIDTHS, convolutions=UNET_CONVOLUTIONS, up_convolutions=UNET_UP):
    """The `unet` of njet, pooled. A step up is the transpose of a spatial layer, or of a convolution of 2x2. What is missing
    of the steps the head makes: one 1x1 convolution for the pixels of each of its own."""
    from torch import nn

    def up(c_in, c_out):
        if spatial is conv:
            return nn.ConvTranspose2d(c_in, c_out, 2, stride=2, bias=False)
        return spatial(c_out, c_in, up=2)

    class Block(nn.Module):
        def __init__(self, c_in, c_out, first=False):
            super().__init__()
            self.all = nn.Sequential(spatial(c_in, c_out), nn.BatchNorm2d(c_out), nn.SiLU(inplace=True))
            self.residual = c_in == c_out and not first

        def forward(self, x):
            return x + self.all(x) if self.residual else self.all(x)

    def blocks(c_in, c_out, count, first):
        return nn.Sequential(Block(c_in, c_out, first), *(Block(c_out, c_out) for _ in range(count - 1)))

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            levels = zip([1, *widths], widths, convolutions)
            self.down = nn.ModuleList(blocks(a, b, n, level == 0) for level, (a, b, n) in enumerate(levels))
            last = len(widths) - 1 - len(up_convolutions)
            ways = list(zip(widths[last + 1:], widths[last:], up_convolutions))[::-1]
            self.steps = nn.ModuleList(up(a, b) for a, b, _ in ways)
            self.up = nn.ModuleList(nn.Sequential(*(Block(b, b) for _ in range(n))) for _, b, n in ways)
            head = nn.Conv2d(widths[last], classes << 2 * last, 1)
            self.head = nn.Sequential(nn.BatchNorm2d(widths[last]), nn.SiLU(inplace=True), head, nn.PixelShuffle(1 << last))

        def forward(self, x):
            skips = []
            for level, blocks in enumerate(self.down):
                if level > 0:
                    skips.append(x)
                    x = nn.functional.avg_pool2d(x, 2)
                x = blocks(x)
            for step, blocks in zip(self.steps, self.up):
                x = blocks(skips.pop() + step(x))
            return self.head(x)

    return UNet()


NETWORKS = {"nin": (network_in_network, (32, 3, 32, 32)), "njet-small": (small, (64, 1, 28, 28)),
            "unet": (unet, (16, 1, 96, 96))}


def median_ms(call, runs):
    """The median of `runs` calls after one that is not counted, unless it takes so long that being cold is no matter."""
    start = time.perf_counter()
    call()
    first = time.perf_counter() - start
    if first > 5:
        return 1e3 * first
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def time_layer(layer, c_in, c_out, side, runs):
    import torch

    x, upstream = torch.randn(BATCH, c_in, side, side), torch.randn(BATCH, c_out, side, side)
    leaf = x.clone().requires_grad_(True)

    def forward():
        with torch.no_grad():
            layer(x)

    def both():
        leaf.grad = None
        layer.zero_grad(set_to_none=True)
        layer(leaf).backward(upstream)

    return {FORWARD: median_ms(forward, runs), BOTH: median_ms(both, runs)}


def network(name, spatial):
    """The network, its training step and its inference."""
    import torch

    build, shape = NETWORKS[name]
    net = build(spatial)
    sgd = torch.optim.SGD(net.parameters(), lr=1e-6, momentum=0.9, weight_decay=5e-4)
    # A class for each image, or for each pixel.
    x, labels = torch.randn(shape), torch.randint(0, 10, shape[:1] + (shape[2:] if name == "unet" else ()))

    def step():
        sgd.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(net(x), labels).backward()
        sgd.step()

    def infer():
        with torch.no_grad():
            net(x)

    return net, step, infer


def time_network(name, spatial, runs):
    net, step, infer = network(name, spatial)
    training = median_ms(step, runs)
    net.eval()
    return {TRAINING: training, INFERENCE: median_ms(infer, runs)}


def status_mib(key):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) / 1024


def print_memory():
    """What a fresh process of this script does for `memory`: prints MiB."""
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest value so far
    before = status_mib("VmRSS:")
    _, step, _ = network("nin", conv)
    for _ in range(3):
        step()
    print(status_mib("VmHWM:") - before)


# njet ---------------------------------------------------------------------------------------------


class Njet:
    """`njet bench` with the settings of this comparison."""

    def __init__(self, path, threads, runs):
        self.path, self.threads, self.runs = path, threads, runs
        # njet as its users run it: it sets its allocator itself.
        self.env = {key: value for key, value in os.environ.items() if key not in KEEP_MEMORY}

    def row(self, *arguments, threads=None):
        settings = ["--json", "--orders", 2, "--threads", threads or self.threads, "--runs", self.runs]
        command = [self.path, "bench", *map(str, arguments), *map(str, settings)]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True)
        if done.returncode != 0:
            fail(f"`{' '.join(command)}` ended with {done.returncode}:\n{done.stderr}", 1)
        report = json.loads(done.stdout)
        (row,) = report["rows"] + report["networks"]
        return row

    def layer(self, shape, sigma, extent=2, threads=None, band_limit=None):
        more = [] if band_limit is None else ["--band-limit", band_limit]
        row = self.row("layers", "--shapes", shape, "--sigmas", sigma, "--extents", extent, "--batch", BATCH, *more,
                       threads=threads)
        return {FORWARD: row["forward_ms"], BOTH: row["forward_backward_ms"]}

    def of_peak(self, shape, sigma):
        row = self.row("layers", "--shapes", shape, "--sigmas", sigma, "--extents", 2, "--batch", BATCH)
        return {FORWARD: row["of_peak"], BOTH: row["forward_backward_of_peak"]}

    def network(self, name, sigma):
        row = self.row("networks", "--arch", name, "--sigmas", sigma, "--extents", 2)
        return {TRAINING: row["train_step_ms"], INFERENCE: row["inference_ms"]}

    def memory(self):
        held = self.row("networks", "--arch", "nin", "--sigmas", 1, "--extents", 2)["peak_memory_bytes"]
        if held is None:
            fail("this system does not tell the peak memory: leave `memory` out with --only", 1)
        return {MEMORY: held / 2**20}


# Cases --------------------------------------------------------------------------------------------


@dataclass
class Case:
    """Ours and theirs of the same work; each gives a figure for every measure."""

    subset: str
    what: str
    sigma: float
    against: str
    ours: Callable[[], dict]
    # None: what ours gives is the ratio already.
    theirs: Callable[[], dict] | None
    # The most that the ratio may be, or for `peak` the least.
    bounds: dict = field(default_factory=dict)
    unit: str = "ms"


def side_of_kernel(sigma, extent=2):
    return 2 * math.ceil(extent * sigma + 0.5 - 1e-6) + 1


def layer_cases(njet, shapes, sigmas):
    for shape in shapes:
        c_in, c_out, side = map(int, shape.split("x"))
        for sigma in sigmas:
            bounds = {}
            if shape in LAYER_BOUNDS and sigma <= 8:
                place = 0 if sigma <= 2 else 1 if sigma <= 4 else 2
                forward, both = LAYER_BOUNDS[shape]
                bounds = {FORWARD: forward[place], BOTH: both[place]}
            yield Case("layers", shape, sigma, "Conv2d 3×3", lambda s=shape, σ=sigma: njet.layer(s, σ),
                       lambda i=c_in, o=c_out, s=side: time_layer(conv(i, o), i, o, s, njet.runs), bounds)


def depthwise_cases(njet, sigmas):
    for sigma in (sigma for sigma in sigmas if sigma <= 4):
        k = side_of_kernel(sigma)
        bounds = {measure: DEPTHWISE_BOUNDS[sigma] for measure in (FORWARD, BOTH) if sigma in DEPTHWISE_BOUNDS}
        yield Case("depthwise", "64x64x64/64", sigma, f"Conv2d {k}×{k} depthwise",
                   lambda σ=sigma: njet.layer("64x64x64/64", σ),
                   lambda k=k: time_layer(conv(64, 64, k, groups=64), 64, 64, 64, njet.runs), bounds)


def dense_cases(njet, shapes):
    for shape in shapes:
        c_in, c_out, side = map(int, shape.split("x"))
        for sigma, speedup in DENSE_SPEEDUP.items():
            bounds = {BOTH: 1 / speedup} if shape == "96x192x32" else {}
            yield Case("dense", shape, sigma, "dense N-jet", lambda s=shape, σ=sigma: njet.layer(s, σ),
                       lambda i=c_in, o=c_out, s=side, σ=sigma:
                       time_layer(dense_njet(i, o, sigma=σ), i, o, s, njet.runs), bounds)


def extent_cases(njet):
    for sigma, bound in EXTENT_BOUNDS.items():
        yield Case("extent", "96x192x32, extent 4", sigma, "njet, extent 2",
                   lambda σ=sigma: njet.layer("96x192x32", σ, extent=4),
                   lambda σ=sigma: njet.layer("96x192x32", σ), {FORWARD: bound, BOTH: bound})


def band_cases(njet):
    yield Case("band", "64x64x64, extent 5, tolerance 1e-5", 8.0, "njet, σ 4",
               lambda: njet.layer("64x64x64", 8.0, extent=5, band_limit=1e-5),
               lambda: njet.layer("64x64x64", 4.0, extent=5, band_limit=1e-5), {FORWARD: BAND_BOUND, BOTH: BAND_BOUND})


def network_case(njet, subset, name, sigma, against, spatial, bounds):
    return Case(subset, name, sigma, against, lambda: njet.network(name, sigma),
                lambda: time_network(name, spatial, njet.runs), bounds)


def dense(sigma):
    """A spatial layer whose kernel is built at a scale."""
    return lambda c_in, c_out, up=None: dense_njet(c_in, c_out, sigma=sigma, up=up)


def network_cases(njet):
    def case(*what):
        return network_case(njet, "networks", *what)

    yield case("nin", 1.0, "nin-conv", conv, {TRAINING: 0.9, INFERENCE: 0.9})
    for sigma, speedup in NIN_DENSE_SPEEDUP.items():
        yield case("nin", sigma, "nin-dense", dense(sigma), {TRAINING: 1 / speedup, INFERENCE: 1 / speedup})
    # At least 0.9 and 2.5 times the images a second.
    yield case("njet-small", 1.0, "small-conv", conv, {TRAINING: 1 / 0.9})
    yield case("njet-small", 1.0, "small-dense", dense(1.0), {TRAINING: 1 / 2.5})


def unet_cases(njet):
    yield network_case(njet, "unet", "unet", 2.0, "unet-dense", dense(2.0), {TRAINING: 1 / UNET_SPEEDUPS["dense"]})
    for sigma in (1.0, 2.0):
        yield network_case(njet, "unet", "unet", sigma, "unet-conv", conv, {TRAINING: 1 / UNET_SPEEDUPS["conv"]})


def memory_cases(njet):
    def theirs():
        command = [sys.executable, __file__, "--threads", str(njet.threads), "--print-memory"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            fail(f"PyTorch's memory could not be measured:\n{done.stderr}", 1)
        return {MEMORY: float(done.stdout)}

    yield Case("memory", "nin", 1.0, "nin-conv", njet.memory, theirs, {MEMORY: 0.7}, "MiB")


def threads_cases(njet):
    if os.cpu_count() < 2:
        return
    bounds = {FORWARD: 1 / THREADS_SPEEDUP, BOTH: 1 / THREADS_SPEEDUP}
    yield Case("threads", "96x192x32, 2 threads", 1.0, "njet, 1 thread",
               lambda: njet.layer("96x192x32", 1.0, threads=2),
               lambda: njet.layer("96x192x32", 1.0, threads=1), bounds)


def peak_cases(njet):
    yield Case("peak", "192x192x32", 1.0, "multiply-add peak", lambda: njet.of_peak("192x192x32", 1.0), None,
               PEAK_BOUNDS)


def measure(case, rounds, tell):
    """A result for each measure of a case."""
    ours, theirs = [], []
    for number in range(rounds):
        tell(number + 1)
        turns = [(ours, case.ours)] + ([(theirs, case.theirs)] if case.theirs else [])
        # Whoever is second may find a warmer machine: take turns in that, too.
        for figures, call in turns if number % 2 else reversed(turns):
            figures.append(call())
    for name in ours[0]:
        mine = [round[name] for round in ours]
        result = {"subset": case.subset, "what": case.what, "sigma": case.sigma, "against": case.against,
                  "measure": name, "unit": case.unit}
        if case.theirs:
            other = [round[name] for round in theirs]
            result |= {"ours": statistics.median(mine), "theirs": statistics.median(other)}
            ratio = statistics.median(a / b for a, b in zip(mine, other))
        else:
            result |= {"ours": None, "theirs": None}
            ratio = statistics.median(mine)
        bound = case.bounds.get(name)
        holds = None if bound is None else ratio >= bound if case.subset == "peak" else ratio <= bound
        yield result | {"ratio": ratio, "bound": bound, "bound_is": "least" if case.subset == "peak" else "most",
                        "holds": holds}


# Results ------------------------------------------------------------------------------------------


def markdown_row(result):
    def figure(value):
        return "" if value is None else f"{value:.0f}" if value >= 100 else f"{value:.3g}"

    sign = "≥" if result["bound_is"] == "least" else "≤"
    bound = "" if result["bound"] is None else f"{sign} {result['bound']:.{2 if result['bound'] >= 0.1 else 3}f}"
    holds = {None: "", True: "yes", False: "**no**"}[result["holds"]]
    unit = "" if result["ours"] is None else " " + result["unit"]
    ours, theirs = (figure(result[key]) + unit if result[key] is not None else "" for key in ("ours", "theirs"))
    cells = [result["what"], f"{result['sigma']:g}", result["against"], result["measure"], ours, theirs,
             f"{result['ratio']:.3f}", bound, holds]
    return "| " + " | ".join(cells) + " |"


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return "unknown processor"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def subset(text):
        names = text.split(",")
        for name in names:
            if name not in SUBSETS:
                raise argparse.ArgumentTypeError(f"unknown subset `{name}`: known are {', '.join(SUBSETS)}")
        return names

    def positive(text):
        if not text.isdigit() or int(text) == 0:
            raise argparse.ArgumentTypeError(f"`{text}` is not a positive whole number")
        return int(text)

    def scales(text):
        try:
            values = [float(part) for part in text.split(",")]
        except ValueError:
            values = [0.0]
        if not all(0 < value < 100 for value in values):
            raise argparse.ArgumentTypeError(f"`{text}` is not a list of scales in pixels, as in 0.5,1,2")
        return values

    def shapes(text):
        found = text.split(",")
        for shape in found:
            if len(shape.split("x")) != 3 or not all(n.isdigit() and int(n) > 0 for n in shape.split("x")):
                raise argparse.ArgumentTypeError(f"`{shape}` is not a shape: channels in × out × side, as in 96x192x32")
        return found

    parser.add_argument("--only", type=subset, default=SUBSETS, metavar="SUBSET,…", help="default: all")
    parser.add_argument("--rounds", type=positive, default=5, metavar="N", help="turns of each case (5)")
    parser.add_argument("--runs", type=positive, default=5, metavar="N", help="calls a turn, of which the median (5)")
    parser.add_argument("--threads", type=positive, default=os.cpu_count(), metavar="N", help="default: all")
    parser.add_argument("--shapes", type=shapes, default=SHAPES, metavar="SHAPE,…", help="of layers, and of --dense")
    parser.add_argument("--sigmas", type=scales, default=[0.5, 1.0, 2.0, 4.0, 8.0], metavar="S,…",
                        help="of layers and depthwise (0.5,1,2,4,8; depthwise only those up to 4)")
    parser.add_argument("--dense", action="store_true", help="compare every shape with the dense layer, too: slow")
    parser.add_argument("--njet", type=Path, default=Path(__file__).resolve().parent.parent / "target/release/njet",
                        metavar="PATH", help="the command (target/release/njet)")
    parser.add_argument("--json", action="store_true", help="print each result as a JSON object on a line of its own")
    parser.add_argument("--print-memory", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    args = arguments()
    if os.environ.get(STARTED) != "1":
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | KEEP_MEMORY | {STARTED: "1"})
    try:
        import torch
    except ImportError as error:
        fail(f"this Python has no PyTorch ({error}): see the top of {__file__} for how to install it", 2)
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    if args.print_memory:
        return print_memory()
    if not args.njet.is_file():
        fail(f"there is no {args.njet}: build it with `cargo build --release`, or name it with --njet", 2)

    njet = Njet(str(args.njet.resolve()), args.threads, args.runs)
    makers = {
        "layers": lambda: layer_cases(njet, args.shapes, args.sigmas),
        "depthwise": lambda: depthwise_cases(njet, args.sigmas),
        "dense": lambda: dense_cases(njet, args.shapes if args.dense else ["96x192x32"]),
        "extent": lambda: extent_cases(njet),
        "band": lambda: band_cases(njet),
        "networks": lambda: network_cases(njet),
        "unet": lambda: unet_cases(njet),
        "memory": lambda: memory_cases(njet),
        "threads": lambda: threads_cases(njet),
        "peak": lambda: peak_cases(njet),
    }
    wanted = set(args.only) | ({"dense"} if args.dense else set())
    cases = [case for name in SUBSETS if name in wanted for case in makers[name]()]
    if not args.json:
        print(f"njet and PyTorch {torch.__version__}, f32, {args.threads} thread(s), {processor()}, "
              f"{args.rounds} rounds in turns\n")
        print("| case | σ | against | measure | ours | theirs | ratio | bound | holds |")
        print("|---|--:|---|---|--:|--:|--:|--:|---|", flush=True)
    bounds = held = 0
    start = time.monotonic()
    for number, case in enumerate(cases, 1):
        def tell(turn):
            minutes = (time.monotonic() - start) / 60
            print(f"case {number}/{len(cases)}  {case.what} σ {case.sigma:g} against {case.against}  "
                  f"round {turn}/{args.rounds}  {minutes:.1f} min", file=sys.stderr)

        for result in measure(case, args.rounds, tell):
            bounds += result["holds"] is not None
            held += result["holds"] is True
            if args.json:
                print(json.dumps({"torch": torch.__version__, "threads": args.threads, **result}), flush=True)
            else:
                print(markdown_row(result), flush=True)
    if not args.json:
        print(f"\n{held} of {bounds} bounds hold")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
