"""The way into the pool: what costs little is looked at first, and what has changed meanwhile is noticed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import pytest
import trio

from node.authoring import Bell
from node.executor import InlineExecutor
from node.intake import Intake, Outcome
from node.pool import PoolLimits, PoolRefused, RefusalReason, TransactionPool
from node.signatures import CHUNK, VerifiedSignatures
from runtime.executive import check_signature
from runtime.extrinsic import Extrinsic, Signature, extrinsic_hash
from runtime.interface.errors import InvalidReason, InvalidTransaction
from runtime.primitives import Hash, Nonce
from tests.support.node_chain import NodeChain
from tests.support.small_chain import submit_rating

T = TypeVar("T")


class Interrupted(InlineExecutor):
    """Lets something happen between two steps of a check."""

    def __init__(self) -> None:
        super().__init__()
        self.before: list[Callable[[], object]] = []

    async def aside(self, function: Callable[..., T], *arguments: object) -> T:
        if self.before:
            self.before.pop(0)()
        return await super().aside(function, *arguments)


@dataclass
class Door:
    """An intake, what it lets in, and whose signatures it has looked at."""

    node: NodeChain = field(default_factory=NodeChain)
    limits: PoolLimits = field(default_factory=PoolLimits)
    looked_at: list[Hash] = field(default_factory=list)
    executor: Interrupted = field(default_factory=Interrupted)

    def __post_init__(self) -> None:
        def check(extrinsic: Hash, signature: Signature, payload: bytes) -> bool:
            self.looked_at.append(extrinsic)
            return check_signature(extrinsic, signature, payload)

        self.pool = TransactionPool(self.limits)
        signatures = VerifiedSignatures(check=check)
        self.intake = Intake(self.node.chain, self.pool, self.executor, signatures, Bell())

    def take(self, *transactions: bytes) -> list[Outcome]:
        self.looked_at.clear()
        return trio.run(partial(self.intake.take, transactions))

    def reasons(self, *transactions: bytes) -> list[object]:
        """Return why transactions were refused, None for those that were not."""
        return [
            outcome.reason if isinstance(outcome, PoolRefused | InvalidTransaction) else None
            for outcome in self.take(*transactions)
        ]


def wrongly_signed(raw: bytes) -> bytes:
    extrinsic = Extrinsic.decode(raw)
    signature = extrinsic.signature
    assert signature is not None
    wrong = Signature(signature.account, signature.scheme, bytes(64), signature.era, signature.nonce)
    return Extrinsic(wrong, extrinsic.call).encode()


@pytest.fixture
def door() -> Door:
    return Door()


def rating(door: Door, signer: str, ahead: int = 0, value: int = 5) -> bytes:
    return door.node.sign(signer, submit_rating(ahead % 8, value), ahead)


def test_good_ones_get_in_in_their_order_whichever_thread_has_checked_them(door: Door) -> None:
    sent = [rating(door, "Alice", ahead) for ahead in range(2 * CHUNK + 1)]
    assert door.take(*sent) == [extrinsic_hash(raw) for raw in sent]
    assert door.pool.pending() == sent
    assert sorted(door.looked_at) == sorted(map(extrinsic_hash, sent))


def test_a_wrong_signature_is_found_among_good_ones(door: Door) -> None:
    good = [rating(door, "Alice", ahead) for ahead in range(CHUNK)]
    bad = wrongly_signed(rating(door, "Bob"))
    assert door.reasons(bad, *good, bad) == [InvalidReason.BAD_PROOF, *[None] * CHUNK, InvalidReason.BAD_PROOF]


def test_no_signature_is_looked_at_where_something_else_is_wrong(door: Door) -> None:
    stale = rating(door, "Alice")
    door.node.block(("Alice", submit_rating(0, 1)))
    door.pool.on_block(door.node.chain.snapshot.best, [], door.node.chain.validator().nonce)
    here = rating(door, "Alice")
    second = rating(door, "Alice", value=4)
    assert door.take(here) == [extrinsic_hash(here)]
    assert door.reasons(stale, here, second, b"\x04\x00") == [
        InvalidReason.STALE,
        RefusalReason.ALREADY_IMPORTED,
        RefusalReason.PRIORITY_TOO_LOW,
        InvalidReason.UNDECODABLE,
    ]
    assert door.looked_at == []


def test_no_signature_is_looked_at_where_the_pool_has_no_room() -> None:
    door = Door(limits=PoolLimits(transactions=4, total_bytes=4_096, new_part=1))
    first = [rating(door, name) for name in ("Alice", "Bob", "Charlie", "Dave")]
    assert door.take(*first) == [extrinsic_hash(raw) for raw in first]
    late = rating(door, "Eve")
    assert door.reasons(late, wrongly_signed(late)) == [RefusalReason.POOL_FULL] * 2
    assert door.looked_at == []
    assert door.pool.metrics()["refusedPoolFull"] == 2


def test_what_waits_for_another_one_of_its_batch_needs_no_room_among_the_futures() -> None:
    door = Door(limits=PoolLimits(futures=1, future_bytes=2_048))
    assert door.reasons(rating(door, "Bob", 1)) == [None]
    sent = [rating(door, "Alice", ahead) for ahead in range(3)]
    assert door.take(*sent) == [extrinsic_hash(raw) for raw in sent]


def test_the_second_of_two_that_come_together_is_refused(door: Door) -> None:
    one, other = rating(door, "Alice"), rating(door, "Alice", value=4)
    assert door.reasons(one, one, other) == [None, RefusalReason.ALREADY_IMPORTED, RefusalReason.PRIORITY_TOO_LOW]


def test_a_block_that_comes_between_check_and_pool_is_noticed(door: Door) -> None:
    used, next_one = rating(door, "Alice"), rating(door, "Alice", 1)

    def build() -> None:
        door.node.block(("Alice", submit_rating(7, 1)))
        door.pool.on_block(door.node.chain.snapshot.best, [], door.node.chain.validator().nonce)

    door.executor.before = [lambda: None, build]
    assert door.reasons(used, next_one) == [InvalidReason.STALE, None]
    assert door.pool.pending() == [next_one]
    assert door.pool.next_nonce(Extrinsic.decode(used).signature.account, Nonce(1)) == 2  # type: ignore[union-attr]


def test_a_defect_in_a_check_is_reported_and_stays_with_its_transaction(
    door: Door, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, odd = rating(door, "Alice"), rating(door, "Bob")
    prepare = door.node.chain.runtime.prepare

    def broken(raw: bytes) -> object:
        if raw == odd:
            raise ZeroDivisionError("odd")
        return prepare(raw)

    monkeypatch.setattr(door.node.chain.runtime, "prepare", broken)
    [first, second] = door.take(odd, good)
    assert isinstance(first, ZeroDivisionError)
    assert second == extrinsic_hash(good)
    assert f"checking a transaction failed: 0x{odd.hex()}" in caplog.text
