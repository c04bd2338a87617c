"""Base of the typed contracts: encodes calls from the compiled interface."""

from typing import Any, ClassVar

from datatoken.chain.artifacts import Artifact, load_artifact
from datatoken.chain.errors import from_rpc_error
from datatoken.chain.intents import Transaction
from datatoken.chain.rpc import Rpc, RpcError
from datatoken.types import Address

VIEW_GAS = 50_000_000


class Contract:
    """Base: encodes calls from the compiled interface.

    Parameters
    ----------
    rpc : Rpc
        Connection to the chain.
    address : Address
        Where the contract is.
    view_gas : int
        Gas that a view call may use: the profile's `view_gas`.
    """

    artifact_name: ClassVar[str]

    def __init__(self, rpc: Rpc, address: Address, view_gas: int = VIEW_GAS) -> None:
        self.rpc = rpc
        self.address = address
        self.view_gas = view_gas

    @property
    def artifact(self) -> Artifact:
        """Compiled contract."""
        return load_artifact(self.artifact_name)

    def _write(self, function: str, *arguments: object) -> Transaction:
        entry = self.artifact.functions[function]
        data = entry.selector + entry.encode(*arguments)
        return Transaction(self.address, data, f"{self.artifact_name}.{function}")

    def _read(self, function: str, *arguments: object, block: str = "latest") -> Any:
        """Call a view function; one output is returned bare, several as a tuple."""
        entry = self.artifact.functions[function]
        data = entry.selector + entry.encode(*arguments)
        try:
            answer = self.rpc.eth_call(self.address, data, block=block, gas=self.view_gas)
        except RpcError as error:
            if error.data or error.reverted:
                raise from_rpc_error(error) from error
            raise
        values = entry.decode_output(answer)
        return values[0] if len(values) == 1 else values


class Counting(Contract):
    """A contract that counts the reductions of permissions."""

    def counter(self) -> int:
        """Return the counter."""
        return int(self._read("counter"))


class Administered(Counting):
    """A contract with an administrator (two-step ownership)."""

    def administrator(self) -> Address:
        """Return the administrator's account."""
        return str(self._read("owner"))

    def transfer_ownership(self, successor: Address) -> Transaction:
        """Name a successor, who becomes administrator by `accept_ownership`."""
        return self._write("transferOwnership", successor)

    def accept_ownership(self) -> Transaction:
        """Accept to be the administrator."""
        return self._write("acceptOwnership")
