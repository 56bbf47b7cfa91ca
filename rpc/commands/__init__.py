"""The subcommands of the user's command `mfchain`."""
