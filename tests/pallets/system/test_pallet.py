"""What the chain keeps of every chain, byte by byte."""

from dataclasses import replace

import pytest

from pallets.construct import VERSION
from pallets.system.calls import MAX_REMARK
from pallets.system.pallet import BLOCK_HASH_COUNT, System, system_pallet
from pallets.system.storage import (
    ACCOUNT,
    ACCOUNT_INFO,
    BLOCK_HASH,
    CODE_KEY,
    DIGEST,
    EVENT_COUNT,
    EVENTS_KEY,
    NUMBER,
    PARENT_HASH,
    AccountInfo,
    Digest,
)
from runtime.executive import Runtime
from runtime.extrinsic import Extrinsic
from runtime.header import DigestItem, DigestKind
from runtime.interface.context import Context
from runtime.interface.dispatch import DISPATCH_ERROR, ModuleError
from runtime.interface.errors import BAD_ORIGIN, CANNOT_LOOKUP, EXHAUSTED, InvalidReason, InvalidTransaction
from runtime.overlay import Overlay
from runtime.primitives import ZERO_HASH, BlockNumber, Hash, Nonce, blake2b_256, from_hex
from runtime.scale import Compact, ScaleError, encode_compact
from runtime.version import VERSION_RECORD
from tests.support.events import all_events, events_of
from tests.support.memory_state import MemoryState
from tests.support.small_chain import PAIRS, SmallChain, remark, submit_rating
from tests.support.toy_pallet import NoView

ALICE = PAIRS["Alice"].public


def block_hash(number: int) -> Hash:
    return blake2b_256(b"block %d" % number)


def test_the_state_keeps_the_hashes_of_the_last_blocks_and_of_block_0() -> None:
    system, state = System(), Overlay(MemoryState())
    newest = 2 * BLOCK_HASH_COUNT + 10
    for number in range(1, newest + 1):
        context = Context(state, BlockNumber(number), block_hash(number - 1), NoView())
        system.initialize(context)
        if number in (1, BLOCK_HASH_COUNT, BLOCK_HASH_COUNT + 1, BLOCK_HASH_COUNT + 2, newest):
            oldest = max(number - BLOCK_HASH_COUNT, 0)
            kept = sorted({0, *range(oldest, number)})
            assert dict(BLOCK_HASH.items(state)) == {known: block_hash(known) for known in kept}
            assert system.block_hash(state, BlockNumber(oldest)) == block_hash(oldest)
            assert system.block_hash(state, BlockNumber(number)) is None
            assert NUMBER.get(state) == system.number(state) == number
            assert PARENT_HASH.get(state) == block_hash(number - 1)
    assert system.block_hash(state, BlockNumber(1)) is None


def test_a_chain_remembers_the_hashes_of_its_blocks() -> None:
    chain = SmallChain()
    for _ in range(3):
        chain.block()
    found = [chain.runtime.system.block_hash(chain.state, BlockNumber(number)) for number in range(4)]
    assert found == [chain.hash_at(0), chain.hash_at(1), chain.hash_at(2), None]


def test_account_info_has_the_layout_of_substrate_without_account_data() -> None:
    assert ACCOUNT_INFO.encode(AccountInfo(Nonce(1))).hex() == "01000000000000000100000000000000"
    assert ACCOUNT_INFO.encode(AccountInfo(Nonce(5), 1, 2, 3)).hex() == "05000000010000000200000003000000"
    assert ACCOUNT_INFO.decode(from_hex("0x05000000010000000200000003000000")).sufficients == 3


def test_accounts_are_known_from_their_first_transaction_on() -> None:
    chain = SmallChain()
    assert ACCOUNT.get(chain.state, ALICE) == AccountInfo(Nonce(0), providers=0)
    assert not ACCOUNT.contains(chain.state, ALICE)
    chain.block(("Alice", remark(b"1")), ("Alice", remark(b"2")))
    assert chain.state.entries[ACCOUNT.key(ALICE)].hex() == "02000000000000000100000000000000"
    new = [event for _, _, event, fields in all_events(chain) if event == "NewAccount"]
    assert len(new) == 1
    chain.block(("Alice", remark(b"3")))
    assert "NewAccount" not in [event for _, _, event, _ in all_events(chain)]


def test_a_remark_is_told_by_its_hash() -> None:
    chain = SmallChain()
    assert chain.block(("Alice", remark(b"hello"))) == (None,)
    assert events_of(chain)[1][0] == (
        "System",
        "Remarked",
        {"sender": ALICE, "hash": blake2b_256(b"hello")},
    )


def test_a_remark_needs_a_signature_and_is_bounded_and_weighs_by_its_length() -> None:
    chain = SmallChain()
    call = chain.runtime.decode_call(remark(bytes(1_000)))
    assert call.weight == 5_000_000 + 8_000 * 1_000
    with pytest.raises(InvalidTransaction) as caught:
        chain.build(Extrinsic(None, remark(b"x")).encode())
    assert caught.value.reason is InvalidReason.UNSIGNED
    chain.runtime.decode_call(remark(bytes(MAX_REMARK)))
    with pytest.raises(ScaleError):
        chain.runtime.decode_call(remark(bytes(MAX_REMARK + 1)))


