"""The state trie: Substrate's base-16 Patricia tree, its root and its proofs (layouts V0 and V1).

A trie maps byte strings to byte strings, and its root hash commits to the whole mapping: two tries have
the same root exactly if they hold the same pairs. A key is walked nibble by nibble from the root; a node
names the nibbles it skips, and holds a value, up to sixteen children, or both. A parent embeds a child's
encoding if that is shorter than a hash, and its hash otherwise. In layout V1 a value of 33 bytes or more
is replaced by its hash too.
"""

from runtime.trie.node import EMPTY_ROOT, MAX_KEY_LENGTH, StateVersion, TrieError
from runtime.trie.proof import ProofError, verify_proof
from runtime.trie.ranges import verify_range
from runtime.trie.trie import Trie, ordered_root

__all__ = [
    "EMPTY_ROOT",
    "MAX_KEY_LENGTH",
    "ProofError",
    "StateVersion",
    "Trie",
    "TrieError",
    "ordered_root",
    "verify_proof",
    "verify_range",
]
