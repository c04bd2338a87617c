"""Review: what an owner sees before granting. Who asks, for what, with which code and limits."""

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from datatoken.authorization.view import Grant
from datatoken.ddo.agreement import Violation, agreement_violations
from datatoken.ddo.models import SELF, Ddo, RecorderRef
from datatoken.ddo.operation import OperationDocument
from datatoken.ddo.terms import Terms
from datatoken.errors import LocalEnvironmentError, StoreError
from datatoken.roles.code import code_diff, source_files
from datatoken.roles.documents import Documents, operations_named
from datatoken.roles.site import Site
from datatoken.types import Address, Hex32, Scalar

REVIEWED = "reviewed.json"


@dataclass(frozen=True)
class Code:
    """One operation that the parent's workflow runs at the child.

    Attributes
    ----------
    fixed : dict
        Parameters that the workflows fix; all others are free within the schema.
    files : dict
        Source files by name; empty when the store has not got the bundle.
    seen : Hex32 or None
        Bundle of the operation of this name that the owner granted before.
    diff : str
        What changed since then; empty when nothing did or nothing was seen.
    """

    operation: Hex32
    document: OperationDocument
    retired: bool
    fixed: dict[str, Scalar]
    files: dict[str, str]
    seen: Hex32 | None
    diff: str


@dataclass(frozen=True)
class Review:
    """Everything that a human should see before a grant.

    Attributes
    ----------
    requester, requester_name : Address, str
        Owner of the parent, and the institution behind it.
    purpose : str or None
        What the parent asks the child for.
    members : int
        Children of the parent, this one included.
    terms : Terms
        The child's own terms, which hold whatever the grant says.
    recorder : RecorderRef or None
        Who will log the rounds.
    standing : Grant
        The grant slot as it is now.
    violations : tuple of Violation
        All reasons why the SDK refuses to grant.
    """

    child: Ddo
    parent: Ddo
    requester: Address
    requester_name: str
    purpose: str | None
    members: int
    codes: tuple[Code, ...]
    terms: Terms
    recorder: RecorderRef | None
    standing: Grant
    violations: tuple[Violation, ...]

    @property
    def reveals(self) -> list[tuple[str, str]]:
        """Return (what, to whom) over all operations, each once."""
        found = [(r.what, r.to) for code in self.codes for r in code.document.reveals]
        return list(dict.fromkeys(found))


def review(site: Site, child: Hex32, parent: Hex32, *, guarantor: Address | None = None) -> Review:
    """Return the review of granting `child` to `parent`.

    Raises
    ------
    BadInputError
        When either DT does not exist.
    StoreError, Refused
        When a DDO cannot be had or does not hash to its record.
    """
    low, high = site.documents.ddo(child), site.documents.ddo(parent)
    found = broken_terms(site, child, parent, guarantor=guarantor)
    requester = site.documents.record(parent).owner
    seen = Reviewed(site.folder).bundles(child)
    return Review(
        child=low,
        parent=high,
        requester=requester,
        requester_name=site.name_of(requester),
        purpose=high.service.extra_params.purpose,
        members=len(high.children),
        codes=tuple(
            _code(site.documents, operation, fixed, seen)
            for operation, fixed in run_at_child(low, high).items()
            if site.contracts.operations.operation(operation).exists
        ),
        terms=low.terms,
        recorder=high.service.extra_params.recorder,
        standing=site.reader.grant(parent, child),
        violations=tuple(found),
    )


def broken_terms(
    site: Site, child: Hex32, parent: Hex32, *, guarantor: Address | None = None
) -> list[Violation]:
    """Return every reason why `child`'s terms forbid a grant to `parent`; see `review`."""
    low, high = site.documents.ddo(child), site.documents.ddo(parent)
    named = [*operations_named(low), *operations_named(high)]
    usable = site.documents.usable(named)
    return agreement_violations(low, high, usable, now=site.now(), guarantor=guarantor)


def run_at_child(child: Ddo, parent: Ddo) -> dict[Hex32, dict[str, Scalar]]:
    """Return operation → fixed parameters of all that `parent` lets run at `child` itself."""
    if child.dt not in parent.children:
        return {}
    index = str(parent.children.index(child.dt))
    found: dict[Hex32, dict[str, Scalar]] = {}
    for flow in parent.service.workflows:
        for ref in flow.operations(index):
            own = [(ref, {})] if ref != SELF else _own(child)
            for operation, fixed in own:
                more = flow.configs.parameters.get(operation, {})
                found[operation] = {**found.get(operation, {}), **fixed, **more}
    return found


def _own(child: Ddo) -> list[tuple[Hex32, dict[str, Scalar]]]:
    return [
        (operation, dict(flow.configs.parameters.get(operation, {})))
        for flow in child.service.workflows
        for operation in flow.operations(SELF)
    ]


def _code(
    documents: Documents, operation: Hex32, fixed: dict[str, Scalar], seen: dict[str, Hex32]
) -> Code:
    found = documents.operation(operation)
    document, before = found.document, seen.get(found.document.name)
    try:
        files = source_files(documents.bundle(document))
    except StoreError:
        files = {}
    diff = ""
    if before is not None and before != document.bundle:
        diff = code_diff(_seen_files(documents, document, before), files)
    return Code(operation, document, found.record.retired, fixed, files, before, diff)


def _seen_files(documents: Documents, document: OperationDocument, bundle: Hex32) -> dict[str, str]:
    earlier = document.model_copy(update={"bundle": bundle, "size": 2**20})
    try:
        return source_files(documents.bundle(earlier))
    except StoreError:
        return {}


class Reviewed:
    """What code an owner has granted before, by DT and operation name, on the owner's disk.

    Parameters
    ----------
    folder : Path
        The owner's state folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / REVIEWED

    def bundles(self, child: Hex32) -> dict[str, Hex32]:
        """Return operation name → bundle digest that was granted last."""
        found = self._load().get(child, {})
        return dict(found)

    def remember(self, reviewed: Review) -> None:
        """Keep the bundles of a review whose grant was made.

        Raises
        ------
        LocalEnvironmentError
            When the folder is not writable.
        """
        content = self._load()
        content.setdefault(reviewed.child.dt, {}).update(
            {code.document.name: code.document.bundle for code in reviewed.codes}
        )
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=REVIEWED)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(content, file, indent=1, sort_keys=True)
            Path(name).replace(self._path)
        except OSError as error:
            raise LocalEnvironmentError(
                f"The file {self._path} cannot be written: {error.strerror}."
            ) from error

    def _load(self) -> dict[Hex32, dict[str, Hex32]]:
        """Return the file's content; a lost or damaged one only loses the diff."""
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}
