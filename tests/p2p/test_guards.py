"""Each guard against libp2p's weaknesses, beside what becomes of plain libp2p in the same trouble."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.p2p.children import Child

pytestmark = pytest.mark.full

GUARDS: list[tuple[str, Any, Any]] = [
    # name, with the guard, without it
    ("exception_in_a_stream_handler", "alive", "ended by RuntimeError"),
    ("exception_in_a_task", "alive", "ended by RuntimeError"),
    ("undecodable_rpc", [True, ["bad message"]], "ended by DecodeError"),
    ("undecodable_key", ["bad message"], "ended by DecodeError"),
    ("raising_validator", "alive", "ended by RuntimeError"),
    ("inbound_places", 8, 4),
    ("reads_of_gossip", 1, 300),
    ("dial_after_a_failed_one", "connected", "ended by SwarmException"),
    ("write_to_a_stalled_peer", ["ConnectionClosedError", True], "hangs"),
    ("write_cut_in_the_middle", 100, 50),
    ("window_ignored", [20, ["flood"]], [40, []]),
    ("same_message_twice_at_once", 1, 3),
    ("verdicts_that_do_not_come", [32, True], [10, False]),
    ("control_beside_a_verdict", [1, True], [1, True]),
    ("forged_copy_first", ["real"], ["real"]),
    ("second_writer_on_a_stream", 0, 2),
    ("message_to_who_has_brought_it", 0, 2),
    ("messages_asked_for", [1, 4], [1000, 8]),
    ("topics_made_up_by_a_peer", 0, 500),
    ("memory_of_messages", [0, 0], [10, 10]),
    ("stream_that_does_not_open_at_once", True, False),
    ("subscriptions_of_a_peer_whose_stream_is_open", [True, False], [False, False]),
    ("allocation_for_a_length", 65536, 1 << 40),
]


@pytest.fixture(scope="module")
def program() -> Iterator[Child]:
    """All of them in one process: they share the import of libp2p, which takes longer than any of them."""
    child = Child("guards.py", {"only": [name for name, _, _ in GUARDS]})
    yield child
    child.end()


@pytest.mark.parametrize(("name", "guarded", "plain"), GUARDS, ids=[name for name, _, _ in GUARDS])
def test_a_guard_is_needed_and_holds(program: Child, name: str, guarded: object, plain: object) -> None:
    result = program.wait("result", name=name)
    assert (result["guarded"], result["plain"]) == (guarded, plain), "".join(program.errors)
