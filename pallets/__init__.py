"""Pallets: each folder is one part of the chain's state transition."""
