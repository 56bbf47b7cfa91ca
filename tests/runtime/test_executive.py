"""Blocks and transactions on a chain of System, Timestamp and a toy pallet: every rule, with what it says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from pallets.system.events import EXTRINSIC_FAILED, EXTRINSIC_SUCCESS
from pallets.system.storage import BLOCK_HASH, EVENT_COUNT, EVENTS_KEY, NUMBER
from pallets.timestamp.pallet import NOW
from runtime.crypto import KeyPair, Scheme
from runtime.executive import (
    BASE_EXTRINSIC_WEIGHT,
    BlockExecution,
    BlockOutcome,
    Runtime,
    TransactionValidator,
    ValidTransaction,
)
from runtime.extrinsic import IMMORTAL, Era, Extrinsic, Signature, extrinsic_hash, sign_extrinsic
from runtime.header import Block, DigestItem, DigestKind, Header
from runtime.interface.errors import (
    BAD_ORIGIN,
    BlockFault,
    InvalidBlock,
    InvalidReason,
    InvalidTransaction,
)
from runtime.interface.events import Event
from runtime.interface.weights import MICROSECOND, BlockLimits
from runtime.keys import key_pair_from_uri
from runtime.overlay import Overlay
from runtime.primitives import ZERO_HASH, AccountId, BlockNumber, BlockRef, Hash, Nonce, blake2b_256
from runtime.scale import Compact, Reader, ScaleError
from runtime.trie import StateVersion, Trie, ordered_root
from tests.support.memory_state import MemoryState
from tests.support.toy_pallet import (
    ADDED,
    DOUBLE_INHERENT,
    ENDED,
    FAIL,
    FINISHED,
    GATED,
    NO_LUCK,
    OPTIONAL,
    OTHER_OPTIONAL,
    REFUSE,
    STARTED,
    SUCCEED,
    TOTAL,
    TOY_ENGINE,
    NoView,
    toy_call,
    toy_runtime,
)

ALICE = key_pair_from_uri("//Alice", Scheme.ED25519)
BOB = key_pair_from_uri("//Bob", Scheme.ED25519)
SCHNORR = key_pair_from_uri("//Alice", Scheme.SR25519)
LIMITS = BlockLimits(weight=10**12, length=10_000, extrinsic_length=1_000, new_accounts=8)


def set_time(milliseconds: int) -> bytes:
    return Extrinsic(None, b"\x03\x00" + Compact(64).encode(milliseconds)).encode()


@dataclass
class ToyChain:
    """The head of a chain in memory."""

    runtime: Runtime = field(default_factory=lambda: toy_runtime(LIMITS))
    state: MemoryState = field(init=False)
    trie: Trie = field(init=False)
    head: BlockRef = field(init=False)
    hashes: list[Hash] = field(default_factory=list)

    def __post_init__(self) -> None:
        overlay = Overlay(MemoryState())
        self.runtime.build_genesis(overlay)
        self.state = MemoryState().changed(overlay.changes())
        self.trie = Trie.empty(StateVersion.V1).apply(overlay.changes())
        header = Header(ZERO_HASH, BlockNumber(0), self.trie.root(), ordered_root(()))
        self._enter(header)

    def _enter(self, header: Header) -> None:
        self.head = BlockRef(header.number, header.hash())
        self.hashes.append(header.hash())

    def sign(
        self, pair: KeyPair, call: bytes, nonce: int = 0, era: Era = IMMORTAL, birth: int = 0, spec: int = 100
    ) -> bytes:
        return sign_extrinsic(pair, call, era, Nonce(nonce), spec, 1, self.hashes[0], self.hashes[birth])

    def open(self, digest: tuple[DigestItem, ...] = ()) -> BlockExecution:
        return self.runtime.open_block(self.state, self.head, NoView(), digest)

    def build(self, *extrinsics: bytes, digest: tuple[DigestItem, ...] = ()) -> BlockOutcome:
        execution = self.open(digest)
        execution.apply_inherents({"milliseconds": self.head.number + 1, "toy": 1})
        for raw in extrinsics:
            execution.apply(self.runtime.prepare(raw))
        return execution.finalize(self.trie)

    def execute(self, block: Block) -> BlockOutcome:
        return self.runtime.execute_block(block, self.state, self.trie, NoView(), self.head)

    def block(self, *extrinsics: bytes) -> BlockOutcome:
        outcome = self.execute(self.build(*extrinsics).block)
        self.state, self.trie = self.state.changed(outcome.changes), outcome.trie
        self._enter(outcome.block.header)
        return outcome

    def validator(self) -> TransactionValidator:
        return TransactionValidator(self.runtime, self.state, self.head)

    def validate(self, raw: bytes) -> ValidTransaction:
        return self.validator().validate(self.runtime.prepare(raw))


@pytest.fixture
def chain() -> ToyChain:
    return ToyChain()


def refusal(action: Callable[[], object]) -> tuple[InvalidReason, str]:
    with pytest.raises(InvalidTransaction) as caught:
        action()
    assert str(caught.value) == caught.value.text
    return caught.value.reason, caught.value.text


def fault(chain: ToyChain, block: Block) -> tuple[BlockFault, str]:
    """Why a block is invalid; sees to it that nothing came of it."""
    entries, root, head = dict(chain.state.entries), chain.trie.root(), chain.head
    with pytest.raises(InvalidBlock) as caught:
        chain.execute(block)
    assert str(caught.value) == f"{caught.value.fault.value}: {caught.value.detail}"
    assert (chain.state.entries, chain.trie.root(), chain.head) == (entries, root, head)
    return caught.value.fault, caught.value.detail


def with_body(block: Block, extrinsics: Sequence[bytes]) -> Block:
    """The block of an author who takes other extrinsics, and is honest about their root."""
    header = replace(block.header, extrinsics_root=ordered_root(tuple(extrinsics)))
    return Block(header, tuple(extrinsics))


def events(chain: ToyChain, state: MemoryState) -> list[tuple[str, Event]]:
    reader = Reader(state.entries[EVENTS_KEY])
    found = []
    for _ in range(reader.compact(32)):
        kind = reader.byte()
        phase = {0: "extrinsic", 1: "end", 2: "start"}[kind]
        phase += str(int.from_bytes(reader.take(4), "little")) if kind == 0 else ""
        event = chain.runtime.events[(reader.byte(), reader.byte())]
        event.read_fields(reader)
        assert reader.compact(32) == 0
        found.append((phase, event))
    assert reader.remaining == 0
    assert EVENT_COUNT.get(state) == len(found)
    return found


# What a block does.


def test_a_block_runs_hooks_inherents_and_extrinsics_in_order(chain: ToyChain) -> None:
    outcome = chain.block(
        chain.sign(ALICE, toy_call(SUCCEED, 5)),
        chain.sign(BOB, toy_call(FAIL, 7)),
        chain.sign(ALICE, toy_call(SUCCEED, 6), 1),
    )
    assert outcome.errors == (None, None, NO_LUCK, None)
    assert TOTAL.get(chain.state) == 1_011
    assert [event for event in events(chain, chain.state) if event[1].name != "NewAccount"] == [
        ("start", STARTED),
        ("extrinsic0", EXTRINSIC_SUCCESS),
        ("extrinsic1", ADDED),
        ("extrinsic1", EXTRINSIC_SUCCESS),
        ("extrinsic2", EXTRINSIC_FAILED),
        ("extrinsic3", ADDED),
        ("extrinsic3", EXTRINSIC_SUCCESS),
        ("end", FINISHED),
    ]
    assert ENDED.get(chain.state) == 2, "a failed call's counters are rolled back"
    assert (NUMBER.get(chain.state), NOW.get(chain.state)) == (1, 1)
    assert outcome.trie.root() == Trie.from_items(sorted(chain.state.entries.items()), StateVersion.V1).root()


def test_the_header_commits_to_parent_body_state_and_digest(chain: ToyChain) -> None:
    author = DigestItem(DigestKind.PRE_RUNTIME, b"pow_", ALICE.public)
    raw = chain.sign(ALICE, toy_call(SUCCEED, 5))
    outcome = chain.build(raw, digest=(author,))
    assert outcome.block.extrinsics == (set_time(1), raw)
    assert outcome.block.header == Header(
        chain.head.hash,
        BlockNumber(1),
        outcome.trie.root(),
        ordered_root((set_time(1), raw)),
        (author, DigestItem(DigestKind.CONSENSUS, TOY_ENGINE, b"\x01\x00\x00\x00")),
    )


def test_pallets_run_by_their_indices() -> None:
    assert [pallet.name for pallet in toy_runtime(LIMITS).pallets] == ["System", "Timestamp", "Toy"]


def test_a_failed_call_changes_nothing_but_its_senders_nonce(chain: ToyChain) -> None:
    with_it, without = chain.build(chain.sign(ALICE, toy_call(FAIL, 5))), chain.build()
    ours, empty = dict(with_it.changes), dict(without.changes)
    different = {key for key in ours.keys() | empty.keys() if ours.get(key) != empty.get(key)}
    state = chain.state.changed(with_it.changes)
    assert len(different) == 3, "events, their count, and the account"
    assert chain.runtime.system.nonce(state, ALICE.public) == 1
    assert TOTAL.get(state) == 1_000


@pytest.mark.parametrize("pair", [ALICE, SCHNORR], ids=["ed25519", "sr25519"])
def test_both_schemes_sign(chain: ToyChain, pair: KeyPair) -> None:
    raw = chain.sign(pair, toy_call(SUCCEED, 5))
    assert chain.validate(raw).account == pair.public
    assert chain.block(raw).errors == (None, None)
    assert chain.runtime.system.nonce(chain.state, pair.public) == 1


def test_a_signature_of_one_scheme_is_none_of_the_other(chain: ToyChain) -> None:
    signed = Extrinsic.decode(chain.sign(ALICE, toy_call(SUCCEED, 5)))
    assert signed.signature is not None
    other = replace(signed, signature=replace(signed.signature, scheme=Scheme.SR25519)).encode()
    assert refusal(lambda: chain.validate(other))[0] is InvalidReason.BAD_PROOF


# What makes a transaction invalid: the same for a pool and for a block.


def altered(raw: bytes, **changes: object) -> bytes:
    extrinsic = Extrinsic.decode(raw)
    assert extrinsic.signature is not None
    return replace(extrinsic, signature=replace(extrinsic.signature, **changes)).encode()


BROKEN: dict[str, tuple[Callable[[ToyChain], bytes], InvalidReason, str]] = {
    "another value signed": (
        lambda chain: altered(chain.sign(ALICE, toy_call(SUCCEED, 5)), value=bytes(64)),
        InvalidReason.BAD_PROOF,
        "Transaction has a bad signature",
    ),
    "another account": (
        lambda chain: altered(chain.sign(ALICE, toy_call(SUCCEED, 5)), account=BOB.public),
        InvalidReason.BAD_PROOF,
        "Transaction has a bad signature",
    ),
    "another nonce": (
        lambda chain: altered(chain.sign(ALICE, toy_call(SUCCEED, 5), 1), nonce=Nonce(0)),
        InvalidReason.BAD_PROOF,
        "Transaction has a bad signature",
    ),
    "another call": (
        lambda chain: replace(
            Extrinsic.decode(chain.sign(ALICE, toy_call(SUCCEED, 5))), call=toy_call(SUCCEED, 6)
        ).encode(),
        InvalidReason.BAD_PROOF,
        "Transaction has a bad signature",
    ),
    "another runtime": (
        lambda chain: chain.sign(ALICE, toy_call(SUCCEED, 5), spec=101),
        InvalidReason.BAD_PROOF,
        "Transaction has a bad signature",
    ),
    "another chain": (
        lambda chain: sign_extrinsic(ALICE, toy_call(SUCCEED, 5), IMMORTAL, Nonce(0), 100, 1, ZERO_HASH, ZERO_HASH),
        InvalidReason.BAD_PROOF,
        "Transaction has a bad signature",
    ),
    "no account": (
        lambda chain: altered(chain.sign(ALICE, toy_call(SUCCEED, 5)), account=AccountId(ZERO_HASH)),
        InvalidReason.BAD_SIGNER,
        "Invalid signing address",
    ),
    "a birth that is to come": (
        lambda chain: chain.sign(ALICE, toy_call(SUCCEED, 5), era=Era(64, 40)),
        InvalidReason.ANCIENT_BIRTH_BLOCK,
        "Transaction has an ancient birth block",
    ),
    "unsigned": (
        lambda chain: Extrinsic(None, toy_call(SUCCEED, 5)).encode(),
        InvalidReason.UNSIGNED,
        "Could not find an unsigned validator for the unsigned transaction",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_with_a_transaction_is_said_by_validator_builder_and_executor(chain: ToyChain, name: str) -> None:
    make, reason, text = BROKEN[name]
    raw = make(chain)
    assert refusal(lambda: chain.validate(raw)) == (reason, text)
    assert refusal(lambda: chain.build(raw)) == (reason, text)
    honest = chain.build()
    tampered = with_body(honest.block, (*honest.block.extrinsics, raw))
    assert fault(chain, tampered) == (BlockFault.BAD_EXTRINSIC, f"extrinsic 1: {text}")
    assert chain.execute(honest.block).block == honest.block


def test_a_nonce_is_used_once_and_in_order(chain: ToyChain) -> None:
    first, third = (chain.sign(ALICE, toy_call(SUCCEED, 5), nonce) for nonce in (0, 2))
    stale = InvalidReason.STALE, "Transaction is outdated"
    future = InvalidReason.FUTURE, "Transaction will be valid in the future"
    assert refusal(lambda: chain.build(third)) == future
    assert refusal(lambda: chain.build(first, first)) == stale
    chain.block(first)
    assert refusal(lambda: chain.validate(first)) == stale
    assert refusal(lambda: chain.build(first)) == stale
    honest = chain.build()
    for raw, (_, text) in ((first, stale), (third, future)):
        block = with_body(honest.block, (*honest.block.extrinsics, raw))
        assert fault(chain, block) == (BlockFault.BAD_EXTRINSIC, f"extrinsic 1: {text}")


def test_a_validator_tells_what_a_pool_needs(chain: ToyChain) -> None:
    chain.block()
    validator = chain.validator()
    assert (validator.number, validator.nonce(ALICE.public)) == (2, 0)
    raw = chain.sign(ALICE, toy_call(SUCCEED, 5))
    valid = validator.validate(chain.runtime.prepare(raw))
    assert (valid.account, valid.nonce, valid.is_future, valid.is_new_account) == (ALICE.public, 0, False, True)
    assert valid.longevity == 2**64 - 2
    assert valid.prepared.hash == extrinsic_hash(raw)
    assert valid.prepared.weight == BASE_EXTRINSIC_WEIGHT + 5 == 70 * MICROSECOND + 5
    ahead = validator.validate(chain.runtime.prepare(chain.sign(ALICE, toy_call(SUCCEED), 3, Era.mortal(8, 1), 1)))
    assert (ahead.nonce, ahead.is_future, ahead.is_new_account, ahead.longevity) == (3, True, True, 8)
    chain.block(raw)
    assert chain.validator().nonce(ALICE.public) == 1
    assert not chain.validate(chain.sign(ALICE, toy_call(SUCCEED), 1)).is_new_account


def test_a_validator_leaves_the_state_alone(chain: ToyChain) -> None:
    entries = dict(chain.state.entries)
    chain.validate(chain.sign(ALICE, toy_call(SUCCEED, 5)))
    assert chain.state.entries == entries


def test_the_signature_check_can_be_replaced_and_gets_hash_and_payload(chain: ToyChain) -> None:
    seen = []

    def check(extrinsic: Hash, signature: Signature, payload: bytes) -> bool:
        seen.append((extrinsic, signature.account, len(payload)))
        return signature.account == ALICE.public

    validator = TransactionValidator(chain.runtime, chain.state, chain.head, check)
    good = altered(chain.sign(ALICE, toy_call(SUCCEED, 5)), value=bytes(64))
    bad = chain.sign(BOB, toy_call(SUCCEED, 5))
    validator.validate(chain.runtime.prepare(good))
    assert refusal(lambda: validator.validate(chain.runtime.prepare(bad)))[0] is InvalidReason.BAD_PROOF
    length = 6 + 1 + 1 + 4 + 4 + 32 + 32
    assert seen == [
        (extrinsic_hash(good), ALICE.public, length),
        (extrinsic_hash(bad), BOB.public, length),
    ]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"", "extrinsic length at offset 0 needs 1 byte, none is left"),
        (b"\x00", "extrinsic is empty"),
        (b"\x0c\x04\xc9\x00", "there is no call 0 of pallet 201"),
        (b"\x0c\x04\xc8\x63", "there is no call 99 of pallet 200"),
        (Extrinsic(None, toy_call(SUCCEED) + b"\x00").encode(), "1 bytes are left over behind the call Toy.succeed"),
    ],
)
def test_what_does_not_decode_is_refused_and_says_why(chain: ToyChain, raw: bytes, text: str) -> None:
    reason, said = refusal(lambda: chain.runtime.prepare(raw))
    assert reason is InvalidReason.UNDECODABLE
    assert said == text
    honest = chain.build()
    block = with_body(honest.block, (*honest.block.extrinsics, raw))
    assert fault(chain, block) == (BlockFault.BAD_EXTRINSIC, f"extrinsic 1: {said}")


def test_a_call_names_pallet_and_call(chain: ToyChain) -> None:
    with pytest.raises(ScaleError, match=r"^a call names a pallet and a call in two bytes$"):
        chain.runtime.decode_call(b"\xc8")
    decoded = chain.runtime.decode_call(toy_call(SUCCEED, 9))
    assert (decoded.pallet, decoded.call.name, decoded.arguments, decoded.weight) == ("Toy", "succeed", (9,), 9)


def test_an_extrinsic_of_too_many_bytes_is_refused_before_it_is_decoded(chain: ToyChain) -> None:
    garbage = bytes(LIMITS.extrinsic_length + 1)
    assert refusal(lambda: chain.runtime.prepare(garbage)) == (
        InvalidReason.TOO_LONG,
        "Transaction is too long",
    )
    assert refusal(lambda: chain.runtime.prepare(garbage[1:]))[0] is InvalidReason.UNDECODABLE


def test_a_timestamp_that_somebody_signs_is_a_failed_call(chain: ToyChain) -> None:
    raw = chain.sign(ALICE, b"\x03\x00" + Compact(64).encode(9))
    assert chain.block(raw).errors == (None, BAD_ORIGIN)
    assert NOW.get(chain.state) == 1


# Eras.


def test_a_mortal_transaction_lives_from_its_birth_to_its_death(chain: ToyChain) -> None:
    for _ in range(5):
        chain.block()
    raw = chain.sign(ALICE, toy_call(SUCCEED, 5), era=Era.mortal(4, 5), birth=5)
    ancient = InvalidReason.ANCIENT_BIRTH_BLOCK, "Transaction has an ancient birth block"
    forged = InvalidReason.BAD_PROOF, "Transaction has a bad signature"
    outcomes = []
    for number in range(6, 12):
        assert chain.head.number == number - 1
        if number <= 8:
            assert chain.validate(raw).longevity == 8
            assert chain.build(raw).errors == (None, None)
        else:
            outcomes.append(refusal(lambda: chain.validate(raw)))
            assert refusal(lambda: chain.build(raw)) == outcomes[-1]
        chain.block()
    # In block 9 the next era begins, whose first block is not there yet; after it, it is another one.
    assert outcomes == [ancient, forged, forged]


def test_a_birth_block_is_remembered_for_as_long_as_its_hash_is(chain: ToyChain) -> None:
    raw = sign_extrinsic(
        ALICE,
        toy_call(SUCCEED, 5),
        Era(1 << 16, 16),
        Nonce(0),
        100,
        1,
        chain.hashes[0],
        blake2b_256(b"block 16"),
    )
    overlay = Overlay(chain.state)
    BLOCK_HASH.put(overlay, BlockNumber(0), chain.hashes[0])
    BLOCK_HASH.put(overlay, BlockNumber(16), blake2b_256(b"block 16"))
    state = MemoryState(chain.state.entries).changed(overlay.changes())

    def validate_in(number: int) -> ValidTransaction:
        parent = BlockRef(BlockNumber(number - 1), blake2b_256(b"parent"))
        validator = TransactionValidator(chain.runtime, state, parent)
        return validator.validate(chain.runtime.prepare(raw))

    assert validate_in(16 + 4096).longevity == 16 + (1 << 16) - 1
    assert refusal(lambda: validate_in(16 + 4097)) == (
        InvalidReason.ANCIENT_BIRTH_BLOCK,
        "Transaction has an ancient birth block",
    )


# What a block has room for.

EXHAUSTED = InvalidReason.EXHAUSTS_RESOURCES, "Transaction would exhaust the block limits"


def known_chain(limits: BlockLimits, *pairs: KeyPair) -> ToyChain:
    """A chain that knows some accounts."""
    chain = ToyChain(toy_runtime(replace(limits, weight=10**12)))
    chain.block(*(chain.sign(pair, toy_call(SUCCEED)) for pair in pairs))
    chain.runtime = toy_runtime(limits)
    return chain


def test_a_block_takes_what_fits_its_weight() -> None:
    limits = replace(LIMITS, weight=2 * BASE_EXTRINSIC_WEIGHT + 100)
    chain = known_chain(limits, ALICE, BOB)
    first = chain.sign(ALICE, toy_call(SUCCEED, 60), 1)
    fits, heavy = (chain.sign(BOB, toy_call(SUCCEED, weight), 1) for weight in (40, 41))
    assert chain.block(first, fits).errors == (None, None, None)
    chain = known_chain(limits, ALICE, BOB)
    assert refusal(lambda: chain.build(first, heavy)) == EXHAUSTED
    honest = chain.build(first)
    block = with_body(honest.block, (*honest.block.extrinsics, heavy))
    assert fault(chain, block) == (BlockFault.BAD_EXTRINSIC, f"extrinsic 2: {EXHAUSTED[1]}")


def test_a_block_takes_what_fits_its_length() -> None:
    raw = ToyChain().sign(ALICE, toy_call(SUCCEED))
    for room, errors in ((len(raw), (None, None)), (len(raw) - 1, None)):
        chain = ToyChain(toy_runtime(replace(LIMITS, length=room)))
        if errors is None:
            assert refusal(lambda chain=chain: chain.build(raw)) == EXHAUSTED
            assert refusal(lambda chain=chain: chain.validate(raw)) == EXHAUSTED
        else:
            assert chain.block(raw).errors == errors


def test_half_of_a_block_is_kept_for_accounts_that_the_chain_knows() -> None:
    limits = replace(LIMITS, weight=4 * BASE_EXTRINSIC_WEIGHT)
    chain = known_chain(limits, ALICE)
    new = [key_pair_from_uri(f"//new//{index}", Scheme.ED25519) for index in range(3)]
    fresh = [chain.sign(pair, toy_call(SUCCEED)) for pair in new]
    known = [chain.sign(ALICE, toy_call(SUCCEED), nonce) for nonce in (1, 2)]
    assert refusal(lambda: chain.build(*fresh)) == EXHAUSTED
    assert chain.build(*fresh[:2], *known).errors == (None,) * 5
    assert refusal(lambda: chain.validate(chain.sign(new[0], toy_call(SUCCEED, 2 * 70 * MICROSECOND)))) == EXHAUSTED
    chain.validate(chain.sign(ALICE, toy_call(SUCCEED, 2 * 70 * MICROSECOND), 1))


def test_an_account_is_new_with_its_first_transaction_only() -> None:
    limits = replace(LIMITS, new_accounts=1)
    chain = ToyChain(toy_runtime(limits))
    first, second = (chain.sign(ALICE, toy_call(SUCCEED), nonce) for nonce in (0, 1))
    assert chain.build(first, second).errors == (None,) * 3
    assert refusal(lambda: chain.build(first, chain.sign(BOB, toy_call(SUCCEED)))) == EXHAUSTED


def test_a_full_block_says_so() -> None:
    chain = ToyChain(toy_runtime(replace(LIMITS, weight=3 * BASE_EXTRINSIC_WEIGHT)))
    execution = chain.open()
    execution.apply_inherents({"milliseconds": 1})
    assert (execution.is_full, execution.extrinsics, execution.number) == (False, 1, 1)
    execution.apply(chain.runtime.prepare(chain.sign(ALICE, toy_call(SUCCEED))))
    assert (execution.is_full, execution.extrinsics) == (False, 2)
    execution.apply(chain.runtime.prepare(chain.sign(ALICE, toy_call(SUCCEED, 1), 1)))
    assert (execution.is_full, execution.extrinsics) == (True, 3)


def test_inherents_take_no_room() -> None:
    chain = ToyChain(toy_runtime(replace(LIMITS, weight=0, length=0)))
    assert chain.block().errors == (None,)
    assert chain.open().is_full


REFUSED: dict[str, Callable[[ToyChain], bytes]] = {
    "in its call": lambda chain: chain.sign(ALICE, toy_call(REFUSE, 9), 1),
    "future": lambda chain: chain.sign(ALICE, toy_call(SUCCEED, 9), 2),
    "stale": lambda chain: chain.sign(ALICE, toy_call(SUCCEED, 9), 0),
    "forged": lambda chain: altered(chain.sign(ALICE, toy_call(SUCCEED, 9), 1), value=bytes(64)),
    "too heavy": lambda chain: chain.sign(ALICE, toy_call(SUCCEED, 2**32 - 1), 1),
    "new and refused": lambda chain: chain.sign(SCHNORR, toy_call(REFUSE, 9)),
    "unsigned": lambda chain: Extrinsic(None, toy_call(SUCCEED)).encode(),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_transaction_leaves_the_block_as_if_it_had_not_been_tried(name: str) -> None:
    limits = replace(LIMITS, weight=2**32, new_accounts=2)
    outcomes = []
    for refused in (False, True):
        chain = ToyChain(toy_runtime(limits))
        execution = chain.open()
        execution.apply_inherents({"milliseconds": 1})
        execution.apply(chain.runtime.prepare(chain.sign(ALICE, toy_call(SUCCEED, 3))))
        if refused:
            refusal(lambda: execution.apply(chain.runtime.prepare(REFUSED[name](chain))))  # noqa: B023
        execution.apply(chain.runtime.prepare(chain.sign(ALICE, toy_call(SUCCEED, 4), 1)))
        execution.apply(chain.runtime.prepare(chain.sign(BOB, toy_call(FAIL, 4))))
        outcomes.append(execution.finalize(chain.trie))
    tried, untried = outcomes
    assert tried.block == untried.block
    assert tried.changes == untried.changes
    assert tried.errors == untried.errors


# What makes a block invalid.


def test_a_block_names_its_parent_and_its_number(chain: ToyChain) -> None:
    block = chain.build().block
    wrong = replace(block, header=replace(block.header, parent_hash=ZERO_HASH))
    assert fault(chain, wrong) == (BlockFault.WRONG_PARENT, "the header names another parent")
    for number in (0, 2):
        wrong = replace(block, header=replace(block.header, number=BlockNumber(number)))
        assert fault(chain, wrong) == (BlockFault.WRONG_NUMBER, f"block {number} follows block 0")


def test_the_body_is_that_of_the_header_in_its_order(chain: ToyChain) -> None:
    alice, bob = chain.sign(ALICE, toy_call(SUCCEED, 1)), chain.sign(BOB, toy_call(SUCCEED, 2))
    block = chain.build(alice, bob).block
    for body in (
        (block.extrinsics[0], bob, alice),
        block.extrinsics[:2],
        (*block.extrinsics, alice),
        (block.extrinsics[0], alice, bob[:-1] + b"\x09"),
        (),
    ):
        wrong = replace(block, extrinsics=body)
        assert fault(chain, wrong) == (BlockFault.EXTRINSICS_ROOT, "the body is not that of the header")
    reordered = with_body(block, (block.extrinsics[0], bob, alice))
    assert fault(chain, reordered)[0] is BlockFault.STATE_ROOT, "events tell the order"


def test_the_state_root_is_what_execution_gives(chain: ToyChain) -> None:
    block = chain.build().block
    wrong = replace(block, header=replace(block.header, state_root=ZERO_HASH))
    root = block.header.state_root.hex()
    assert fault(chain, wrong) == (
        BlockFault.STATE_ROOT,
        f"execution gives {root}, the header says {'00' * 32}",
    )


def test_a_seal_at_the_end_is_the_only_digest_item_that_execution_does_not_give(chain: ToyChain) -> None:
    author = DigestItem(DigestKind.PRE_RUNTIME, b"pow_", ALICE.public)
    seal = DigestItem(DigestKind.SEAL, b"toy_", bytes(64))
    other = DigestItem(DigestKind.OTHER, payload=b"note")
    block = chain.build(digest=(author,)).block
    ours = block.header.digest[1]

    def with_digest(*digest: DigestItem) -> Block:
        return replace(block, header=replace(block.header, digest=digest))

    sealed = with_digest(author, ours, seal)
    assert chain.execute(sealed).block == sealed, "an outcome is stored with its seal"
    bad = BlockFault.BAD_DIGEST, "the digest is not what execution gives"
    for digest in (
        (author,),
        (ours, author),
        (author, ours, other),
        (author, ours, ours),
        (author, replace(ours, payload=b"\x02\x00\x00\x00")),
        (seal, author, ours),
        (author, seal, ours),
        (author, ours, seal, seal),
        (),
    ):
        assert fault(chain, with_digest(*digest)) == bad
    renamed = replace(author, payload=BOB.public)
    assert fault(chain, with_digest(renamed, ours))[0] is BlockFault.STATE_ROOT, "the state keeps the digest"


def test_every_block_begins_with_its_inherents_once(chain: ToyChain) -> None:
    raw = chain.sign(ALICE, toy_call(SUCCEED, 1))
    block = chain.build(raw).block
    time = block.extrinsics[0]
    missing = BlockFault.INHERENT_MISSING, "an inherent is missing"
    early = BlockFault.INHERENT_MISPLACED, "a transaction stands before the inherents"
    late = BlockFault.INHERENT_MISPLACED, "an inherent stands twice or behind transactions"
    assert fault(chain, with_body(block, ())) == missing
    assert fault(chain, with_body(block, (raw,))) == early
    assert fault(chain, with_body(block, (raw, time))) == early
    assert fault(chain, with_body(block, (time, time))) == late
    assert fault(chain, with_body(block, (time, raw, time))) == late


def test_two_inherents_come_in_any_order_before_transactions() -> None:
    chain = ToyChain(toy_runtime(LIMITS, has_inherent=True))
    raw = chain.sign(ALICE, toy_call(SUCCEED, 1))
    block = chain.build(raw).block
    time, toy, _ = block.extrinsics
    assert toy == Extrinsic(None, toy_call(DOUBLE_INHERENT, 1)).encode()
    assert chain.execute(block).errors == (None, None, None)
    assert fault(chain, with_body(block, (time,)))[0] is BlockFault.INHERENT_MISSING
    assert fault(chain, with_body(block, (time, raw)))[0] is BlockFault.INHERENT_MISPLACED
    assert fault(chain, with_body(block, (toy, toy, time)))[0] is BlockFault.INHERENT_MISPLACED
    swapped = fault(chain, with_body(block, (toy, time, raw)))
    assert swapped[0] is BlockFault.STATE_ROOT, "their order is the author's, and events tell it"


def test_an_inherent_that_fails_spoils_its_block() -> None:
    chain = ToyChain(toy_runtime(LIMITS, has_inherent=True))
    block = chain.build().block
    bad = Extrinsic(None, toy_call(DOUBLE_INHERENT, 13)).encode()
    assert fault(chain, with_body(block, (block.extrinsics[0], bad))) == (
        BlockFault.BAD_EXTRINSIC,
        "inherent failed: NoLuck",
    )


# Optional inherents


def bare(index: int, value: int) -> bytes:
    return Extrinsic(None, toy_call(index, value)).encode()


def test_a_block_has_optional_inherents_or_not_right_behind_its_inherents(chain: ToyChain) -> None:
    raw = chain.sign(ALICE, toy_call(SUCCEED, 1))
    block = chain.build(bare(OPTIONAL, 5), bare(OTHER_OPTIONAL, 6), raw).block
    outcome = chain.execute(block)
    assert outcome.errors == (None, None, None, None)
    assert TOTAL.get(chain.state.changed(outcome.changes)) == 1_012
    for others in ((), (bare(OPTIONAL, 5),), (bare(OTHER_OPTIONAL, 5),), (bare(OTHER_OPTIONAL, 5), bare(OPTIONAL, 6))):
        built = chain.build(*others, raw).block
        assert chain.execute(built).block == built


def test_an_optional_inherent_has_its_place_and_stands_once(chain: ToyChain) -> None:
    raw = chain.sign(ALICE, toy_call(SUCCEED, 1))
    block = chain.build(raw).block
    time, five = block.extrinsics[0], bare(OPTIONAL, 5)
    early = BlockFault.INHERENT_MISPLACED, "an optional inherent stands before the inherents"
    late = BlockFault.INHERENT_MISPLACED, "an optional inherent stands twice or behind transactions"
    assert fault(chain, with_body(block, (five, time))) == early
    assert fault(chain, with_body(block, (time, five, five))) == late
    assert fault(chain, with_body(block, (time, five, bare(OTHER_OPTIONAL, 1), bare(OPTIONAL, 6)))) == late
    assert fault(chain, with_body(block, (time, raw, five))) == late


def test_an_optional_inherent_that_fails_may_not_be_in_a_block(chain: ToyChain) -> None:
    bad = bare(OPTIONAL, 13)
    execution = chain.open()
    execution.apply_inherents({"milliseconds": 1})
    with pytest.raises(InvalidTransaction, match=r"^Toy\.optional failed: NoLuck$") as caught:
        execution.apply(chain.runtime.prepare(bad))
    assert caught.value.reason is InvalidReason.BAD_CALL
    built = execution.finalize(chain.trie).block
    assert built == chain.build().block, "an author leaves it out, and it leaves nothing behind"
    message = "extrinsic 1: Toy.optional failed: NoLuck"
    assert fault(chain, with_body(built, (*built.extrinsics, bad))) == (BlockFault.BAD_EXTRINSIC, message)


def test_optional_inherents_take_no_room(chain: ToyChain) -> None:
    execution = chain.open()
    execution.apply_inherents({"milliseconds": 1})
    execution.apply(chain.runtime.prepare(bare(OPTIONAL, 5)))
    execution.apply(chain.runtime.prepare(chain.sign(ALICE, toy_call(SUCCEED, 1))))
    assert execution.extrinsics == 3


def test_nobody_hands_in_an_optional_inherent(chain: ToyChain) -> None:
    with pytest.raises(InvalidTransaction) as caught:
        chain.validator().validate(chain.runtime.prepare(bare(OPTIONAL, 5)))
    assert caught.value.reason is InvalidReason.UNSIGNED


# Calls that do not admit everybody


def test_a_call_that_is_not_admitted_may_not_be_in_a_block_nor_in_a_pool(chain: ToyChain) -> None:
    message = f"{ALICE.public.hex()[:4]} adds 1000 to as much"
    refused = chain.runtime.prepare(chain.sign(ALICE, toy_call(GATED, 1_000)))
    with pytest.raises(InvalidTransaction, match=f"^{message}$"):
        chain.validator().validate(refused)
    execution = chain.open()
    execution.apply_inherents({"milliseconds": 1})
    with pytest.raises(InvalidTransaction, match=f"^{message}$"):
        execution.apply(refused)
    good = chain.sign(ALICE, toy_call(GATED, 1))
    execution.apply(chain.runtime.prepare(good))
    block = execution.finalize(chain.trie).block
    assert block == chain.build(good).block, "the refused one has not even counted the nonce"
    time = block.extrinsics[0]
    assert fault(chain, with_body(block, (time, refused.raw))) == (BlockFault.BAD_EXTRINSIC, f"extrinsic 1: {message}")


def test_the_state_of_a_block_under_way_is_seen_by_its_author(chain: ToyChain) -> None:
    execution = chain.open()
    execution.apply_inherents({"milliseconds": 1})
    execution.apply(chain.runtime.prepare(bare(OPTIONAL, 5)))
    assert TOTAL.get(execution.state) == 1_005


def test_time_goes_forward(chain: ToyChain) -> None:
    chain.block()
    block = chain.build().block
    for time in (0, 1):
        assert fault(chain, with_body(block, (set_time(time),))) == (
            BlockFault.BAD_TIMESTAMP,
            f"the time {time} is not between 2 and 9007199254740991",
        )


def test_after_an_invalid_block_the_chain_goes_on_as_before(chain: ToyChain) -> None:
    twin = ToyChain()
    raw = chain.sign(ALICE, toy_call(SUCCEED, 1))
    block = chain.build(raw).block
    fault(chain, replace(block, header=replace(block.header, state_root=ZERO_HASH)))
    chain.block(raw)
    twin.block(raw)
    assert chain.state.entries == twin.state.entries
    assert chain.head == twin.head
