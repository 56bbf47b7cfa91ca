"""Events: what a block tells the outside world about what its extrinsics did."""

from dataclasses import dataclass, field
from typing import Final

from runtime.primitives import Hash
from runtime.scale import (
    H256,
    U32,
    Codec,
    Described,
    Enum,
    Field,
    FixedLayout,
    Reader,
    Struct,
    Variant,
    Vec,
    encode_compact,
    layout_of,
    variant,
)


@dataclass(frozen=True, slots=True)
class Event:
    """One variant of a pallet's event enum; `index` is written down and never reused."""

    pallet: str
    pallet_index: int
    index: int
    name: str
    fields: tuple[Field, ...]
    docs: str
    _layout: FixedLayout | None = field(init=False, repr=False, compare=False)
    _start: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Derive what every record of the event starts with."""
        object.__setattr__(self, "_layout", layout_of([item.codec for item in self.fields]))
        object.__setattr__(self, "_start", bytes((self.pallet_index, self.index)))

    def encode(self, *values: object) -> bytes:
        """Encode pallet index, event index and fields, as they stand in an event record."""
        assert len(values) == len(self.fields), f"{self.pallet}.{self.name} has {len(self.fields)} fields"
        if self._layout is not None and (packed := self._layout.pack(values)) is not None:
            return self._start + packed
        parts = [self._start]
        parts += [item.codec.encode(value) for item, value in zip(self.fields, values, strict=True)]
        return b"".join(parts)

    def read_fields(self, reader: Reader) -> dict[str, object]:
        """Decode the fields that stand behind the two indices."""
        return {item.name: item.codec.read(reader) for item in self.fields}


@dataclass(frozen=True, slots=True)
class ApplyExtrinsic:
    """The phase of an event that an extrinsic deposited."""

    extrinsic: int


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event as the state keeps it; `event` in its wire form."""

    phase: object
    event: bytes
    topics: tuple[Hash, ...]


PHASE: Codec[object] = Enum(
    "Phase",
    (
        variant(0, ApplyExtrinsic, Field("extrinsic", U32, "u32", anonymous=True)),
        Variant(1, "Finalization", value="Finalization"),
        Variant(2, "Initialization", value="Initialization"),
    ),
    path=("frame_system", "Phase"),
)
RUNTIME_EVENT: Final = Described("RuntimeEvent")
"""The events of all pallets: an enum that there is only once all pallets are known."""

EVENT_RECORDS: Codec[tuple[EventRecord, ...]] = Vec(
    Struct(
        EventRecord,
        (
            Field("phase", PHASE, "Phase"),
            Field("event", RUNTIME_EVENT, "E"),
            Field("topics", Vec(H256, 1 << 10), "Vec<T>"),
        ),
        path=("frame_system", "EventRecord"),
        parameters=(("E", RUNTIME_EVENT), ("T", H256)),
    ),
    1 << 20,
)

FINALIZATION_PHASE = PHASE.encode("Finalization")
INITIALIZATION_PHASE = PHASE.encode("Initialization")
_APPLY_PHASE = PHASE.encode(ApplyExtrinsic(0))[:1]
NO_TOPICS = encode_compact(0)


def apply_phase(extrinsic_index: int) -> bytes:
    """Encode the phase of an event that an extrinsic deposited."""
    return _APPLY_PHASE + extrinsic_index.to_bytes(4, "little")
