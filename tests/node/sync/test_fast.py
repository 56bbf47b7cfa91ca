"""Fast sync: from honest peers, from liars, across crashes, and what the chain is worth that goes on from it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest
import trio

from node.chain import Chain, TooOld, UnknownParent
from node.chain_spec import ChainSpec, genesis
from node.errors import NodeError
from node.executor import InlineExecutor
from node.pool import TransactionPool
from node.ring import slot_start, turn_of
from node.sync.answers import Answers
from node.sync.fast import FastSync
from node.sync.messages import (
    BLOCKS,
    BODY,
    HEADERS,
    STATE,
    UNKNOWN_PLACE,
    VOTES,
    BlocksRequest,
    BodyRequest,
    Handshake,
    HeadersRequest,
    StateAnswer,
    StateRequest,
    VotesAnswer,
    VotesRequest,
    decode_headers,
    encode_extrinsics,
    encode_headers,
)
from p2p.network import Misbehaviour, PeerGone, PeerId, PeerInfo, Refuse, Refused, TimedOut
from pallets.finality.voters import current_voters
from pallets.matrix_factorization.view import derive_view
from pallets.producers.config import Rules
from pallets.producers.storage import RING
from runtime.header import Block
from runtime.primitives import ZERO_HASH, BlockNumber, BlockRef, Hash, Slot
from storage.bodies import HISTORY_NOTE
from storage.chain_db import ChainDatabase, StatePruned
from storage.columns import SNAPSHOT
from storage.errors import Reason, StorageError
from storage.memory import MemoryStore
from storage.records import Progress
from storage.snapshot import Snapshot, discard_snapshot, is_snapshot
from tests.node.sync.peers import in_virtual_time
from tests.support.ring_nodes import GENESIS_SLOT, MEMBERS, RingNode, ring_spec
from tests.support.small_chain import PAIRS, submit_rating

SPEC = ring_spec()
SLOTS = 52
Ask = Callable[[PeerId, int, bytes], Awaitable[bytes]]


def grown(slots: int = SLOTS, first: int = 1, node: RingNode | None = None, pruning: int | None = 64) -> RingNode:
    """A chain with a block in each slot, ratings in most, and all votes."""
    node = node or RingNode(voters=MEMBERS, pruning=pruning)
    for slot in range(first, slots + 1):
        name = ("Alice", "Bob", "Charlie", "Dave", "Eve")[slot % 5]
        node.block(slot, (name, submit_rating(slot * 3 % 8, 1 + slot % 5)))
    return node


@pytest.fixture(scope="module")
def honest() -> RingNode:
    return grown()


async def answered(node: RingNode, kind: int, payload: bytes) -> bytes:
    answers = Answers(node.chain, TransactionPool(), InlineExecutor(), lambda _block: None)
    try:
        return await answers.to(kind, payload)
    except Refuse as refusal:
        raise Refused(str(refusal)) from None


@dataclass
class Wire:
    """The part of a network that a fast sync uses."""

    ask: Ask
    asked: list[tuple[PeerId, int]] = field(default_factory=list)
    reports: list[tuple[PeerId, Misbehaviour, str]] = field(default_factory=list)

    async def request(self, peer: PeerId, kind: int, payload: bytes, *, deadline: float) -> bytes:
        self.asked.append((peer, kind))
        with trio.move_on_after(deadline):
            return await self.ask(peer, kind, payload)
        raise TimedOut("no answer")

    def report(self, peer: PeerId, misbehaviour: Misbehaviour, detail: str) -> None:
        self.reports.append((peer, misbehaviour, detail))


@dataclass
class Newcomer:
    """A node that fetches, and then is one. It trusts block 0 if it has not been told of a better one."""

    ask: Ask
    trusted: BlockRef | None = None
    peers: Sequence[str] = ("honest",)
    store: MemoryStore = field(default_factory=MemoryStore)
    pruning: int | None = 64
    spec: ChainSpec = SPEC
    now: int = 60
    wire: Wire = field(init=False)

    def __post_init__(self) -> None:
        self.wire = Wire(self.ask)

    def fetch(self, seconds: float = 600.0) -> BlockRef | None:
        """Fetch for a while of virtual time; the block whose state has come, None if that takes longer."""
        found: list[BlockRef] = []
        first = genesis(self.spec).header
        trusted = self.trusted or BlockRef(BlockNumber(0), first.hash())

        async def main() -> None:
            snapshot = Snapshot.open(self.store, first)

            def clock() -> int:
                began = slot_start(Slot(GENESIS_SLOT + self.now), self.spec.slot_duration)
                return began + int(trio.current_time() * 1_000)

            sync = FastSync(self.spec, first, snapshot, InlineExecutor(), clock, trusted)
            ref = BlockRef(BlockNumber(9), ZERO_HASH)
            for name in self.peers:
                await sync.on_peer(PeerInfo(PeerId(name), "", b"", True), Handshake(ref, ref).encode())
            with trio.move_on_after(seconds):
                found.append(await sync.run(self.wire, self.pruning))  # type: ignore[arg-type]

        in_virtual_time(main)
        return found[0] if found else None

    def chain(self) -> Chain:
        return Chain.open(self.spec, self.store, state_pruning=self.pruning)

    @property
    def blamed(self) -> set[tuple[PeerId, Misbehaviour]]:
        return {(peer, misbehaviour) for peer, misbehaviour, _ in self.wire.reports}


def at(node: RingNode, number: int) -> BlockRef:
    name = node.chain.database.hash_at(BlockNumber(number))
    assert name is not None
    return BlockRef(BlockNumber(number), name)


def block_at(node: RingNode, number: int) -> Block:
    block = node.chain.database.block(at(node, number).hash)
    assert block is not None
    return block


def goes_on_like(chain: Chain, node: RingNode) -> None:
    """The same state, model and head at the end, and from then on."""
    first = chain.snapshot.best.number
    for number in range(first + 1, node.chain.snapshot.best.number + 1):
        chain.import_block(block_at(node, number))
    assert chain.snapshot.best == node.chain.snapshot.best
    assert chain.snapshot.finalized == node.chain.snapshot.finalized
    assert chain.snapshot.model.digest() == node.model.digest()
    assert chain.database.head_trie().root() == node.chain.database.head_trie().root()
    state = chain.snapshot.state
    assert derive_view(state, chain.config).read().digest() == node.model.digest()


def honestly(node: RingNode) -> Ask:
    async def ask(_peer: PeerId, kind: int, payload: bytes) -> bytes:
        return await answered(node, kind, payload)

    return ask


def test_the_state_of_the_last_final_block_and_on_from_there(honest: RingNode) -> None:
    us = Newcomer(honestly(honest), at(honest, 5))
    assert us.fetch() == honest.chain.snapshot.finalized
    assert us.wire.reports == []
    chain = us.chain()
    assert chain.snapshot.best == honest.chain.snapshot.finalized
    goes_on_like(chain, honest)


def test_the_votes_since_the_trusted_block_count(honest: RingNode) -> None:
    us = Newcomer(honestly(honest))
    assert us.fetch() == honest.chain.snapshot.finalized
    goes_on_like(us.chain(), honest)


def test_a_trusted_block_that_is_older_than_half_the_leak_is_refused(honest: RingNode) -> None:
    trusted = at(honest, 5)
    assert Newcomer(honestly(honest), trusted, now=155).fetch() == honest.chain.snapshot.finalized
    with pytest.raises(NodeError) as caught:
        Newcomer(honestly(honest), trusted, now=156).fetch()
    assert str(caught.value) == (
        "the trusted block 5 is older than half the leak: whoever has left since could have made another history. "
        "Name a later final block with --trusted"
    )


def test_who_leaks_behind_the_trusted_block_is_let_go_of_by_executing() -> None:
    """Charlie is gone from the beginning. That a state fetched behind the leak is right, headers could not show."""
    rules = Rules(leak_checkpoints=8, lapse_checkpoints=5, bar_epochs=8)
    spec = replace(ring_spec(), rules=rules)
    node = RingNode(spec, voters=MEMBERS[:2])
    for slot in range(1, 115):
        if turn_of(RING.get(node.chain.snapshot.state), Slot(GENESIS_SLOT + slot)) != PAIRS["Charlie"].public:
            node.block(slot)
    assert len(current_voters(node.chain.snapshot.state).voters) == 2
    assert node.chain.snapshot.finalized.number > 75
    us = Newcomer(honestly(node), at(node, 75), spec=spec, now=115)
    assert us.fetch() == at(node, 75)
    assert us.wire.reports == []
    chain = us.chain()
    assert len(current_voters(chain.snapshot.state).voters) == 3
    goes_on_like(chain, node)


def test_a_trusted_block_is_final_by_itself(honest: RingNode) -> None:
    head = honest.chain.snapshot.best
    us = Newcomer(honestly(honest), head)
    assert us.fetch() == head
    chain = us.chain()
    assert chain.snapshot.best == chain.snapshot.finalized == head
    assert chain.snapshot.model.digest() == honest.model.digest()


@pytest.mark.full
def test_at_any_block_between_freezes_and_what_they_put_in_force(honest: RingNode) -> None:
    """The model is derived from the state alone, with an epoch pending or not."""
    pending = set()
    for number in range(honest.chain.snapshot.finalized.number, SLOTS):
        us = Newcomer(honestly(honest), at(honest, number))
        assert us.fetch() == at(honest, number)
        chain = us.chain()
        pending.add(chain.snapshot.model.record.is_pending)
        goes_on_like_after(chain, honest)
    assert pending == {True, False}


def goes_on_like_after(chain: Chain, node: RingNode) -> None:
    """As `goes_on_like`; what is final may be more here."""
    for number in range(chain.snapshot.best.number + 1, node.chain.snapshot.best.number + 1):
        chain.import_block(block_at(node, number))
        assert chain.snapshot.model.digest() == node.chain.model_at(at(node, number).hash).digest()
    assert chain.snapshot.best == node.chain.snapshot.best


def test_what_was_before_the_snapshot_is_pruned(honest: RingNode) -> None:
    for pruning in (64, None):
        us = Newcomer(honestly(honest), at(honest, 5), pruning=pruning)
        target = us.fetch()
        assert target is not None
        database = us.chain().database
        for number in (0, 1, target.number - 1):
            name = database.hash_at(BlockNumber(number))
            assert name == at(honest, number).hash
            header = database.header(name)
            assert header is not None
            assert header.hash() == name
            with pytest.raises(StatePruned, match=f"the oldest that is kept is that of block {target.number}$"):
                database.state_at(name)
            with pytest.raises(StatePruned):
                database.prove(name, [b"key"])
            assert database.body(name) == (() if number == 0 else None)
        assert database.note(HISTORY_NOTE) == target.number.to_bytes(4, "big")
        # Headers above the snapshot come with their blocks.
        assert database.hash_at(BlockNumber(target.number + 1)) is None


def test_a_peer_that_began_with_a_snapshot_gives_what_it_has(honest: RingNode) -> None:
    us = Newcomer(honestly(honest), at(honest, 5))
    target = us.fetch()
    assert target is not None
    middle = RingNode(store=us.store)
    goes_on_like(middle.chain, honest)
    # Blocks from the snapshot on; of those before it says that it has none.
    asks: list[str] = []

    async def main() -> None:
        try:
            await answered(middle, BLOCKS.code, BlocksRequest((at(honest, 0).hash,), 8).encode())
        except Refused as refused:
            asks.append(str(refused))
        given = await answered(middle, BLOCKS.code, BlocksRequest((target.hash,), 8).encode())
        assert len(given) > 100

    in_virtual_time(main)
    assert asks == ["the body of block 1 is not kept here"]
    # And another newcomer can fetch from it, if it trusts a block that is not much older.
    other = Newcomer(honestly(middle), at(honest, target.number + 2))
    assert other.fetch() is not None
    goes_on_like_after(other.chain(), honest)


def test_a_peer_that_keeps_few_bodies_says_which_and_states_can_be_fetched_from_it(honest: RingNode) -> None:
    few = grown(node=RingNode(voters=MEMBERS, bodies=4))
    assert few.chain.snapshot.best == honest.chain.snapshot.best
    database, final = few.chain.database, few.chain.snapshot.finalized.number
    whole = [number for number in range(SLOTS + 1) if database.block(at(few, number).hash) is not None]
    assert whole == [0, *range(final - 3, SLOTS + 1)]

    async def main() -> None:
        with pytest.raises(Refused, match=r"^the body of block 1 is not kept here$"):
            await answered(few, BLOCKS.code, BlocksRequest((at(few, 0).hash,), 8).encode())
        given = await answered(few, BLOCKS.code, BlocksRequest((at(few, final - 4).hash,), 8).encode())
        assert given == await answered(honest, BLOCKS.code, BlocksRequest((at(few, final - 4).hash,), 8).encode())

    in_virtual_time(main)
    us = Newcomer(honestly(few), at(few, final))
    assert us.fetch() == few.chain.snapshot.finalized
    goes_on_like(us.chain(), few)


def test_a_side_chain_before_the_snapshot_is_too_old(honest: RingNode) -> None:
    us = Newcomer(honestly(honest), at(honest, 5))
    us.fetch()
    chain = us.chain()
    for number in (1, 20):
        block = block_at(honest, number)
        assert not chain.import_block(block).is_new
    fork = RingNode()
    fork.take(*(block_at(honest, number) for number in range(1, 4)))
    with pytest.raises(TooOld):
        chain.import_block(fork.block(6))
    with pytest.raises(UnknownParent):
        chain.import_block(fork.block(7))


@pytest.fixture(scope="module")
def wide() -> RingNode:
    """A state of several ranges; the limits are those of `many_ranges`."""
    return grown(30)


@pytest.fixture
def many_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.sync.answers.MAX_PAIRS", 4)


def copy_of(store: MemoryStore) -> MemoryStore:
    """What is on disk now, as after kill -9."""
    copy = MemoryStore()
    copy.write(list(store.items(b"")), sync=True)
    return copy


@pytest.mark.full
def test_struck_down_after_any_write(wide: RingNode, many_ranges: None) -> None:
    """Whatever was written last, a restart goes on or starts over, and ends with the right state."""
    copies: list[MemoryStore] = []

    @dataclass
    class Watched(MemoryStore):
        def __init__(self) -> None:
            super().__init__()

        def write(self, batch, *, sync: bool) -> None:  # type: ignore[no-untyped-def]
            super().write(batch, sync=sync)
            copies.append(copy_of(self))

    us = Newcomer(honestly(wide), at(wide, 3), store=Watched())
    assert us.fetch() is not None
    assert len(copies) > 20
    for store in copies[:-1]:
        assert is_snapshot(store)
        with pytest.raises(StorageError) as caught:
            Chain.open(SPEC, store, state_pruning=64)
        assert caught.value.reason is Reason.UNFINISHED
    for store in copies[::5]:
        again = Newcomer(honestly(wide), at(wide, 3), store=copy_of(store))
        if is_snapshot(store):
            assert again.fetch() == wide.chain.snapshot.finalized
        goes_on_like(again.chain(), wide)
    # What was fetched is not fetched again.
    late = Newcomer(honestly(wide), at(wide, 3), store=copy_of(copies[-3]))
    late.fetch()
    assert sum(kind == STATE.code for _, kind in late.wire.asked) <= 3
    assert all(kind != HEADERS.code for _, kind in late.wire.asked)


def test_given_up(wide: RingNode, many_ranges: None) -> None:
    calls = 0

    async def stops(_peer: PeerId, kind: int, payload: bytes) -> bytes:
        nonlocal calls
        calls += kind == STATE.code
        if calls > 5:
            await trio.sleep_forever()
        return await answered(wide, kind, payload)

    us = Newcomer(stops, at(wide, 3))
    assert us.fetch(60.0) is None
    discard_snapshot(us.store)
    assert list(us.store.items(b"")) == []
    assert us.chain().snapshot.best.number == 0


def test_another_peer_goes_on_where_one_vanished(wide: RingNode, many_ranges: None) -> None:
    given = 0

    async def ask(peer: PeerId, kind: int, payload: bytes) -> bytes:
        nonlocal given
        if peer == "a":
            given += kind == STATE.code
            if given > 4:
                raise PeerGone("gone")
        elif kind == HEADERS.code:
            raise AssertionError("the headers are here")
        return await answered(wide, kind, payload)

    us = Newcomer(ask, at(wide, 3), peers=("a", "b"))
    assert us.fetch(30.0) == wide.chain.snapshot.finalized
    assert us.wire.reports == []
    goes_on_like(us.chain(), wide)


def test_a_state_that_is_gone_meanwhile_is_begun_anew(many_ranges: None) -> None:
    node = grown(30)
    given = 0

    async def ask(_peer: PeerId, kind: int, payload: bytes) -> bytes:
        nonlocal given
        if kind == STATE.code:
            given += 1
            if given == 5:
                grown(60, first=31, node=node)
            if given >= 5 and StateRequest.decode(payload).block == old.hash:
                raise Refused("pruned")
        return await answered(node, kind, payload)

    old = node.chain.snapshot.finalized
    us = Newcomer(ask, at(node, 3))
    target = us.fetch()
    assert target == node.chain.snapshot.finalized
    assert target is not None
    assert target.number > old.number
    goes_on_like(us.chain(), node)


# Liars.


def lying(node: RingNode, kind: int, lie: Callable[[bytes, bytes], bytes]) -> Ask:
    """A peer `evil` that lies in one kind of answer, and an honest one."""

    async def ask(peer: PeerId, asked: int, payload: bytes) -> bytes:
        answer = await answered(node, asked, payload)
        return lie(payload, answer) if peer == "evil" and asked == kind else answer

    return ask


def without_a_pair(_payload: bytes, answer: bytes) -> bytes:
    decoded = StateAnswer.decode(answer)
    return replace(decoded, pairs=(*decoded.pairs[:2], *decoded.pairs[3:])).encode()


def with_another_value(_payload: bytes, answer: bytes) -> bytes:
    decoded = StateAnswer.decode(answer)
    key, value = decoded.pairs[1]
    return replace(decoded, pairs=(decoded.pairs[0], (key, value + b"!"), *decoded.pairs[2:])).encode()


def with_one_more(_payload: bytes, answer: bytes) -> bytes:
    decoded = StateAnswer.decode(answer)
    extra = (decoded.pairs[0][0] + b"!", b"made up")
    return replace(decoded, pairs=(decoded.pairs[0], extra, *decoded.pairs[1:])).encode()


def as_if_it_were_all(_payload: bytes, answer: bytes) -> bytes:
    return replace(StateAnswer.decode(answer), is_last=True).encode()


def without_proof(_payload: bytes, answer: bytes) -> bytes:
    return replace(StateAnswer.decode(answer), proof=()).encode()


def out_of_order(_payload: bytes, answer: bytes) -> bytes:
    return replace(StateAnswer.decode(answer), pairs=StateAnswer.decode(answer).pairs[::-1]).encode()


def empty_range(_payload: bytes, answer: bytes) -> bytes:
    return StateAnswer((), (), False).encode()


def garbage(_payload: bytes, _answer: bytes) -> bytes:
    return b"\xc1 garbage"


@pytest.mark.parametrize(
    ("lie", "blame"),
    [
        (without_a_pair, Misbehaviour.BAD_BLOCK),
        (with_another_value, Misbehaviour.BAD_BLOCK),
        (with_one_more, Misbehaviour.BAD_BLOCK),
        (as_if_it_were_all, Misbehaviour.BAD_BLOCK),
        (without_proof, Misbehaviour.BAD_BLOCK),
        (out_of_order, Misbehaviour.BAD_BLOCK),
        (empty_range, Misbehaviour.BAD_RESPONSE),
        (garbage, Misbehaviour.BAD_RESPONSE),
    ],
)
def test_false_ranges(
    wide: RingNode, many_ranges: None, lie: Callable[[bytes, bytes], bytes], blame: Misbehaviour
) -> None:
    us = Newcomer(lying(wide, STATE.code, lie), at(wide, 3), peers=("evil", "honest"))
    assert us.fetch() == wide.chain.snapshot.finalized
    assert us.blamed == {(PeerId("evil"), blame)}
    goes_on_like(us.chain(), wide)


def test_the_same_range_again_and_again(wide: RingNode, many_ranges: None) -> None:
    answers: list[bytes] = []

    def again(_payload: bytes, answer: bytes) -> bytes:
        answers.append(answer)
        return answers[0]

    us = Newcomer(lying(wide, STATE.code, again), at(wide, 3), peers=("evil", "honest"))
    assert us.fetch() == wide.chain.snapshot.finalized
    assert {peer for peer, _ in us.blamed} == {"evil"}
    assert len(answers) <= 3
    goes_on_like(us.chain(), wide)


def forged_headers(payload: bytes, answer: bytes) -> bytes:
    headers = decode_headers(answer)
    parent, made = headers[0].parent_hash if headers else ZERO_HASH, []
    for header in headers:
        made.append(replace(header, parent_hash=parent, state_root=ZERO_HASH))
        parent = made[-1].hash()
    return encode_headers(header.encode() for header in made)


def shuffled_headers(_payload: bytes, answer: bytes) -> bytes:
    return encode_headers(header.encode() for header in decode_headers(answer)[::-1])


@pytest.mark.parametrize("lie", [forged_headers, shuffled_headers])
@pytest.mark.parametrize("has_trusted", [True, False])
def test_false_headers(wide: RingNode, lie: Callable[[bytes, bytes], bytes], has_trusted: bool) -> None:
    trusted = at(wide, 3) if has_trusted else None
    us = Newcomer(lying(wide, HEADERS.code, lie), trusted, peers=("evil", "honest"))
    assert us.fetch() == wide.chain.snapshot.finalized
    assert us.blamed == {(PeerId("evil"), Misbehaviour.BAD_BLOCK)}
    goes_on_like(us.chain(), wide)


def test_endless_headers(wide: RingNode) -> None:
    """Below the trusted block no seal is asked for; still a peer cannot go on with what it makes up."""
    asked = 0

    async def ask(peer: PeerId, kind: int, payload: bytes) -> bytes:
        nonlocal asked
        if peer == "evil" and kind == HEADERS.code:
            asked += 1
            parent, header, made = HeadersRequest.decode(payload).locator[0], block_at(wide, 1).header, []
            known = heights.get(parent, 0)
            for number in range(known + 1, known + 9):
                item = replace(header.digest[0], payload=(GENESIS_SLOT + number).to_bytes(8, "little"))
                next_one = replace(
                    header, parent_hash=parent, number=BlockNumber(number), digest=(item, *header.digest[1:])
                )
                parent = next_one.hash()
                heights[parent] = number
                made.append(next_one)
            return encode_headers(one.encode() for one in made)
        return await answered(wide, kind, payload)

    heights: dict[Hash, int] = {}
    us = Newcomer(ask, at(wide, 25), peers=("evil", "honest"))
    assert us.fetch() is not None
    assert asked <= 4
    assert us.blamed == {(PeerId("evil"), Misbehaviour.BAD_BLOCK)}
    goes_on_like_after(us.chain(), wide)


def forged_votes(_payload: bytes, answer: bytes) -> bytes:
    decoded = VotesAnswer.decode(answer)
    return VotesAnswer(decoded.last, tuple(replace(vote, signature=bytes(64)) for vote in decoded.votes)).encode()


def votes_of_other_blocks(payload: bytes, answer: bytes) -> bytes:
    return replace(VotesAnswer.decode(answer), last=BlockNumber(VotesRequest.decode(payload).last + 1)).encode()


@pytest.mark.parametrize(
    ("lie", "blame"),
    [(forged_votes, Misbehaviour.BAD_BLOCK), (votes_of_other_blocks, Misbehaviour.BAD_RESPONSE)],
)
def test_false_votes(wide: RingNode, lie: Callable[[bytes, bytes], bytes], blame: Misbehaviour) -> None:
    us = Newcomer(lying(wide, VOTES.code, lie), peers=("evil", "honest"))
    assert us.fetch() == wide.chain.snapshot.finalized
    assert us.blamed == {(PeerId("evil"), blame)}
    goes_on_like(us.chain(), wide)


def test_a_chain_of_its_own_without_votes_is_not_believed(wide: RingNode) -> None:
    """A producer that has gone on alone has seals, but cannot show that anything is final."""
    alone = RingNode()
    for slot in range(1, 40, 3):
        alone.block(slot)

    async def ask(peer: PeerId, kind: int, payload: bytes) -> bytes:
        return await answered(alone if peer == "evil" else wide, kind, payload)

    us = Newcomer(ask, peers=("evil", "honest"))
    assert us.fetch() == wide.chain.snapshot.finalized
    assert us.wire.reports == []
    alone_only = Newcomer(ask, peers=("evil",))
    assert alone_only.fetch(100.0) is None
    assert is_snapshot(alone_only.store)


def test_a_chain_without_the_trusted_block_is_not_followed(wide: RingNode) -> None:
    us = Newcomer(honestly(wide), BlockRef(BlockNumber(12), Hash(b"\x12" * 32)))
    assert us.fetch(120.0) is None
    assert us.blamed == {(PeerId("honest"), Misbehaviour.BAD_BLOCK)}
    assert us.wire.reports[0][2] == "behind block 11: NotTrusted: block 12 is not the trusted one"


def test_another_body(wide: RingNode) -> None:
    us = Newcomer(
        lying(wide, BODY.code, lambda _payload, _answer: encode_extrinsics([])), at(wide, 3), peers=("evil", "honest")
    )
    assert us.fetch() == wide.chain.snapshot.finalized
    assert us.blamed == {(PeerId("evil"), Misbehaviour.BAD_RESPONSE)}


def test_a_peer_that_says_nothing_is_asked_once_before_the_others(wide: RingNode) -> None:
    async def ask(peer: PeerId, kind: int, payload: bytes) -> bytes:
        if peer != "honest":
            await trio.sleep_forever()
        return await answered(wide, kind, payload)

    us = Newcomer(ask, at(wide, 3), peers=("a", "b", "honest"))
    assert us.fetch(60.0) == wide.chain.snapshot.finalized


def test_headers_of_a_chain_that_is_not_followed_any_more_are_forgotten(wide: RingNode) -> None:
    """Such as those of a liar, kept because there were so many."""
    us = Newcomer(honestly(wide), at(wide, 3))
    alone = RingNode()
    for slot in range(1, 40, 3):
        alone.block(slot)
    snapshot = Snapshot.open(us.store, genesis(SPEC).header)
    snapshot.append([block_at(alone, number).header for number in range(1, 10)])
    us.trusted = None
    assert us.fetch() == wide.chain.snapshot.finalized
    goes_on_like(us.chain(), wide)


def made_up(wide: RingNode, count: int) -> Ask:
    """A peer `evil` whose headers below the trusted block are made up; nobody would have sealed them."""
    headers, parent = [], genesis(SPEC).header.hash()
    for number in range(1, count + 1):
        header = block_at(wide, number).header
        headers.append(replace(header, parent_hash=parent, state_root=ZERO_HASH))
        parent = headers[-1].hash()

    async def ask(peer: PeerId, kind: int, payload: bytes) -> bytes:
        if peer == "evil" and kind == HEADERS.code:
            behind = HeadersRequest.decode(payload).locator[0]
            at = next((place for place, header in enumerate(headers, 1) if header.hash() == behind), 0)
            return encode_headers(header.encode() for header in headers[at:][:4])
        return await answered(wide, kind, payload)

    return ask


def test_what_has_not_led_to_the_trusted_block_is_not_stored(wide: RingNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.sync.fast._HEADERS_HELD", 2)
    monkeypatch.setattr("node.sync.trusted_way.MAX_HEADERS", 2)
    us = Newcomer(made_up(wide, 20), at(wide, 25), peers=("evil",))
    assert us.fetch(60.0) is None
    assert Snapshot.open(us.store, genesis(SPEC).header).height == 0
    # Neither does another trusted block, or none, make anything of it.
    again = Newcomer(honestly(wide), store=us.store)
    assert again.fetch() == wide.chain.snapshot.finalized
    goes_on_like(again.chain(), wide)


def test_once_the_way_to_the_trusted_block_is_known_others_do_not_leave_it(
    wide: RingNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`first` shows the way, then vanishes: what `evil` gives is not on it."""
    monkeypatch.setattr("node.sync.trusted_way.MAX_HEADERS", 4)
    lie, passes = made_up(wide, 29), 0

    async def ask(peer: PeerId, kind: int, payload: bytes) -> bytes:
        nonlocal passes
        if peer == "first" and kind == HEADERS.code:
            passes += HeadersRequest.decode(payload).locator[0] == genesis(SPEC).header.hash()
            if passes > 1:
                raise PeerGone("gone")
        answer = await lie(peer, kind, payload)
        if kind == HEADERS.code:
            return encode_headers(header.encode() for header in decode_headers(answer)[:4])
        return answer

    us = Newcomer(ask, at(wide, 25), peers=("first", "evil", "honest"))
    assert us.fetch() is not None
    assert us.blamed == {(PeerId("evil"), Misbehaviour.BAD_BLOCK)}
    assert us.wire.reports[0][2].endswith("does not lead to the trusted one")
    goes_on_like_after(us.chain(), wide)


