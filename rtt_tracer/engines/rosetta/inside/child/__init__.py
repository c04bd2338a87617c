"""What runs in the engine's process: CPython 3.6, standard library, NumPy, TensorFlow, Rosetta.

Nothing here imports the rest of the project, and nothing uses what came after 3.6.
`guardian` starts `runner` and stays outside Rosetta, whose native code blocks its own process
for as long as a peer is silent.
"""
