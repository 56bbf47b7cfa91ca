import pytest

from storage.errors import Reason, StorageError
from tests.simulation.disk import Disk
from tests.simulation.scheduler import rng_of


def contents(disk: Disk) -> list[tuple[bytes, bytes]]:
    store = disk.open()
    found = list(store.items(b""))
    store.close()
    return found


def test_what_was_given_back_in_order_is_all_there() -> None:
    disk = Disk(rng_of(1, "disk"))
    store = disk.open()
    store.write([(b"a", b"1"), (b"b", b"2")], sync=True)
    store.write([(b"b", None), (b"c", b"3")], sync=False)
    before = store.snapshot()
    store.write([(b"c", b"4")], sync=False)
    assert (store.get(b"c"), before.get(b"c"), store.get(b"b")) == (b"4", b"3", None)
    store.close()
    assert contents(disk) == [(b"a", b"1"), (b"c", b"4")]


def test_a_crash_keeps_what_was_synced_and_the_first_so_many_writes_after() -> None:
    left = set()
    for seed in range(50):
        disk = Disk(rng_of(seed, "disk"))
        store = disk.open()
        store.write([(b"a", b"1")], sync=False)
        store.write([(b"b", b"2")], sync=True)
        store.write([(b"c", b"3")], sync=False)
        store.write([(b"d", b"4")], sync=False)
        disk.crash()
        left.add(b"".join(key for key, _ in contents(disk)))
    assert left == {b"ab", b"abc", b"abcd"}


def test_what_a_crash_has_left_is_there_after_the_next_one() -> None:
    disk = Disk(rng_of(1, "disk"))
    store = disk.open()
    store.write([(b"a", b"1")], sync=False)
    disk.crash()
    first = contents(disk)
    disk.open()
    disk.crash()
    assert contents(disk) == first


def test_a_crashed_node_can_do_nothing_any_more() -> None:
    disk = Disk(rng_of(1, "disk"))
    store = disk.open()
    disk.crash()
    message = "the node has crashed, or closed its disk"
    for attempt in (
        lambda: store.write([(b"a", b"1")], sync=True),
        lambda: store.get(b"a"),
        lambda: store.items(b""),
        store.snapshot,
    ):
        with pytest.raises(StorageError) as caught:
            attempt()
        assert (caught.value.reason, str(caught.value)) == (Reason.CLOSED, message)
    store.close()
    assert contents(disk) == []


def test_a_copy_takes_the_place_of_what_was_written_since() -> None:
    disk = Disk(rng_of(1, "disk"))
    store = disk.open()
    store.write([(b"a", b"1")], sync=True)
    disk.back_up()
    store.write([(b"a", b"2"), (b"b", b"2")], sync=True)
    with pytest.raises(AssertionError, match="the disk is in use"):
        disk.restore()
    store.close()
    disk.restore()
    assert (contents(disk), disk.setbacks) == ([(b"a", b"1")], 1)
    disk.lose()
    assert (contents(disk), disk.setbacks) == ([], 2)


def test_one_life_at_a_time() -> None:
    disk = Disk(rng_of(1, "disk"))
    disk.open()
    with pytest.raises(StorageError) as caught:
        disk.open()
    assert (caught.value.reason, str(caught.value)) == (Reason.LOCKED, "the simulated disk is in use")
    disk.give_back()
    disk.give_back()
    disk.open()


def test_a_crash_in_a_write_leaves_the_write_done_and_its_maker_dead() -> None:
    disk = Disk(rng_of(1, "disk"))
    store = disk.open()
    disk.crash_at(2, disk.crash)
    store.write([(b"a", b"1")], sync=True)
    with pytest.raises(StorageError, match="the node has crashed"):
        store.write([(b"b", b"2")], sync=True)
    assert contents(disk) == [(b"a", b"1"), (b"b", b"2")]
