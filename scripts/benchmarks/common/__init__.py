"""What the suites share: the machine's own measure, timing, and the form of a result."""
