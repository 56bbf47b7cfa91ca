"""What a node keeps on disk: blocks, the state of the head, and the way back from it."""
