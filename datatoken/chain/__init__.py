"""The chain: network profiles, signer, transactions, typed contracts, reads and events.

What a gate needs while messages flow is `datatoken.chain.rpc`, `datatoken.chain.reader`
and `datatoken.chain.deployment`; they load no signing code.
"""
