# %% [markdown]
# # The fintech: compose, post, train on shares (SPU)
#
# You are fintech C. You want a credit-default model on the columns of two banks, and will never
# see a row of either. You compose an algorithm over assets that others own, ask each owner,
# post the job, and let the banks' and a third provider's computes train it on secret shares.
#
# `fintech_rosetta` does the same with Rosetta as engine.

# %%
import sys
from pathlib import Path

root = next(p for p in [Path.cwd(), *Path.cwd().parents] if (p / "pyproject.toml").exists())
sys.path.insert(0, str(root))

import matplotlib.pyplot as plt
import numpy as np

from datatoken.chain.errors import ContractError
from examples.support.mpc.consent import ask, post
from examples.support.mpc.world import publish_algorithm
from examples.tutorials.stack import JOINT, LABEL, LOCAL, SHARE, Stack
from rtt_tracer.operations.reading import auc, feature_names

stack = Stack.open(rows=4_000)
world = stack.world
stack.publish_assets()
stack.start_services()

# %% [markdown]
# ## What the services say of themselves
#
# Each asset names its service's endpoint. The card is signed for by the asset's owner: the chain
# knows the owner, the owner has delegated the service's key.

# %%
for name, host in world.hosts.items():
    with world.client(name) as client:
        card = client.card()
    print(f"{host.endpoint}  {card.domain:9s}  {[asset.name for asset in card.assets]}")

# %% [markdown]
# ## Compose
#
# One operation for each child: the tables share, the computes compute. What you fix here, no
# run can change; what you leave open, each run chooses within the owners' terms.

# %%
algorithm = publish_algorithm(
    world,
    "Joint credit model",
    [
        {"A-data": SHARE, "B-data": SHARE},
        {"A-compute": JOINT, "B-compute": JOINT, "D-compute": JOINT},
    ],
    parameters={SHARE: {"label": LABEL}},
)
ddo = world.site(world.accounts["C"]).documents.ddo(algorithm)
print(ddo.service.workflows[0].model_dump_json(indent=1))
assert len(ddo.children) == 5

# %% [markdown]
# Nobody has agreed yet, so that nothing can be posted.

# %%
try:
    post(world, "Too early", algorithm)
except ContractError as error:
    refused = error.code
print(refused)
assert refused == "MISSING_GRANT"

# %% [markdown]
# ## Ask, post
#
# Each service holds your algorithm against its owner's terms, and grants.

# %%
for name in ("A-data", "B-data", "A-compute", "B-compute", "D-compute"):
    answer = ask(world, name, algorithm)
    print(f"{name:10s} {answer.state.value}")
    assert answer.state.value == "granted"

job = post(world, "Joint credit model", algorithm)
print("job", job)

# %% [markdown]
# ## Train
#
# You sign **one** compute request for all parties. Every gate asks the chain, all parties agree
# on one hash, shares travel, and each epoch is authorised anew, signed by all, and logged.

# %%
ran = stack.runs.run(job, {"epochs": 5, "protocol": "ABY3"})
joint_auc = auc(ran.values["histogram"])
print({name: value.shape for name, value in ran.values.items()})
print(f"joint AUC on held-out rows: {joint_auc:.3f}")

# %% [markdown]
# For comparison, what bank A's columns are worth alone: an operation of role `local`, in A's
# private domain, under the same kind of grant.

# %%
publish_algorithm(world, "A alone", [{"A-data": LOCAL}], parameters={LOCAL: {"label": LABEL}})
alone = stack.runs.run(stack.post("A alone"), {})
alone_auc = auc(alone.values["histogram"])

plt.figure(figsize=(5, 1.8), layout="constrained")
bars = plt.barh(["A alone", "A and B, on shares"], [alone_auc, joint_auc])
plt.bar_label(bars, fmt="%.3f", padding=3)
plt.xlim(0.5, 0.9)
plt.xlabel("AUC on held-out rows")
plt.show()

assert joint_auc > alone_auc + 0.02
assert joint_auc > 0.72

# %% [markdown]
# ## What you see of the banks' customers
#
# Weights, and how many held-out customers of each class fell into each bin of scores: what the
# operation's document said that it reveals, and nothing else. No score, no row.

# %%
sites = world.site(world.accounts["C"]).documents
declared = [sites.ddo(world.dts[name]).service.extra_params for name in ("A-data", "B-data")]
schemas = [
    extra.table_schema.model_dump(mode="json", exclude_none=True)
    for extra in declared
    if extra.table_schema
]
parameters = stack.runs.parameters_of(ran.request)
names = feature_names(schemas, parameters)
weights = ran.values["weights"].ravel()
assert len(weights) == len(names) + 1  # and the intercept
strongest = np.argsort(-np.abs(weights[:-1]))[:12]

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
left.barh([names[i] for i in strongest][::-1], weights[strongest][::-1])
left.set_title("strongest weights")
zeros, ones = np.rint(ran.values["histogram"])
bins = np.linspace(-5, 5, len(zeros))
right.step(bins, zeros / zeros.sum(), label="paid")
right.step(bins, ones / ones.sum(), label="did not pay")
right.set_title("held-out scores, counted")
right.legend()
plt.show()

held_out = int(0.2 * stack.credit.rows)
assert int(zeros.sum() + ones.sum()) == held_out
assert set(ran.values) == {"weights", "histogram"}

# %%
stack.close()
