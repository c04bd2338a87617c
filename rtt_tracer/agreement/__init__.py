"""What the parties of an MPC run agree on. Pure: no clock, no disk, no network.

`plan` derives who does what from verified documents and one compute request; `introductions`
are each party's signed word on where it is reached; `checkpoints` are what all parties sign
after each stage. Messages travel over `rtt_tracer.control`.
"""
