"""Events: what a block tells the outside world about what its extrinsics did."""

from dataclasses import dataclass

from runtime.scale import Field, Reader, encode_compact


@dataclass(frozen=True, slots=True)
class Event:
    """One variant of a pallet's event enum; `index` is written down and never reused."""

    pallet: str
    pallet_index: int
    index: int
    name: str
    fields: tuple[Field, ...]
    docs: str

    def encode(self, *values: object) -> bytes:
        """Encode pallet index, event index and fields, as they stand in an event record."""
        assert len(values) == len(self.fields), f"{self.pallet}.{self.name} has {len(self.fields)} fields"
        parts = [bytes((self.pallet_index, self.index))]
        parts += [field.codec.encode(value) for field, value in zip(self.fields, values, strict=True)]
        return b"".join(parts)

    def read_fields(self, reader: Reader) -> dict[str, object]:
        """Decode the fields that stand behind the two indices."""
        return {field.name: field.codec.read(reader) for field in self.fields}


FINALIZATION_PHASE = b"\x01"
INITIALIZATION_PHASE = b"\x02"
NO_TOPICS = encode_compact(0)


def apply_phase(extrinsic_index: int) -> bytes:
    """Encode the phase of an event that an extrinsic deposited."""
    return b"\x00" + extrinsic_index.to_bytes(4, "little")
