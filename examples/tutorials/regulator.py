# %% [markdown]
# # The regulator: who used this table, how, and on whose word
#
# You supervise the banks. You ask nobody's permission: you read the chain and the documents
# that it points to. Only for the recorder's round documents you show a key, which it knows as
# an auditor's. Before you look, the banks and a fintech have trained a model together; then
# bank B has withdrawn.

# %%
import sys
from datetime import UTC, datetime
from pathlib import Path

root = next(p for p in [Path.cwd(), *Path.cwd().parents] if (p / "pyproject.toml").exists())
sys.path.insert(0, str(root))

import matplotlib.pyplot as plt

from datatoken.trace.lineage import Node, downwards
from examples.support.recorder import gas_of_rounds
from examples.tutorials.stack import Stack

stack = Stack.open(rows=2_000)
world = stack.world
stack.publish_assets()
stack.start_services()
joint = stack.compose_joint()
job = stack.post("Joint credit model")
ran = stack.runs.run(job, {"epochs": 3})
owner = world.owner("B")
owner.revoke(world.dts["B-data"], joint)

# %% [markdown]
# ## Every use of a table
#
# You know one thing: the DT of bank B's table.

# %%
regulator = world.regulator()
uses = regulator.trace(world.dts["B-data"])
for use in uses:
    print("algorithm   ", use.algorithm_name, "of", use.algorithm_owner.name)
    print("purpose     ", use.purpose)
    print("vouched by  ", use.guarantor.name)
    for how in use.uses:
        print("how         ", how.operation_name, how.parameters)
    for edge in use.edges:
        print("grant       ", edge.state.value, "epoch", edge.epoch)

[use] = uses
assert use.job == job
assert use.algorithm_owner.name == use.guarantor.name == "Fintech C"
assert [how.operation_name for how in use.uses] == ["Secret-Sharing"]
assert [edge.state.value for edge in use.edges] == ["revoked"]

# %% [markdown]
# The grant is gone, the history is not: a revocation ends the future, never the past. The job
# could not run today.

# %%
assert not use.standing

# %% [markdown]
# ## Every round
#
# A round is a stage that all parties have signed: first the sharing, then one for each epoch.
# Each is one transaction, and costs the same for two banks and for two hundred.

# %%
site = world.site(world.accounts["admin"])
gas = gas_of_rounds(site, job, world.accounts["recorder"].address)
times = [datetime.fromtimestamp(r.time or 0, UTC) for r in use.rounds]
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.6), layout="constrained")
left.step(times, [r.number for r in use.rounds], where="post", marker="o")
left.set(title="rounds in time", ylabel="round")
left.tick_params(axis="x", rotation=30)
right.bar(list(gas), list(gas.values()))
right.set(title="gas", xlabel="round")
plt.show()

assert len(use.rounds) == 4  # the sharing and three epochs
assert max(list(gas.values())[1:]) < 32_000

# %% [markdown]
# ## The way up
#
# The other way round: everything that the algorithm stands on, and whose it is.

# %%


def show(node: Node, depth: int = 0) -> None:
    print("   " * depth + f"{node.name} ({node.owner.name})")
    for child in node.below:
        show(child, depth + 1)


tree = downwards(site, joint)
show(tree)

assert len(tree.below) == 5
assert {child.owner.name for child in tree.below} == {
    "Bank A",
    "Bank B",
    "Compute provider D",
}

# %% [markdown]
# ## What you do not see
#
# Neither do you see what the banks compute on. The chain holds digests; the recorder's documents
# hold who signed which digest. Here is the first of them.

# %%
recorded = world.round_documents(job)
first = recorded[0]
print(first.model_dump_json(indent=1)[:1500])

assert len(recorded) == 4
assert {signed.receipt.dt for signed in first.receipts} == {
    world.dts[name] for name in ("A-data", "B-data", "A-compute", "B-compute", "D-compute")
}

# %%
stack.close()
