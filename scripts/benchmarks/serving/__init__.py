"""A node as a process, and a client that costs as little as possible."""
