"""Where the pallet has its place, and bounds of its codecs. Its constants are those of the pallet Producers."""

from typing import Final

PALLET: Final = "Finality"
INDEX: Final = 6
MAX_VOTES: Final = 128
"""Votes in one block."""
