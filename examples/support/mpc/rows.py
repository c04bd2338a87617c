"""Raw rows outside of the private domains: every file of a demo is searched for them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datatoken.types import Scalar
from examples.support.mpc.watch import Part
from examples.support.mpc.world import CreditWorld
from rtt_tracer.operations.secret_sharing.share import share

LINES, VALUES, ENCODED = 3, 64, 8
"""How many lines, values of a column and encoded rows in a row count as a find."""

COLUMNS = 3
FORMS = ("<f8", "<f4", "<i8")


@dataclass(frozen=True)
class Search:
    """What a search has found.

    Attributes
    ----------
    files : int
        That lie outside of the private domains.
    inside : int
        Finds in the private domains: not none, or the search is no good.
    outside : list of str
        Files outside that hold rows; there must be none.
    """

    files: int
    inside: int
    outside: list[str]


def search_rows(world: CreditWorld, parts: Sequence[Part], parameters: dict[str, Scalar]) -> Search:
    """Search all that a run has left: chain, store, logs, shares, results.

    Parameters
    ----------
    parts : sequence of Part
        Of a run whose work folders are kept.
    parameters : dict
        The effective run configuration: it says how rows are encoded.
    """
    wanted = needles(world, parts, parameters)
    private = [host.folder for host in world.hosts.values() if host.domain == "private"]
    files, inside, outside = 0, 0, list[str]()
    for path in sorted(world.folder.rglob("*")):
        if not path.is_file() or path.is_symlink():
            continue
        content = path.read_bytes()
        found = any(needle in content for needle in wanted)
        if any(folder in path.parents for folder in private):
            inside += found
        else:
            files += 1
            outside += [str(path.relative_to(world.folder))] if found else []
    return Search(files, inside, outside)


def needles(
    world: CreditWorld, parts: Sequence[Part], parameters: dict[str, Scalar]
) -> list[bytes]:
    """Return what rows look like: as lines of text, as numbers in memory, encoded."""
    found: list[bytes] = []
    banks = [part for part in parts if part.asset.endswith("-data")]
    for number, part in enumerate(banks):
        found += _lines(world.host_of(part.asset).folder / "rows.csv")
        with np.load(part.folder / "work" / "in" / "table.npz", allow_pickle=False) as file:
            table = {name: file[name] for name in file.files}
        found += _values(table)
        encoded = share(table, parameters, number)["x"][:ENCODED]
        found += [encoded.astype(form).tobytes() for form in FORMS[:2]]
    return found


def _lines(path: Path) -> Iterator[bytes]:
    lines = path.read_bytes().splitlines(keepends=True)[1:]
    for start in (0, len(lines) // 2, len(lines) - LINES):
        yield b"".join(lines[start : start + LINES])


def _values(table: dict[str, npt.NDArray[np.generic]]) -> Iterator[bytes]:
    names = [name for name in sorted(table) if table[name].dtype.kind in "fi"]
    for name in [name for name in names if len(set(table[name][:VALUES])) > 1][:COLUMNS]:
        for form in FORMS:
            yield table[name][:VALUES].astype(form).tobytes()
