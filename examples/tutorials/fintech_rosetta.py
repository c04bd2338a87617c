# %% [markdown]
# # The fintech: the same model on Rosetta
#
# The same consent, the same gates, another engine: LatticeX Rosetta 0.3.0 (SecureNN, TensorFlow
# 1.14). A Rosetta party reads rows itself, so the banks' parties run in their private domains,
# and what they exchange is shares; a third party computes along and has no rows.
#
# This needs the engine's own environment. Where it is absent, the next cell stops and says so:
# `make rosetta` makes it.

# %%
import sys
from pathlib import Path

root = next(p for p in [Path.cwd(), *Path.cwd().parents] if (p / "pyproject.toml").exists())
sys.path.insert(0, str(root))

import matplotlib.pyplot as plt
import numpy as np

from examples.support.mpc.world import publish_algorithm
from examples.tutorials.stack import LABEL, ROSETTA, Stack
from rtt_tracer.operations.reading import auc

stack = Stack.open(rows=2_000, engines=("rosetta",))
world = stack.world
stack.publish_assets(data=[ROSETTA], compute=ROSETTA, providers=["D"])
stack.start_services()

# %% [markdown]
# ## What such a party says of itself
#
# The operation's document goes with the bundle, and owners read it before they grant.

# %%
site = world.site(world.accounts["C"])
code = site.documents.operation(world.operations[ROSETTA]).document
print(code.name, "-", code.entry_points)
for reveal in code.reveals:
    print("reveals", reveal.what, "->", reveal.to)

# %% [markdown]
# ## Compose, ask, post
#
# One operation for all three children. Which rank a party has follows from their order.

# %%
algorithm = publish_algorithm(
    world,
    "Joint credit model on Rosetta",
    [{"A-data": ROSETTA, "B-data": ROSETTA, "D-compute": ROSETTA}],
    parameters={ROSETTA: {"label": LABEL}},
)
job = stack.post("Joint credit model on Rosetta")
print("job", job)

# %% [markdown]
# ## Train

# %%
ran = stack.runs.run(job, {"epochs": 2})
joint_auc = auc(ran.values["histogram"])
print({name: value.shape for name, value in ran.values.items()})
print(f"joint AUC on held-out rows: {joint_auc:.3f}")

zeros, ones = np.rint(ran.values["histogram"])
places = np.linspace(-5, 5, len(zeros))
plt.figure(figsize=(5, 2.6), layout="constrained")
plt.step(places, zeros / zeros.sum(), label="paid")
plt.step(places, ones / ones.sum(), label="did not pay")
plt.title("held-out scores, counted on shares")
plt.legend()
plt.show()

assert joint_auc > 0.65
assert int(zeros.sum() + ones.sum()) == int(0.2 * stack.credit.rows)

# %% [markdown]
# ## What the others can see
#
# The third party's work folder, after the run: no table, no row. And each stage was signed by
# all three and logged, as with SPU: it is the same authorisation.

# %%
third = next(part for part in ran.parts if part.asset == "D-compute")
held = sorted(str(p.relative_to(third.folder)) for p in third.folder.rglob("*") if p.is_file())
print("\n".join(held))

assert not any("table" in name or name.endswith(".csv") for name in held)

[use] = world.regulator().trace(world.dts["A-data"])
print("used by", use.algorithm_name, "in", len(use.rounds), "rounds")
assert len(use.rounds) == 3  # the sharing and two epochs
assert use.standing

# %%
stack.close()
