"""Run an operation's JAX code in the clear: ``python clear.py <operation> <folder>``.

It runs in the SPU engine's environment, with its versions of JAX and NumPy.
"""

import importlib
import json
import sys
from pathlib import Path

import jax
import numpy as np

operation, folder = Path(sys.argv[1]), Path(sys.argv[2])
sys.path.insert(0, str(operation.parent))
source = json.loads((operation / "operation.json").read_text())
module, _, name = source["entry_points"]["spu.compute"].partition(":")
code = getattr(importlib.import_module(module), name)()
with np.load(folder / "inputs.npz") as file:
    inputs = dict(file)
parameters = json.loads((folder / "parameters.json").read_text())
state = {}
if hasattr(code, "initial"):
    state = code.initial({key: array.shape for key, array in inputs.items()}, parameters)
    stage = jax.jit(lambda x, s: code.stage(x, s, parameters))
    for _ in range(parameters["epochs"] // parameters["checkpoint-every"]):
        state = stage(inputs, state)
outputs = jax.jit(lambda x, s: code.outputs(x, s, parameters))(inputs, state)
np.savez(folder / "outputs.npz", **{key: np.asarray(value) for key, value in outputs.items()})
