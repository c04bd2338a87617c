"""A user's Rosetta script is published as it stands; its document is read off it."""

import json
from pathlib import Path
from typing import Any

import pytest

from datatoken.cli.errors import run
from datatoken.errors import BadInputError
from datatoken.roles import complete_document
from datatoken.types import sha256_hex
from rtt_tracer.bundle import read_bundle
from rtt_tracer.cli.app import app
from rtt_tracer.engines.base import Role
from rtt_tracer.engines.rosetta.source import OWN_FILES, bundle_script, script_source

ROOT = Path(__file__).parents[3]
ROSETTA = ROOT / ".engines" / "rosetta" / "bin" / "python"

LINEAR = """#!/usr/bin/env python3
'''Linear regression of two parties' columns.'''
import math
import tensorflow as tf
import latticex.rosetta as rtt

tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)
EPOCHS, BATCH, RATE = 2, 32, 0.05

rtt.activate("SecureNN")
mine = rtt.get_party_id()

file_x = '../dsets/P' + str(rtt.get_party_id()) + "/reg_train_x.csv"
file_y = '../dsets/P' + str(rtt.get_party_id()) + "/reg_train_y.csv"
real_X, real_Y = rtt.PrivateDataset(data_owner=(0, 1), label_owner=1).load_data(
    file_x, file_y, header=None)
DIM = real_X.shape[1]

X = tf.placeholder(tf.float64, [None, DIM])
Y = tf.placeholder(tf.float64, [None, 1])
W = tf.Variable(tf.zeros([DIM, 1], dtype=tf.float64))
b = tf.Variable(tf.zeros([1], dtype=tf.float64))
loss = tf.reduce_mean(tf.square(Y - (tf.matmul(X, W) + b)))
train = tf.train.GradientDescentOptimizer(RATE).minimize(loss)
reveal_W = rtt.SecureReveal(W)
reveal_b = rtt.SecureReveal(b, 0b001)

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    for e in range(EPOCHS):
        for i in range(math.ceil(len(real_X) / BATCH)):
            rows = slice(i * BATCH, (i + 1) * BATCH)
            sess.run(train, feed_dict={X: real_X[rows], Y: real_Y[rows]})
    print("weights:", sess.run(reveal_W), "bias:", sess.run(reveal_b))
rtt.deactivate()
"""


def script(folder: Path, text: str = LINEAR, name: str = "rtt-linear_regression.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_the_bytes_stay_as_they_are(tmp_path: Path) -> None:
    """Acceptance: 103."""
    path = script(tmp_path)

    bundle = read_bundle(bundle_script(path))

    assert list(bundle.files.values()) == [path.read_bytes()]
    assert bundle.program.entry_point == "rtt_linear_regression.py"
    assert bundle.program.role is Role.ROSETTA
    assert bundle.program.stages == 0 and bundle.program.rows
    assert bundle_script(path) == bundle_script(path)


def test_the_script_says_which_files_it_reads_and_what_it_reveals(tmp_path: Path) -> None:
    source = script_source(script(tmp_path))

    assert source.description == "Linear regression of two parties' columns."
    assert source.parameters["x-file"].default == "../dsets/P{rank}/reg_train_x.csv"
    assert source.parameters["y-file"].default == "../dsets/P{rank}/reg_train_y.csv"
    assert source.parameters["y-file"].enum == ["../dsets/P{rank}/reg_train_y.csv"]
    assert source.parameters["label-party"].default == 1
    assert [(found.what, found.to) for found in source.reveals] == [
        ("W (line 25)", "all parties of the run"),
        ("b (line 26)", "the party of rank 0"),
    ]


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ('f"../data/p{rtt.get_party_id()}.csv"', "../data/p{rank}.csv"),
        ('"../data/p{}.csv".format(rtt.get_party_id())', "../data/p{rank}.csv"),
        ('f"../data/p{mine}.csv"', "../data/p{rank}.csv"),
        ('"mine.csv"', "mine.csv"),
        ("clever(mine)", OWN_FILES["x"]),
    ],
)
def test_names_of_files_are_read_off_plain_expressions(
    expression: str, found: str, tmp_path: Path
) -> None:
    text = LINEAR.replace(
        """'../dsets/P' + str(rtt.get_party_id()) + "/reg_train_x.csv\"""", expression
    )

    assert script_source(script(tmp_path, text)).parameters["x-file"].default == found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import numpy\n", "does not import latticex.rosetta"),
        ("import latticex.rosetta as rtt\nrtt.activate('Helix')\n", "activates 'Helix'"),
        ("import latticex.rosetta as rtt\nrtt.private_console_input(0)\n", "asks at a console"),
        ("import latticex.rosetta as rtt\nif (n := 1): pass\n", "can't be read as Python 3.6"),
        ("import latticex.rosetta\nimport util\n", "imports util, which lies beside it"),
    ],
)
def test_what_could_not_run_is_refused_before_anything_is_written(
    text: str, why: str, tmp_path: Path
) -> None:
    (tmp_path / "util.py").write_text("")

    with pytest.raises(BadInputError, match=why):
        bundle_script(script(tmp_path, text))


def published(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    command = ["publish", *map(str, arguments), "--python", str(ROSETTA), "--format", "json"]
    code = run(app, "rtt-tracer", command)
    told = capsys.readouterr()
    assert code == 0, told.err
    return json.loads(told.out)


@pytest.mark.rosetta
def test_publish_locks_a_script_to_the_rosetta_that_is_installed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Acceptance: 52, 98, 103."""
    path = script(tmp_path)

    told = published(capsys, path, "--out", tmp_path / "out")

    content = Path(told["bundle"]).read_bytes()
    fields = json.loads(Path(told["document"]).read_text())
    document = complete_document(content, "0x" + "ab" * 20, fields)
    assert sha256_hex(content) == told["digest"]
    assert list(read_bundle(content).files.values()) == [path.read_bytes()]
    assert document.lock["latticex-rosetta"] == "0.3.0"
    assert document.entry_points == {"rosetta": "rtt_linear_regression.py"}
    assert {"protocol", "receivers", "fraction-bits", "label"} <= document.parameters.keys()
