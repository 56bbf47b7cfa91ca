"""Bytes between nodes; not part of a node yet."""
