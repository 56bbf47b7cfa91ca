"""A pallet that does whatever a test of the executive needs, and a runtime around it."""

from collections.abc import Mapping

from pallets.construct import VERSION
from pallets.system.pallet import System, system_pallet
from pallets.timestamp.pallet import timestamp_pallet
from runtime.executive import Runtime
from runtime.header import DigestItem, DigestKind
from runtime.interface.calls import Call
from runtime.interface.context import Context
from runtime.interface.errors import DispatchFailed, InvalidReason, InvalidTransaction, PalletError
from runtime.interface.events import Event
from runtime.interface.origin import Origin, ensure_signed
from runtime.interface.pallet import Hooks, Pallet
from runtime.interface.storage import StateWriter, StorageValue
from runtime.interface.weights import BlockLimits
from runtime.primitives import AccountId
from runtime.scale import U32, Field

PALLET, INDEX = "Toy", 200

SUCCEED, FAIL, REFUSE, DOUBLE_INHERENT, OPTIONAL, OTHER_OPTIONAL, GATED = range(7)

TOTAL = StorageValue(PALLET, "Total", U32, "What the calls have added up.", default=0)
ENDED = StorageValue(PALLET, "Ended", U32, "What was counted in the last block.", default=0)
ADDED = Event(PALLET, INDEX, 0, "Added", (Field("value", U32, "u32"),), "Something was added.")
STARTED = Event(PALLET, INDEX, 1, "Started", (), "A block began.")
FINISHED = Event(PALLET, INDEX, 2, "Finished", (), "A block ended.")
NO_LUCK = PalletError(PALLET, INDEX, 5, "NoLuck", "The call fails, as it always does.")
TOY_ENGINE = b"toy_"


class NoView:
    """A model of nothing."""

    def branch(self) -> "NoView":
        return self


def toy_call(index: int, value: int = 0) -> bytes:
    return bytes((INDEX, index)) + U32.encode(value)


def _write(context: Context, value: int) -> None:
    TOTAL.put(context.state, TOTAL.get(context.state) + value)
    context.counters["toy"] = context.counters.get("toy", 0) + 1
    context.deposit(ADDED, value)


def _succeed(context: Context, origin: Origin, value: int) -> None:
    ensure_signed(origin)
    _write(context, value)


def _fail(context: Context, origin: Origin, value: int) -> None:
    ensure_signed(origin)
    _write(context, value)
    raise DispatchFailed(NO_LUCK)


def _refuse(context: Context, origin: Origin, value: int) -> None:
    ensure_signed(origin)
    _write(context, value)
    raise InvalidTransaction(InvalidReason.EXHAUSTS_RESOURCES)


def _admit(context: Context, account: AccountId, value: int) -> None:
    if value == TOTAL.get(context.state):
        raise InvalidTransaction(InvalidReason.BAD_CALL, f"{account.hex()[:4]} adds {value} to as much")


def _inherent(context: Context, _origin: Origin, value: int) -> None:
    _write(context, value)
    if value == 13:
        raise DispatchFailed(NO_LUCK)


class ToyHooks(Hooks):
    """Counts, and puts an item into the digest."""

    def __init__(self, *, has_inherent: bool) -> None:
        self._has_inherent = has_inherent

    def genesis(self, state: StateWriter) -> None:
        TOTAL.put(state, 1_000)

    def on_initialize(self, context: Context) -> None:
        context.deposit(STARTED)

    def on_finalize(self, context: Context) -> None:
        ENDED.put(context.state, context.counters.get("toy", 0))
        context.digest.append(DigestItem(DigestKind.CONSENSUS, TOY_ENGINE, U32.encode(context.number)))
        context.deposit(FINISHED)

    def inherent(self, data: Mapping[str, int]) -> bytes | None:
        return toy_call(DOUBLE_INHERENT, data["toy"]) if self._has_inherent else None

    def inherent_call(self) -> int | None:
        return DOUBLE_INHERENT if self._has_inherent else None

    def optional_inherents(self) -> tuple[int, ...]:
        return (OPTIONAL, OTHER_OPTIONAL)


def toy_runtime(limits: BlockLimits, *, has_inherent: bool = False) -> Runtime:
    """System, Timestamp and the toy."""
    value = (Field("value", U32, "u32"),)
    toy = Pallet(
        PALLET,
        INDEX,
        "A toy.",
        storage=(TOTAL, ENDED),
        calls=(
            Call(SUCCEED, "succeed", value, _succeed, lambda value: value, "Add."),
            Call(FAIL, "fail", value, _fail, lambda value: value, "Add, then fail."),
            Call(REFUSE, "refuse", value, _refuse, lambda value: value, "Add, then turn out to be unfit."),
            Call(DOUBLE_INHERENT, "inherent", value, _inherent, lambda value: 0, "Add; 13 fails."),
            Call(OPTIONAL, "optional", value, _inherent, lambda value: 10**12, "Add; 13 fails."),
            Call(OTHER_OPTIONAL, "other_optional", value, _inherent, lambda value: 0, "Add; 13 fails."),
            Call(GATED, "gated", value, _succeed, lambda value: value, "Add, but never to as much.", admit=_admit),
        ),
        events=(ADDED, STARTED, FINISHED),
        errors=(NO_LUCK,),
        hooks=ToyHooks(has_inherent=has_inherent),
    )
    # Handed over in the wrong order: the runtime goes by the indices.
    return Runtime(VERSION, limits, System(), (toy, timestamp_pallet(0, 1), system_pallet(VERSION)), NoView())
