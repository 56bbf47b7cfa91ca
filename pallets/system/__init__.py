"""Pallet System: accounts and their nonces, block numbers and hashes, the events of a block."""
