"""Pallet Timestamp: the time of a block, put in by its author."""
