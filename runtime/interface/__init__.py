"""What a pallet is made of, and all that it may touch."""
