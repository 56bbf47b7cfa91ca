"""The functional core: codecs, primitives, cryptography, state trie and the block executive."""
