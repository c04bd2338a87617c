"""The gate in a process of its own, between a SuperLink and a stock SuperNode.

`uplink` speaks flwr's Fleet API to the SuperLink, `fleet` serves it to the SuperNode, and between
them is the gate of `fl_edge.supernode`: the same decisions, the same receipts.
"""
