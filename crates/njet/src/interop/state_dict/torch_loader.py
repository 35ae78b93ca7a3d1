"""Loads a network written by `njet export --format safetensors` or `--format pytorch` into torch.nn:

    net = load("model.pth")                   # or "model.safetensors"
    logits = net(torch.zeros(1, 1, 28, 28))   # an nn.Module: net.state_dict(), net.eval(), net.to("cuda")
"""
import json
import zipfile

import torch
from torch import nn
from torch.nn import functional as F


class Matrix(nn.Module):  # times the columns or the rows of every channel
    def __init__(self, shape, left):
        super().__init__()
        self.weight, self.left = nn.Parameter(torch.zeros(shape)), left

    def forward(self, x):
        return self.weight @ x if self.left else x @ self.weight


def same(x, kernel, stride, least):  # zeros, so that n pixels become ceil(n / stride), the odd one at the end
    (above, left), (below, right) = zip(*((total // 2, total - total // 2) for total in (
        max(least, (-(-n // s) - 1) * s + k - n) for n, k, s in zip(x.shape[2:], kernel, stride))))
    return F.pad(x, (left, right, above, below))


OPERATIONS = {name: getattr(home, name) for home, names in (
    (nn, ("BatchNorm2d", "Conv2d", "ConvTranspose2d", "Linear")),
    (F, ("adaptive_avg_pool2d", "avg_pool2d", "max_pool2d", "pad", "relu", "silu")),
    (torch, ("add", "flatten", "mul", "narrow", "reshape", "sigmoid"))) for name in names} | {
    "Matrix": Matrix,
    "same": same,
    "cat": lambda *x, dim: torch.cat(x, dim),
    "crop_like": lambda x, like: x[:, :, :like.shape[2], :like.shape[3]],
    "pick": lambda x, dim, pixels: x.index_select(dim, torch.tensor(pixels, device=x.device)),
    "to_multiple": lambda x, of: F.pad(x, (0, -x.shape[3] % of, 0, -x.shape[2] % of))}


class Network(nn.Module):
    def __init__(self, graph):
        super().__init__()
        self.graph = graph
        for node in graph:
            if node["op"][0].isupper():  # a module, found by its name, "layer1.conv"
                *path, last = node["name"].split(".")
                parent = self
                for name in path:
                    parent = parent._modules.setdefault(name, nn.Module())
                parent.add_module(last, OPERATIONS[node["op"]](**node["settings"]))

    def forward(self, image):
        values = [image]
        for node in self.graph:
            x = [values[i] for i in node["inputs"]]
            if node["op"][0].isupper():
                values.append(self.get_submodule(node["name"])(*x))
            else:
                values.append(OPERATIONS[node["op"]](*x, **node["settings"]))
        return values[-1]


def load(path):
    if zipfile.is_zipfile(path):
        state, about = torch.load(path, weights_only=True), json.loads(zipfile.ZipFile(path).read("archive/njet.json"))
    else:
        from safetensors import safe_open
        with safe_open(path, "pt") as file:
            state, about = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()
            about["graph"] = json.loads(about["graph"])
    network = Network(about["graph"])
    network.load_state_dict(state)
    return network.eval()
