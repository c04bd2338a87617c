"""The relay's main: opens its doors, says so, and runs until its supervisor is gone."""

import json
import os
import sys

from .setup import Setup


def main() -> None:
    """Read the configuration from the first line of stdin, and carry the link."""
    config = json.loads(sys.stdin.readline())
    os.umask(0o077)
    try:
        setup = Setup.of(config)
        if config["manner"] == "rosetta":
            from .rosetta import start
        else:
            from .unix import start
        start(setup)
    except OSError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return
    print(json.dumps({"ready": True}), flush=True)
    sys.stdin.read()  # ends when the supervisor does
    os._exit(0)