def test_a_trusted_block_that_is_given_later_counts(wide: RingNode, many_ranges: None) -> None:
    """A state was begun with on another chain; the block that is trusted now lies above all of it."""
    other = RingNode(voters=MEMBERS)
    grown(20, node=other)
    for slot in range(21, 45):
        other.block(slot + 1)
    given = 0

    async def stops(_peer: PeerId, kind: int, payload: bytes) -> bytes:
        nonlocal given
        given += kind == STATE.code
        if given > 2:
            await trio.sleep_forever()
        return await answered(wide, kind, payload)

    us = Newcomer(stops)
    assert us.fetch(30.0) is None
    trusted = other.chain.snapshot.best
    again = Newcomer(honestly(wide), trusted, store=copy_of(us.store))
    assert again.fetch(100.0) is None
    right = Newcomer(honestly(other), trusted, store=copy_of(us.store))
    assert right.fetch() == trusted
    assert right.chain().snapshot.best == trusted


def test_a_peer_that_answers_with_nothing_does_not_save_wrong_headers(wide: RingNode) -> None:
    us = Newcomer(honestly(wide))
    alone = RingNode()
    for slot in range(1, 40, 3):
        alone.block(slot)
    Snapshot.open(us.store, genesis(SPEC).header).append([block_at(alone, number).header for number in range(1, 10)])

    async def ask(peer: PeerId, kind: int, payload: bytes) -> bytes:
        if peer == "evil":
            return (
                encode_headers([])
                if kind == HEADERS.code
                else VotesAnswer(VotesRequest.decode(payload).last, ()).encode()
            )
        return await answered(wide, kind, payload)

    us = Newcomer(ask, peers=("evil", "a", "b"), store=us.store)
    assert us.fetch() == wide.chain.snapshot.finalized


