"""One event record for every event and every error that the pallets declare, made from the declarations alone."""

import json
from collections.abc import Iterator
from typing import Any

from node.chain_spec import load_spec
from pallets.construct import ChainConstants, construct_runtime
from runtime.executive import Runtime
from runtime.interface.dispatch import DISPATCH_ERROR, DISPATCH_INFO, DispatchInfoRecord, ModuleError, Weight
from runtime.interface.errors import GenericError
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


def dev_runtime() -> Runtime:
    spec = load_spec("dev")
    return construct_runtime(
        ChainConstants(
            spec.genesis_time, spec.minimum_period, spec.items, spec.limits, spec.matrix_factorization
        )
    )


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
    """Encoded records and (pallet, event, error)."""
    for event in runtime.events.values():
        fields = b"".join(sample(field.codec) for field in event.fields)
        error = None
        if event.name == "ExtrinsicFailed":
            error = DISPATCH_ERROR.variants[-1].name  # type: ignore[attr-defined]
        yield bytes((event.pallet_index, event.index)) + fields, (event.pallet, event.name, error)
    for reason, name in dispatch_errors(runtime):
        yield b"\0\1" + DISPATCH_ERROR.encode(reason) + DISPATCH_INFO.encode(FAILED_INFO), ("System", "ExtrinsicFailed", name)


def dispatch_errors(runtime: Runtime) -> Iterator[tuple[ModuleError | GenericError, str]]:
    for case in DISPATCH_ERROR.variants:  # type: ignore[attr-defined]
        if isinstance(case.value, GenericError):
            yield case.value, case.name
    for error in runtime.errors.values():
        yield ModuleError(error.pallet_index, (error.index, 0, 0, 0)), error.name


def given() -> dict[str, object]:
    """What the clients' scripts read: storage values of System.Events, one record each and all of them together."""
    made = [(apply_phase(at) + event + NO_TOPICS, list(name)) for at, (event, name) in enumerate(records(dev_runtime()))]
    single = [{"hex": to_hex(b"\4" + data), "records": [name]} for data, name in made]
    together = b"".join(data for data, _ in made)
    everything = {"hex": to_hex(encode_compact(len(made)) + together), "records": [name for _, name in made]}
    return {"events": [*single, everything]}


if __name__ == "__main__":
    print(json.dumps(given()))
