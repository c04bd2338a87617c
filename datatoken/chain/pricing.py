"""Gas and fees of a transaction, and why one would revert."""

from datatoken.chain.errors import from_rpc_error
from datatoken.chain.intents import Transaction
from datatoken.chain.profiles import NetworkProfile
from datatoken.chain.quotes import quantity
from datatoken.chain.rpc import Rpc, RpcError
from datatoken.errors import ChainUnreachableError, TransactionError
from datatoken.types import Address

GAS_MARGIN = 1.25
_GWEI = 10**9


class Pricing:
    """Asks a chain what a transaction of one account costs.

    Parameters
    ----------
    rpc : Rpc
        Connection to the chain.
    address : Address
        The account.
    profile : NetworkProfile
        The chain's rules.
    """

    def __init__(self, rpc: Rpc, address: Address, profile: NetworkProfile) -> None:
        self.rpc = rpc
        self.address = address
        self.profile = profile

    def nonce(self, block: str) -> int:
        """Return the account's number of transactions as of `latest` or `pending`."""
        return self._number("eth_getTransactionCount", self.address, block)

    def call_fields(self, intent: Transaction) -> dict[str, str]:
        """Return an intent as the argument of eth_call."""
        fields = {"from": self.address, "data": "0x" + intent.data.hex()}
        if intent.to is not None:
            fields["to"] = intent.to
        return fields

    def estimate(self, intent: Transaction) -> int:
        """Return the gas limit; a transaction that would revert raises here and is never sent.

        Raises
        ------
        ContractError
            What the contract would revert with.
        """
        try:
            gas = self._number("eth_estimateGas", self.call_fields(intent))
        except RpcError as error:
            self._explain(intent, error)
            raise from_rpc_error(error) from error
        return int(gas * GAS_MARGIN)

    def _explain(self, intent: Transaction, error: RpcError) -> None:
        """Ask for the revert's data by a call, for nodes that leave it out of an estimate."""
        if error.data is not None or not error.reverted:
            return
        try:
            self.rpc.request("eth_call", [self.call_fields(intent), "latest"])
        except RpcError as explained:
            if explained.data is not None:
                raise from_rpc_error(explained) from explained

    def fees(self) -> dict[str, int]:
        """Return the fee fields: one price, or base fee and tip where the chain has them."""
        if not self.profile.legacy_gas_price:
            block = self.rpc.request("eth_getBlockByNumber", ["latest", False])
            base = block.get("baseFeePerGas")
            if base is not None:
                tip = self._tip()
                return {
                    "type": 2,
                    "maxPriorityFeePerGas": tip,
                    "maxFeePerGas": 2 * int(base, 16) + tip,
                }
        return {"gasPrice": self._number("eth_gasPrice")}

    def _tip(self) -> int:
        try:
            return self._number("eth_maxPriorityFeePerGas")
        except RpcError:  # the method is optional
            return _GWEI

    def reason(self, intent: Transaction, block: str) -> TransactionError | None:
        """Run a reverted transaction again as a call and return why it reverts."""
        try:
            self.rpc.request("eth_call", [self.call_fields(intent), block])
        except RpcError as error:
            return from_rpc_error(error)
        except ChainUnreachableError:  # too few have the block yet: the reason stays unknown
            return None
        return None

    def _number(self, method: str, *params: object) -> int:
        return quantity(method, self.rpc.request(method, params))