def test_who_does_not_know_our_headers_costs_nothing_that_is_sure(wide: RingNode, many_ranges: None) -> None:
    """One honest peer that fails now and then, beside one that says it knows nothing of what is here."""
    given = 0

    async def ask(peer: PeerId, kind: int, payload: bytes) -> bytes:
        nonlocal given
        if peer == "sybil":
            raise Refused(UNKNOWN_PLACE)
        given += kind == STATE.code
        if kind == STATE.code and given % 4 == 0:
            raise PeerGone("its connection broke")
        return await answered(wide, kind, payload)

    class Watched(MemoryStore):
        def write(self, batch, *, sync: bool) -> None:  # type: ignore[no-untyped-def]
            super().write(batch, sync=sync)
            data = self.get(SNAPSHOT)
            heights.append(0 if data is None else Progress.decode(data).height)

    heights: list[int] = []
    us = Newcomer(ask, at(wide, 25), peers=("honest", "sybil"), store=Watched())
    assert us.fetch(120.0) == at(wide, 25)
    assert given > 8
    # It only grows, until the record is gone with the end.
    assert heights[:-1] == sorted(heights[:-1])


def test_alone_with_who_does_not_know_our_headers_those_up_to_the_trusted_block_stay(wide: RingNode) -> None:
    first = genesis(SPEC).header
    us = Newcomer(honestly(wide), at(wide, 5))
    snapshot = Snapshot.open(us.store, first)
    snapshot.append([block_at(wide, number).header for number in range(1, 10)])
    snapshot.aim_at(at(wide, 7))

    async def ask(_peer: PeerId, _kind: int, _payload: bytes) -> bytes:
        raise Refused(UNKNOWN_PLACE)

    alone = Newcomer(ask, at(wide, 5), store=us.store)
    assert alone.fetch(119.0) is None
    assert Snapshot.open(us.store, first).height == 9
    # After a while without anybody who knows what is behind, the block whose state is wanted is the last one.
    assert alone.fetch(280.0) is None
    kept = Snapshot.open(us.store, first)
    assert (kept.height, kept.target) == (7, at(wide, 7))
    assert [header.number for header in kept.headers()] == list(range(1, 8))
    assert us.fetch() == at(wide, 7)
    goes_on_like(us.chain(), wide)


