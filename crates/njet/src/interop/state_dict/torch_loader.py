"""Loads a network written by `njet export --format safetensors` or `--format pytorch` into torch.nn:

    net = load("model.pth")                   # or "model.safetensors"
    logits = net(torch.zeros(1, 1, 28, 28))   # an nn.Module: net.state_dict(), net.eval(), net.to("cuda")
"""
import json
import zipfile

import torch
from torch import nn
from torch.nn import functional as F


class Matrix(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(shape))


def same(n, k, s):  # what is padded so that n pixels become ceil(n / s), the odd one at the end
    total = max(0, (-(-n // s) - 1) * s + k - n)
    return [total // 2, total - total // 2]


def conv(n, x, m):
    pads = n["pads"]
    if pads == "same":
        pads = same(x.shape[3], n["kernel"][1], n["stride"][1]) + same(x.shape[2], n["kernel"][0], n["stride"][0])
    return m(F.pad(x, pads))


def conv_transposed(n, x, m):  # nn.ConvTranspose2d cuts off as much before as after: F.pad by less than nothing does the rest
    return F.pad(m(x), [min(n["cut"][i - i % 2:i - i % 2 + 2]) - cut for i, cut in enumerate(n["cut"])])


def subsample(n, x, _):
    first = n["first"]
    if first == "same":
        first = [((x.shape[2 + a] - 1) % n["stride"][a] + 1) // 2 for a in range(2)]
    return x[:, :, first[0]::n["stride"][0], first[1]::n["stride"][1]]


MODULES = {
    "conv": lambda n: nn.Conv2d(n["in"], n["out"], n["kernel"], n["stride"], groups=n["groups"], bias=n["bias"]),
    "conv_transposed": lambda n: nn.ConvTranspose2d(n["in"], n["out"], n["kernel"], n["stride"], [min(n["cut"][2:]), min(n["cut"][:2])],
                                                    n["more"], n["groups"], n["bias"]),
    "norm": lambda n: nn.BatchNorm2d(n["channels"], eps=n["epsilon"]),
    "linear": lambda n: nn.Linear(n["in"], n["out"]),
    "left": lambda n: Matrix(n["shape"]),
    "right": lambda n: Matrix(n["shape"]),
}
OPERATIONS = {  # node, its input or inputs, its module
    "conv": conv,
    "conv_transposed": conv_transposed,
    "norm": lambda n, x, m: m(x),
    "linear": lambda n, x, m: m(x),
    "relu": lambda n, x, _: F.relu(x),
    "sigmoid": lambda n, x, _: torch.sigmoid(x),
    "swish": lambda n, x, _: F.silu(x),
    "affine": lambda n, x, _: x * n["scale"] + n["offset"],
    "max_pool": lambda n, x, _: F.max_pool2d(x, n["side"], n["stride"], n["padding"]),
    "average_pool": lambda n, x, _: F.avg_pool2d(x, n["side"], n["stride"]),
    "mean": lambda n, x, _: x.mean((2, 3), keepdim=True),
    "flatten": lambda n, x, _: x.flatten(1),
    "add": lambda n, x, _: x[0] + x[1],
    "multiply": lambda n, x, _: x[0] * x[1],
    "more_channels": lambda n, x, _: F.pad(x, (0, 0, 0, 0, 0, n["more"])),
    "border": lambda n, x, _: F.pad(x, n["pads"], n["mode"]),
    "pick": lambda n, x, _: x.index_select(n["axis"], torch.tensor(n["pixels"], device=x.device)),
    "subsample": subsample,
    "left": lambda n, x, m: m.weight @ x,
    "right": lambda n, x, m: x @ m.weight,
    "part": lambda n, x, _: x.narrow(n["axis"], n["start"], n["length"]),
    "to_multiple": lambda n, x, _: F.pad(x, (0, -x.shape[3] % n["of"], 0, -x.shape[2] % n["of"])),
    "crop_like": lambda n, x, _: x[0][:, :, :x[1].shape[2], :x[1].shape[3]],
    "join": lambda n, x, _: torch.cat(x, n["axis"]),
    "reshape": lambda n, x, _: x.reshape(-1, *n["shape"]),
}


class Network(nn.Module):
    def __init__(self, graph):
        super().__init__()
        self.graph = graph
        for node in graph:
            if node["op"] in MODULES:
                *path, last = node["name"].split(".")
                parent = self
                for name in path:
                    if name not in parent._modules:
                        parent.add_module(name, nn.Module())
                    parent = parent._modules[name]
                parent.add_module(last, MODULES[node["op"]](node))

    def forward(self, image):
        values = [image]
        for node in self.graph:
            x = [values[i] for i in node["inputs"]]
            module = self.get_submodule(node["name"]) if node["op"] in MODULES else None
            several = node["op"] in ("add", "multiply", "join", "crop_like")
            values.append(OPERATIONS[node["op"]](node, x if several else x[0], module))
        return values[-1]


def read(path):
    """The list of operations, the state dict, the metadata."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            about = json.loads(archive.read("archive/njet.json"))
        return about["graph"], torch.load(path, weights_only=True), about["metadata"]
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = bytearray(file.read())
    about = header.pop("__metadata__")
    state = {}
    for name, info in header.items():
        start, end = info["data_offsets"]
        values = torch.frombuffer(data, dtype=torch.float32, count=(end - start) // 4, offset=start)
        state[name] = values.reshape(info["shape"])
    return json.loads(about.pop("graph")), state, about


def load(path):
    graph, state, _ = read(path)
    network = Network(graph)
    network.load_state_dict(state)
    return network.eval()
