"""Writes the files of this directory: `python3 make.py`, with PyTorch and NumPy. What is in them stands in ../tensors.rs."""

from collections import OrderedDict
import numpy as np
import torch

ramp = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4) / 4 - 1
state = OrderedDict()
state["plain"] = ramp
state["turned"] = ramp.permute(2, 0, 1)
state["part"] = ramp[1, :, 1:3]
state["double"] = torch.tensor([0.1, -1e300], dtype=torch.float64)
state["half"] = torch.tensor([1.5, -0.25, 65504.0], dtype=torch.float16)
state["brain"] = torch.tensor([1.5, -2.5, 2.0**100]).to(torch.bfloat16)
state["long"] = torch.tensor(7)
state["byte"] = torch.tensor([0, 255], dtype=torch.uint8)
state["bool"] = torch.tensor([True, False])
state["parameter"] = torch.nn.Parameter(torch.tensor([3.0]))
state["none"] = torch.zeros(0, 5)
state._metadata = OrderedDict(version=1)

checkpoint = {
    "epoch": 3,
    "arch": "nin",
    "best": np.float64(0.5),
    "state_dict": OrderedDict(("module." + key, value) for key, value in state.items()),
    "optimizer": {"state": {0: {"step": 5, "momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]},
}

torch.save(state, "state.pth")
torch.save(state, "state_legacy.pth", _use_new_zipfile_serialization=False)
torch.save(checkpoint, "checkpoint.pth.tar")
torch.save(torch.nn.Linear(2, 2), "module.pth")
np.save("column_major.npy", np.asfortranarray(np.arange(6, dtype=">f8").reshape(2, 3)))
np.savez("arrays.npz", first=np.arange(3, dtype="i2"), second=np.array(2.5, dtype="f4"))