def test_the_events_of_a_block_byte_by_byte() -> None:
    chain = SmallChain()
    chain.block(("Alice", submit_rating(99, 1)))
    timestamp, failed = 10 * 10**6, 70 * 10**6 + 90 * 10**6
    weight = Compact(64)
    expected = [
        # Extrinsic 0, System.ExtrinsicSuccess: weight, proof size, mandatory, no fee, no topics.
        "00000000000000" + weight.encode(70 * 10**6 + timestamp).hex() + "00020100",
        "00010000000003" + ALICE.hex() + "00",
        # Extrinsic 1, System.ExtrinsicFailed: Module, pallet 8, error 0 in four bytes; normal.
        "00010000000001030800000000" + weight.encode(failed).hex() + "00000100",
    ]
    assert chain.state.entries[EVENTS_KEY].hex() == encode_compact(3).hex() + "".join(expected)
    assert EVENT_COUNT.get(chain.state) == 3
    chain.block()
    assert EVENT_COUNT.get(chain.state) == 1, "the events are those of the last block"
    assert len(all_events(chain)) == 1


@pytest.mark.parametrize(
    ("error", "data"),
    [
        (CANNOT_LOOKUP, "01"),
        (BAD_ORIGIN, "02"),
        (ModuleError(8, (3, 0, 0, 0)), "030803000000"),
        (EXHAUSTED, "0a"),
    ],
)
def test_dispatch_errors_have_the_indices_of_substrate(error: object, data: str) -> None:
    assert DISPATCH_ERROR.encode(error).hex() == data  # type: ignore[arg-type]
    assert DISPATCH_ERROR.decode(bytes.fromhex(data)) == error


def test_an_unknown_dispatch_error_does_not_decode() -> None:
    with pytest.raises(ScaleError):
        DISPATCH_ERROR.decode(b"\x63")


def test_the_digest_in_the_state_is_that_of_the_header() -> None:
    chain = SmallChain()
    author = DigestItem(DigestKind.PRE_RUNTIME, b"pow_", ALICE)
    execution = chain.runtime.open_block(chain.state, chain.head, chain.view, (author,))
    execution.apply_inherents({"milliseconds": 1})
    outcome = execution.finalize(chain.trie)
    chain.adopt(outcome)
    assert DIGEST.get(chain.state) == Digest((author,))
    assert chain.state.entries[DIGEST.key] == b"\x04" + author.encode()
    assert DIGEST.codec.decode(b"\x00") == Digest(())
    with pytest.raises(ScaleError):
        DIGEST.codec.decode(b"\xfd\xff")


def test_before_the_first_block_there_is_nothing() -> None:
    state = MemoryState()
    assert (NUMBER.get(state), PARENT_HASH.get(state), EVENT_COUNT.get(state)) == (0, ZERO_HASH, 0)
    assert (DIGEST.get(state), System().nonce(state, ALICE)) == (Digest(()), 0)


def test_clients_find_their_constants() -> None:
    pallet = system_pallet(VERSION)
    constants = {constant.name: constant.codec.encode(constant.value).hex() for constant in pallet.constants}
    version = VERSION_RECORD.encode(VERSION.record()).hex()
    assert constants == {"BlockHashCount": "00100000", "Version": version, "SS58Prefix": "2a00"}
    assert [(call.index, call.name) for call in pallet.calls] == [(0, "remark")]
    assert [(event.index, event.name) for event in pallet.events] == [
        (0, "ExtrinsicSuccess"),
        (1, "ExtrinsicFailed"),
        (3, "NewAccount"),
        (5, "Remarked"),
    ]


def test_the_state_names_its_runtime_where_clients_look_for_code() -> None:
    chain = SmallChain()
    assert chain.state.entries[b":code"] == VERSION_RECORD.encode(chain.runtime.version.record())
    chain.block()
    assert DIGEST.get(chain.state) == Digest(())


def test_an_upgrade_is_noted_in_the_state_and_in_the_header_of_its_first_block() -> None:
    chain = SmallChain()
    chain.block()
    version = replace(chain.runtime.version, spec_version=chain.runtime.version.spec_version + 1)
    pallets = [pallet for pallet in chain.runtime.pallets if pallet.name != "System"]
    limits, view = chain.runtime.limits, chain.runtime.empty_view
    chain.runtime = Runtime(version, limits, System(), [system_pallet(version), *pallets], view)
    chain.block()
    assert chain.state.entries[CODE_KEY] == VERSION_RECORD.encode(version.record())
    noted = (DigestItem(DigestKind.RUNTIME_ENVIRONMENT_UPDATED),)
    assert chain.blocks[-1].header.digest == DIGEST.get(chain.state).logs == noted
    chain.block()
    assert chain.blocks[-1].header.digest == ()
