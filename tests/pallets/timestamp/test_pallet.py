import pytest

from pallets.timestamp.pallet import NOW, timestamp_pallet
from runtime.interface.context import Context
from runtime.interface.errors import BAD_ORIGIN, BlockFault, DispatchFailed, InvalidBlock
from runtime.interface.origin import Bare, Signed
from runtime.interface.weights import DispatchClass
from runtime.overlay import Overlay
from runtime.primitives import ZERO_HASH, AccountId, BlockNumber
from runtime.scale import ScaleError
from tests.support.memory_state import MemoryState
from tests.support.toy_pallet import NoView

PALLET = timestamp_pallet(genesis_time=1_000_000, minimum_period=500)
(SET,) = PALLET.calls


@pytest.fixture
def context() -> Context:
    state = Overlay(MemoryState())
    PALLET.hooks.genesis(state)
    return Context(state, BlockNumber(1), ZERO_HASH, NoView())


def test_time_begins_with_the_genesis(context: Context) -> None:
    assert NOW.get(context.state) == 1_000_000


@pytest.mark.parametrize("now", [1_000_500, 1_000_501, 2**53 - 1])
def test_time_may_go_on_by_the_minimum_period_or_more(context: Context, now: int) -> None:
    SET.function(context, Bare(), now)
    assert NOW.get(context.state) == now
    assert context.event_records == ()


@pytest.mark.parametrize("now", [0, 1_000_000, 1_000_499, 2**53, 2**64 - 1])
def test_time_may_not_go_on_by_less_or_for_ever(context: Context, now: int) -> None:
    message = rf"^BadTimestamp: the time {now} is not between 1000500 and 9007199254740991$"
    with pytest.raises(InvalidBlock, match=message) as caught:
        SET.function(context, Bare(), now)
    assert caught.value.fault is BlockFault.BAD_TIMESTAMP
    assert NOW.get(context.state) == 1_000_000


def test_time_is_set_by_nobody_who_signs(context: Context) -> None:
    with pytest.raises(DispatchFailed) as caught:
        SET.function(context, Signed(AccountId(bytes(32))), 2_000_000)
    assert caught.value.error is BAD_ORIGIN
    assert NOW.get(context.state) == 1_000_000


def test_the_inherent_is_the_call_set_in_compact_form() -> None:
    assert PALLET.hooks.inherent({"milliseconds": 1_000_500}) == bytes.fromhex("0300d2103d00")
    assert PALLET.hooks.inherent_call() == 0
    with pytest.raises(ScaleError):
        PALLET.hooks.inherent({"milliseconds": 2**64})


def test_clients_see_a_mandatory_call_and_the_minimum_period() -> None:
    assert (PALLET.name, PALLET.index, SET.index, SET.name) == ("Timestamp", 3, 0, "set")
    assert SET.dispatch_class is DispatchClass.MANDATORY
    assert [(constant.name, constant.value) for constant in PALLET.constants] == [("MinimumPeriod", 500)]
