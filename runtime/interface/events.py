"""Events: what a block tells the outside world about what its extrinsics did."""

from dataclasses import dataclass, field

from runtime.scale import Field, FixedLayout, Reader, encode_compact, layout_of


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


FINALIZATION_PHASE = b"\x01"
INITIALIZATION_PHASE = b"\x02"
NO_TOPICS = encode_compact(0)


def apply_phase(extrinsic_index: int) -> bytes:
    """Encode the phase of an event that an extrinsic deposited."""
    return b"\x00" + extrinsic_index.to_bytes(4, "little")
