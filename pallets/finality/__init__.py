"""Pallet Finality: which part of history is there to stay."""
