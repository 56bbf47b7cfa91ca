import threading

from runtime.primitives import Hash, blake2b_256
from runtime.trie import StateVersion, Trie
from storage.proofs import RecentTries


def block(number: int) -> Hash:
    return blake2b_256(b"%d" % number)


def trie(number: int) -> Trie:
    return Trie.from_items([(b"%d" % number, b"")], StateVersion.V1)


def unwanted() -> Trie:
    raise AssertionError("it was kept")


def test_a_trie_is_made_once() -> None:
    tries, made = RecentTries(), trie(1)
    assert tries.get(block(1), lambda: made) is made
    assert tries.get(block(1), unwanted) is made


def test_the_ones_used_last_are_kept() -> None:
    tries = RecentTries()
    for number in range(8):
        tries.remember(block(number), trie(number))
    tries.get(block(0), unwanted)
    tries.remember(block(8), trie(8))
    assert tries.get(block(0), unwanted).root() == trie(0).root()
    assert tries.get(block(2), unwanted).root() == trie(2).root()
    made = trie(1)
    assert tries.get(block(1), lambda: made) is made


def test_remembering_does_not_wait_for_one_that_is_being_made() -> None:
    tries, started, finish = RecentTries(), threading.Event(), threading.Event()

    def slowly() -> Trie:
        started.set()
        assert finish.wait(60)
        return trie(1)

    reader = threading.Thread(target=tries.get, args=(block(1), slowly))
    reader.start()
    assert started.wait(60)
    tries.remember(block(2), trie(2))
    finish.set()
    reader.join(60)
    assert tries.get(block(2), unwanted).root() == trie(2).root()
    assert tries.get(block(1), unwanted).root() == trie(1).root()
