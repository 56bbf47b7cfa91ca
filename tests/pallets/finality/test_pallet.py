"""What clients see of the pallet: places, names and keys that never change."""

from pallets.finality.pallet import finality_pallet
from pallets.finality.storage import OPEN, VOTER_SET, VOTER_SETS, OpenCheckpoint, VoterSet
from pallets.finality.votes import CheckpointId
from pallets.producers.config import Config
from runtime.primitives import AccountId, BlockNumber, Hash, twox_64, twox_128

A, B = (AccountId(bytes([number]) * 32) for number in (1, 2))


def test_the_pallet_has_its_place_and_its_constant() -> None:
    pallet = finality_pallet(Config(1_500, (A,)), genesis_time=0)
    assert (pallet.name, pallet.index) == ("Finality", 6)
    assert [(call.index, call.name) for call in pallet.calls] == [(0, "cast_votes"), (1, "report_contradiction")]
    assert [(event.index, event.name) for event in pallet.events] == [
        (0, "CheckpointJustified"),
        (1, "CheckpointFinalized"),
        (2, "HandoverStarted"),
        (3, "HandoverCompleted"),
        (4, "VoterRemoved"),
    ]
    assert [(error.index, error.name) for error in pallet.errors] == [
        (0, "NoVotes"),
        (1, "VotesOutOfOrder"),
        (2, "UnknownTarget"),
        (3, "WrongSource"),
        (4, "NoVoter"),
        (5, "Lapsed"),
        (6, "AlreadyCounted"),
        (7, "BadSignature"),
        (8, "NoOffence"),
    ]
    assert [(constant.name, constant.value) for constant in pallet.constants] == [("MaxVotes", 128)]


def test_storage_keys_and_values_are_written_down() -> None:
    epoch = (258).to_bytes(8, "little")
    assert OPEN.key(258) == twox_128(b"Finality") + twox_128(b"Open") + twox_64(epoch) + epoch
    source = CheckpointId(1, Hash(b"\x07" * 32))
    checkpoint = OpenCheckpoint(BlockNumber(9), Hash(b"\x08" * 32), source, 255, 3, b"\x05", is_justified=True)
    assert OPEN.codec.encode(checkpoint) == (
        bytes((9, 0, 0, 0))
        + b"\x08" * 32
        + bytes((1, 0, 0, 0, 0, 0, 0, 0))
        + b"\x07" * 32
        + bytes((255, 0, 0, 0, 0, 0, 0, 0))
        + bytes((3, 0, 0, 0))
        + b"\x04\x05"
        + b"\x01"
    )
    assert VOTER_SETS.key(1).endswith(bytes((1, 0, 0, 0)))
    assert VOTER_SET.encode(VoterSet((A,), (A, B), 5)) == b"\x04" + A + b"\x08" + A + B + bytes(
        (5, 0, 0, 0, 0, 0, 0, 0)
    )
