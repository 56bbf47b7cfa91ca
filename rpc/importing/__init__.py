"""Importing a file of ratings: reading, planning, signing, sending, and going on after an interruption."""
