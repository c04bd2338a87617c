"""MPC under the gate of the data owner."""