def test_a_peer_that_is_busy_says_nothing_of_our_headers(wide: RingNode) -> None:
    us = Newcomer(honestly(wide))
    first = genesis(SPEC).header
    Snapshot.open(us.store, first).append([block_at(wide, number).header for number in range(1, 10)])

    async def busy(_peer: PeerId, _kind: int, _payload: bytes) -> bytes:
        raise Refused("a fast sync is under way here")

    assert Newcomer(busy, peers=("a", "b"), store=us.store).fetch(1_000.0) is None
    assert Snapshot.open(us.store, first).height == 9


def test_a_body_that_nobody_has_is_not_waited_for(many_ranges: None) -> None:
    node = grown(30)
    old = node.chain.snapshot.finalized

    async def ask(_peer: PeerId, kind: int, payload: bytes) -> bytes:
        if kind == BODY.code and BodyRequest.decode(payload).block == old.hash:
            if node.chain.snapshot.best.number < 60:
                grown(60, first=31, node=node)
            raise Refused("pruned")
        return await answered(node, kind, payload)

    us = Newcomer(ask, at(node, 3))
    assert us.fetch() == node.chain.snapshot.finalized
    goes_on_like(us.chain(), node)


@pytest.mark.parametrize("slow", [STATE.code, HEADERS.code])
def test_a_slow_peer_does_not_keep_the_others_waiting(wide: RingNode, many_ranges: None, slow: int) -> None:
    async def ask(peer: PeerId, kind: int, payload: bytes) -> bytes:
        answer = await answered(wide, kind, payload)
        if peer == "evil" and kind == slow:
            await trio.sleep(19.0)
            if kind == HEADERS.code:
                return encode_headers(header.encode() for header in decode_headers(answer)[:1])
        return answer

    us = Newcomer(ask, at(wide, 25), peers=("evil", "honest"))
    assert us.fetch(60.0) is not None
    assert us.wire.reports == []


