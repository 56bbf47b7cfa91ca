"""The node: the shell around the runtime, with its clock, threads, files and sockets."""
