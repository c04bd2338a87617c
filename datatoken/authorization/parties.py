"""The parties of an MPC job, as verified documents name them."""

from collections.abc import Collection

from datatoken.authorization.tree import VerifiedTree
from datatoken.types import Hex32


def mpc_parties(tree: VerifiedTree, operations: Collection[Hex32]) -> dict[Hex32, list[Hex32]]:
    """Return each DT that an MPC operation is given to, with those operations.

    Parameters
    ----------
    tree : VerifiedTree
        Leaves' DDOs are not needed: a leaf runs what is given to it.
    operations : collection of Hex32
        The MPC operations among those that the workflows name.

    Returns
    -------
    dict of Hex32 to list of Hex32
        Depth first, in the order of the algorithm's children: the order of the parties.
    """
    if not operations:
        return {}
    found: dict[Hex32, list[Hex32]] = {}
    for dt in in_tree_order(tree):
        given = dict.fromkeys(one.operation for one in tree.assignments(dt))
        if mpc := [operation for operation in given if operation in operations]:
            found[dt] = mpc
    return found


def in_tree_order(tree: VerifiedTree) -> list[Hex32]:
    """Return every DT of the tree once, each before its children, children in their order."""
    found: dict[Hex32, None] = {}

    def visit(dt: Hex32) -> None:
        if dt in found:
            return
        found[dt] = None
        for child in tree.ddos[dt].children if dt in tree.ddos else ():
            visit(child)

    visit(tree.algorithm)
    return list(found)
