"""The events of a small chain's last block."""

from typing import Any

from pallets.system.storage import EVENTS_KEY
from runtime.scale import Reader
from tests.support.small_chain import SmallChain

_OUTCOMES = ("ExtrinsicSuccess", "ExtrinsicFailed")


def all_events(chain: SmallChain) -> list[tuple[int | None, str, str, dict[str, Any]]]:
    """Return (extrinsic or None, pallet, event, fields) of the head block."""
    reader = Reader(chain.state.entries[EVENTS_KEY])
    events: list[tuple[int | None, str, str, dict[str, Any]]] = []
    for _ in range(reader.compact(32)):
        extrinsic = int.from_bytes(reader.take(4), "little") if reader.byte() == 0 else None
        event = chain.runtime.events[(reader.byte(), reader.byte())]
        events.append((extrinsic, event.pallet, event.name, event.read_fields(reader)))
        assert reader.compact(32) == 0, "no topics"
    assert reader.remaining == 0
    return events


def events_of(chain: SmallChain) -> dict[int | None, list[tuple[str, str, dict[str, Any]]]]:
    """Return the events by extrinsic, without those that say how each ended."""
    events: dict[int | None, list[tuple[str, str, dict[str, Any]]]] = {}
    for extrinsic, pallet, name, fields in all_events(chain):
        if name not in _OUTCOMES:
            events.setdefault(extrinsic, []).append((pallet, name, fields))
    return events
