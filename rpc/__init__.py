"""JSON-RPC of a node: what it asks of the node, how it speaks, and a client."""
