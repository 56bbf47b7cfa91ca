"""Entry point of the command mfchain-node, and of `python -m node`."""

import sys


def main() -> None:
    """Load the command, which takes a moment in which it may be interrupted, and run it."""
    try:
        from node.cli import main as run
    except KeyboardInterrupt:
        sys.exit(0)
    run()


if __name__ == "__main__":
    main()
