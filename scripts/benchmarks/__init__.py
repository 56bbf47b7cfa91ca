"""The suites of `scripts/bench.py`: each module here is one; what they share is in `common`."""
