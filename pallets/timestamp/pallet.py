"""The whole pallet: one value, one inherent, one rule (time goes forward)."""

from collections.abc import Mapping
from functools import partial

from runtime.interface.calls import Call
from runtime.interface.context import Context
from runtime.interface.errors import BlockFault, InvalidBlock
from runtime.interface.origin import Origin, ensure_bare
from runtime.interface.pallet import Constant, Hooks, Pallet
from runtime.interface.storage import StateWriter, StorageValue
from runtime.interface.weights import MICROSECOND, DispatchClass
from runtime.scale import U64, Compact, Field

PALLET = "Timestamp"
INDEX = 3
SET = 0
TIME_KEY = "milliseconds"

MOMENT = Compact(64)

# What JavaScript holds exactly; a chain that came near the end of 64 bits could not go on.
LATEST = 2**53 - 1
NOW: StorageValue[int] = StorageValue(PALLET, "Now", U64, "Unix time of this block in milliseconds.", default=0)


def set_time(minimum_period: int, context: Context, origin: Origin, now: int) -> None:
    """Set the time of the block; at least `minimum_period` after that of the block before."""
    ensure_bare(origin)
    earliest = NOW.get(context.state) + minimum_period
    if not earliest <= now <= LATEST:
        raise InvalidBlock(BlockFault.BAD_TIMESTAMP, f"the time {now} is not between {earliest} and {LATEST}")
    NOW.put(context.state, now)


class TimestampHooks(Hooks):
    """The inherent that every block begins with."""

    def __init__(self, genesis_time: int) -> None:
        """Take the time of block 0, in milliseconds."""
        self._genesis_time = genesis_time

    def genesis(self, state: StateWriter) -> None:
        """Write the time of block 0."""
        NOW.put(state, self._genesis_time)

    def inherent(self, data: Mapping[str, int]) -> bytes | None:
        """Return the encoded call `set`."""
        return bytes((INDEX, SET)) + MOMENT.encode(data[TIME_KEY])

    def inherent_call(self) -> int | None:
        """Return the index of `set`."""
        return SET


def timestamp_pallet(genesis_time: int, minimum_period: int) -> Pallet:
    """Build the pallet; both arguments in milliseconds."""
    set_call = Call(
        SET,
        "set",
        (Field("now", MOMENT, "Moment"),),
        partial(set_time, minimum_period),
        lambda _now: 10 * MICROSECOND,
        "Set the time of the block. Every block begins with this.",
        DispatchClass.MANDATORY,
    )
    return Pallet(
        PALLET,
        INDEX,
        "The time of a block.",
        storage=(NOW,),
        calls=(set_call,),
        constants=(Constant("MinimumPeriod", U64, minimum_period, "The least time between two blocks, in ms."),),
        hooks=TimestampHooks(genesis_time),
    )
