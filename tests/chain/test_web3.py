"""web3.py reads the same contracts, and reads the same."""

import pytest

from datatoken.chain.web3 import connect, contract
from datatoken.errors import BadInputError, ChainUnreachableError, WrongChainError
from datatoken.types import AssetKind
from tests.support.chain import Chain


def test_web3_decodes_what_the_hand_built_reader_decodes(chain: Chain):
    """Acceptance: 40, 93."""
    dt = chain.mint(chain.a)
    web3 = connect(chain.deployment)
    registry = contract(web3, chain.deployment, "DataTokenRegistry")

    theirs = registry.functions.token(dt).call()
    ours = chain.contracts.tokens.token(dt)

    fields = theirs if isinstance(theirs, (list, tuple)) else list(theirs)
    assert fields[0].lower() == ours.owner
    assert fields[1] == ours.kind == AssetKind.DATA
    assert "0x" + bytes(fields[-2]).hex() == ours.proof
    assert "0x" + bytes(fields[-1]).hex() == ours.ddo


def test_unknown_contract_wrong_chain_and_nobody_there(chain: Chain):
    with pytest.raises(BadInputError, match="There is no contract"):
        contract(connect(chain.deployment), chain.deployment, "Token")
    elsewhere = chain.deployment.model_copy(update={"chain_id": 210425, "profile": "platon"})
    with pytest.raises(WrongChainError):
        connect(elsewhere)
    nobody = chain.deployment.model_copy(update={"rpc_urls": ("http://127.0.0.1:9",)})
    with pytest.raises(ChainUnreachableError):
        connect(nobody)
