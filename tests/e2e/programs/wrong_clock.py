"""A node whose clock is wrong: `wrong_clock.py MILLISECONDS [arguments of mfchain-node]`; negative: it is slow.

Everything else is the real node: what is replaced is the one function that asks the system for the time of day.
"""

import sys

from node import service
from node.__main__ import main

if __name__ == "__main__":
    off = int(sys.argv.pop(1))
    right = service.milliseconds
    service.milliseconds = lambda: right() + off
    main()
