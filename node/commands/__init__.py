"""The subcommands of mfchain-node, one module each, and what they share."""
