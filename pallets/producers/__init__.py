"""Pallet Producers: who makes the block of which slot."""