def test_giving_up_that_was_cut_short(wide: RingNode) -> None:
    """Whatever is left, a fast sync begins again."""
    copies: list[MemoryStore] = []

    class Watched(MemoryStore):
        def write(self, batch, *, sync: bool) -> None:  # type: ignore[no-untyped-def]
            super().write(batch, sync=sync)
            copies.append(copy_of(self))

    store = Watched()
    Snapshot.open(store, genesis(SPEC).header).append([block_at(wide, number).header for number in range(1, 10)])
    copies.clear()
    discard_snapshot(store)
    assert len(copies) == 3
    for copy in copies[:-1]:
        assert is_snapshot(copy)
        assert Newcomer(honestly(wide), store=copy).fetch() == wide.chain.snapshot.finalized


def test_a_database_is_no_place_for_a_snapshot(wide: RingNode) -> None:
    with pytest.raises(StorageError, match="a snapshot begins in an empty one"):
        Snapshot.open(wide.store, genesis(SPEC).header)
    store = MemoryStore()
    Snapshot.open(store, genesis(SPEC).header)
    other = genesis(ring_spec(("Alice", "Bob"))).header
    with pytest.raises(StorageError) as caught:
        Snapshot.open(store, other)
    assert caught.value.reason is Reason.WRONG_GENESIS
    with pytest.raises(StorageError) as caught:
        ChainDatabase.open(store, other, (), state_pruning=3)
    assert caught.value.reason is Reason.UNFINISHED
