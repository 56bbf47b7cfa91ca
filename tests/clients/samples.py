"""One event record for every event and every error that the pallets declare, made from the declarations alone."""

from collections.abc import Iterator
from typing import Any

from node.chain_spec import genesis, load_spec
from pallets.system.events import EXTRINSIC_FAILED
from runtime.executive import Runtime
from runtime.interface.dispatch import DispatchInfoRecord, Weight, record_error
from runtime.interface.errors import BAD_ORIGIN, CANNOT_LOOKUP, EXHAUSTED
from runtime.interface.events import NO_TOPICS, apply_phase
from runtime.interface.weights import DispatchClass
from runtime.primitives import to_hex
from runtime.scale import (
    Array,
    Boolean,
    Bytes,
    Codec,
    Compact,
    Enum,
    FixedBytes,
    Integer,
    Option,
    Struct,
    Text,
    Tuple,
    Vec,
    encode_compact,
)

FAILED_INFO = DispatchInfoRecord(Weight(161_100_000, 7), DispatchClass.OPERATIONAL, "No")


def sample(codec: Codec[Any]) -> bytes:
    """The bytes of some value of a type that says something: no zeros, the last case, two elements."""
    match codec:
        case Integer():
            return bytes(range(0x81, 0x81 + codec.min_size))
        case Boolean():
            return b"\1"
        case Compact():
            return encode_compact((1 << min(codec.bits, 40)) - 3)
        case Text():
            return encode_compact(8) + "Ozark é".encode()
        case Bytes():
            return b"\x0c\x01\x02\x03"
        case FixedBytes():
            return bytes(range(1, 1 + codec.length))
        case Vec():
            return b"\x08" + 2 * sample(codec.inner)
        case Array():
            return codec.length * sample(codec.inner)
        case Option():
            return b"\1" + sample(codec.inner)
        case Tuple():
            return b"".join(map(sample, codec.inner))
        case Struct():
            return b"".join(sample(field.codec) for field in codec.fields)
        case Enum():
            case = codec.variants[-1]
            return bytes((case.index,)) + b"".join(sample(field.codec) for field in case.fields)
        case _:
            raise TypeError(f"no sample of {codec!r}")


def records(runtime: Runtime) -> Iterator[tuple[bytes, tuple[str, str, str | None]]]:
    """Encoded events, each with its pallet, its name, and the name of the error that it tells of."""
    for event in runtime.events.values():
        if event is EXTRINSIC_FAILED:
            continue
        fields = b"".join(sample(field.codec) for field in event.fields)
        yield bytes((event.pallet_index, event.index)) + fields, (event.pallet, event.name, None)
    for error in (CANNOT_LOOKUP, BAD_ORIGIN, EXHAUSTED, *runtime.errors.values()):
        encoded = EXTRINSIC_FAILED.encode(record_error(error), FAILED_INFO)
        yield encoded, (EXTRINSIC_FAILED.pallet, EXTRINSIC_FAILED.name, error.name)


def events() -> list[dict[str, object]]:
    """Values of System.Events: one record each, then all of them together; with what clients should make of them."""
    runtime = genesis(load_spec("dev")).runtime
    made = [(apply_phase(at) + event + NO_TOPICS, told) for at, (event, told) in enumerate(records(runtime))]
    single = [{"hex": to_hex(b"\4" + data), "records": [told]} for data, told in made]
    together = encode_compact(len(made)) + b"".join(data for data, _ in made)
    return [*single, {"hex": to_hex(together), "records": [told for _, told in made]}]
