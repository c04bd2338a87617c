"""The folder that an operation's process imports `child` from: nothing else lies in it."""
