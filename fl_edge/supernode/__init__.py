"""The SuperNode under the gate of the data owner.

`seam` puts the gate between flwr's main loop and its connection; `gate` checks what comes in
and what leaves; `launch` starts it all in an environment without secrets.
"""
