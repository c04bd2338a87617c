# %% [markdown]
# # The bank: describe, set terms, answer a request
#
# You are bank A. You know your customers' limits, bills and payments. A fintech asks whether
# it may train a credit-default model on them, together with bank B's data. Your rows never
# leave your private domain: what leaves are secret shares, and only while you permit it.
#
# Everything here is real: a local chain, asset services over HTTPS, SPU as engine.

# %%
import sys
from pathlib import Path

root = next(p for p in [Path.cwd(), *Path.cwd().parents] if (p / "pyproject.toml").exists())
sys.path.insert(0, str(root))

import matplotlib.pyplot as plt

from examples.support.mpc.consent import approve, ask, granted
from examples.support.mpc.exposure import look_at_shares
from examples.support.mpc.requests import send, sign, wait
from examples.tutorials.stack import LABEL, LOCAL, SHARE, Stack

stack = Stack.open(rows=3_000)
world = stack.world

# %% [markdown]
# ## Your rows
#
# One row is one customer; `default` says who did not pay.

# %%
table = stack.credit.tables["A"]
print(stack.credit.title)
table.head()

# %%
amount = next(c for c in ("LIMIT_BAL", "Seniority") if c in table)
fifths = table.assign(fifth=table[amount].rank(pct=True).mul(5).clip(upper=4.999).astype(int))
rates = fifths.groupby("fifth")[LABEL].mean()
plt.figure(figsize=(5, 2.6), layout="constrained")
plt.bar(rates.index, rates)
plt.xlabel(f"fifth of customers by {amount}")
plt.ylabel("did not pay")
plt.show()

assert len(table) == 3_000
assert rates.iloc[0] > rates.iloc[-1]  # there is something to learn

# %% [markdown]
# ## Describe it and set terms
#
# A data token (DT) is a record on the chain and a document in a content-addressed store. The
# document says what the columns look like (names, types, bounds; never rows), which trusted
# operations you support, and on which terms. You accept one purpose, at most 20 epochs, results
# for the requester only, and one guarantor.

# %%
stack.publish_assets(queue="A")
stack.start_services()

document = world.site(world.accounts["A"]).documents.ddo(world.dts["A-data"])
print("DT   ", document.dt)
print("proof", document.proof)
print("terms", document.service.extra_params.terms.model_dump_json(exclude_defaults=True, indent=2))

schema = document.service.extra_params.table_schema
assert schema is not None
assert set(schema.columns) == {*stack.credit.columns("A"), LABEL}
assert document.service.supported_ops == [world.operations[SHARE], world.operations[LOCAL]]

# %% [markdown]
# ## A request that breaks your terms
#
# The fintech composes an algorithm for *marketing* and asks your service for a grant. The
# service holds the algorithm's document against your terms by itself; you are not even asked.

# %%
marketing = stack.compose_joint("For marketing", purpose="marketing")
answer = ask(world, "A-data", marketing)
print(answer.state.value, "-", "; ".join(answer.violations))

assert answer.state.value == "refused"
assert "marketing" in " ".join(answer.violations)
assert granted(world, marketing) == []

# %% [markdown]
# ## A request that keeps to them
#
# Your policy for this table is `queue`: a human decides. You see who asks, for what, with which
# code, and what it reveals to whom.

# %%
joint = stack.compose_joint()
answer = ask(world, "A-data", joint, note="First model, autumn.")
assert answer.state.value == "queued"

owner = world.owner("A")
review = owner.review(world.dts["A-data"], joint)
print("asked by", review.requester_name)
print("purpose ", review.purpose)
for code in review.codes:
    print("code    ", code.document.name, "-", ", ".join(code.files))
    for reveal in code.document.reveals:
        print("reveals ", reveal.what, "->", reveal.to)

assert review.requester_name == "Fintech C"
assert [code.document.name for code in review.codes] == ["Secret-Sharing"]
assert review.violations == ()

# %% [markdown]
# You say yes. Bank B and the computes have standing policies and grant by themselves.

# %%
answer = approve(world, "A-data", answer)
assert answer.state.value == "granted"
job = stack.post("Joint credit model")

# %% [markdown]
# ## The fintech trains; what leaves your house?

# %%
ran = stack.runs.run(job, {"epochs": 3})
mine = next(part for part in ran.parts if part.asset == "A-data")
for event in mine.events:
    print({k: v for k, v in event.items() if k != "time"})

names = mine.names()
assert names.index("authorised") < names.index("shares_sent")
assert mine.status["state"] == "finished"

# %% [markdown]
# Every stage was authorised anew by *your* gate and signed by *your* key. And this is what a
# compute holds of your table: one share of each encoded number. Next to it, the values
# themselves, which only you can draw.

# %%
seen = look_at_shares(ran.parts, stack.runs.parameters_of(ran.request))
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.6), layout="constrained")
left.hist(seen.values, bins=40)
left.set_title(f"your column ({seen.name}), encoded")
right.hist(seen.shares, bins=40)
right.set_title("what one compute sees of it")
plt.show()

print(f"strongest correlation of any share with its value: {seen.correlation:.3f}")
assert seen.correlation < seen.chance
assert seen.tables == []

# %% [markdown]
# ## You change your mind
#
# A revocation is one transaction. It counts from the next stage on; here, from the next request
# on. Nobody has to be asked. Your gate says that the grant is revoked; all others see on the
# chain that a participant is missing, and do not start without you.

# %%
owner.revoke(world.dts["A-data"], joint)
request = sign(world, job, {"epochs": 3})
answers = send(world, request)
if not all(answers.values()):
    answers |= {asset: party.reason for asset, party in wait(world, request).items()}
print(answers)

assert answers.pop("A-data") == "GRANT_REVOKED"
assert set(answers.values()) == {"TOO_FEW_PARTICIPANTS"}

# %%
stack.close()
