"""The events of a block in JSON, decoded by the pallets' own declarations."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum

from pallets.system.storage import EVENTS_KEY
from runtime.executive import Runtime
from runtime.interface.dispatch import ModuleError
from runtime.interface.errors import GenericError
from runtime.interface.state import StateReader
from runtime.keys import ss58_encode
from runtime.primitives import AccountId, to_hex
from runtime.scale import ACCOUNT_ID, Codec, Reader, shown_name

_APPLY_EXTRINSIC = 0

JsonEvent = Mapping[str, object]


def extrinsic_events(runtime: Runtime, state: StateReader, extrinsic: int) -> Sequence[JsonEvent]:
    """Return the events that one extrinsic of the block has deposited whose state this is."""
    return [event for index, event in block_events(runtime, state) if index == extrinsic]


def block_events(runtime: Runtime, state: StateReader) -> Iterator[tuple[int | None, JsonEvent]]:
    """Walk a block's events with the index of the extrinsic each belongs to, None for those of the block itself."""
    data = state.get(EVENTS_KEY)
    if data is None:
        return
    reader = Reader(data)
    for _ in range(reader.compact(32, "event count")):
        phase = reader.byte("phase")
        extrinsic = int.from_bytes(reader.take(4), "little") if phase == _APPLY_EXTRINSIC else None
        event = runtime.events[(reader.byte("pallet"), reader.byte("event"))]
        values = event.read_fields(reader)
        reader.compact(32, "topics")
        shown = {
            field.name.removeprefix("dispatch_"): _shown(runtime, field.codec, values[field.name])
            for field in event.fields
        }
        yield extrinsic, {"pallet": event.pallet, "event": event.name, "fields": shown}


def _shown(runtime: Runtime, codec: Codec[object], value: object) -> object:
    """Turn a decoded value into JSON: accounts as addresses, bytes as hex, errors by name."""
    if codec is ACCOUNT_ID:
        assert isinstance(value, bytes)
        return ss58_encode(AccountId(value))
    if isinstance(value, ModuleError):
        error = runtime.errors[(value.index, value.error[0])]
        return {"pallet": error.pallet, "name": error.name, "message": error.docs}
    if isinstance(value, GenericError):
        return {"pallet": None, "name": value.name, "message": value.docs}
    if isinstance(value, bytes):
        return to_hex(value)
    if isinstance(value, Enum):
        return value.name.capitalize()
    if is_dataclass(value):
        return {shown_name(field.name): _shown(runtime, codec, getattr(value, field.name)) for field in fields(value)}
    return value
