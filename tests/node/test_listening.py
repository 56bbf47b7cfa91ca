"""Since when a node has heard others: from when it is level with one, without a break, until that was long enough."""

from dataclasses import dataclass

from node.listening import Listening
from runtime.primitives import Slot


@dataclass
class Others:
    """What a node knows of others."""

    is_level: bool = True
    is_in_touch: bool = True

    def listening(self) -> Listening:
        return Listening(lambda: 10, lambda: self.is_level, lambda: self.is_in_touch)


def test_it_counts_from_when_the_node_is_level_and_goes_on_while_it_is_in_touch() -> None:
    others = Others(is_level=False)
    listening = others.listening()
    assert listening.since(Slot(1)) is None
    others.is_level = True
    assert listening.since(Slot(5)) == 5
    others.is_level = False
    assert listening.since(Slot(6)) == 5, "somebody has a new block"


def test_a_break_begins_it_anew() -> None:
    others = Others()
    listening = others.listening()
    assert listening.since(Slot(1)) == 1
    others.is_in_touch = False
    assert listening.since(Slot(11)) is None
    others.is_in_touch = True
    assert listening.since(Slot(12)) == 12


def test_once_it_was_long_enough_a_break_is_of_no_matter() -> None:
    others = Others()
    listening = others.listening()
    for slot in (1, 11):
        assert listening.since(Slot(slot)) == 1
    others.is_in_touch = False
    assert listening.since(Slot(12)) is None, "ten slots are not over before the eleventh has passed"
    others.is_in_touch = True
    for slot in (20, 31):
        assert listening.since(Slot(slot)) == 20
    others.is_in_touch = others.is_level = False
    assert listening.since(Slot(40)) == 20


def test_it_can_be_skipped() -> None:
    listening = Others(is_level=False, is_in_touch=False).listening()
    assert listening.since(Slot(1)) is None
    listening.skip(Slot(2))
    assert listening.since(Slot(3)) == 2
    assert listening.since(Slot(30)) == 2
