"""Votes: who signs which step from one checkpoint to a later one, and which two votes contradict each other."""

from dataclasses import dataclass
from typing import Final

from runtime.interface.signatures import verify_ed25519
from runtime.primitives import AccountId, BlockNumber, Hash
from runtime.scale import ACCOUNT_ID, BLOCK_NUMBER, H256, U64, Codec, Field, FixedBytes, Struct

VOTE_DOMAIN: Final = b"mfchain/vote/1"
_SIGNATURE_LENGTH: Final = 64


@dataclass(frozen=True, slots=True)
class CheckpointId:
    """A checkpoint as votes name it."""

    epoch: int
    hash: Hash


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The first block of an epoch on one chain."""

    epoch: int
    number: BlockNumber
    hash: Hash

    @property
    def id(self) -> CheckpointId:
        """Return how votes name it."""
        return CheckpointId(self.epoch, self.hash)


@dataclass(frozen=True, slots=True)
class Vote:
    """A voter holds `target` to be part of history, going on from `source`."""

    voter: AccountId
    source: CheckpointId
    target: CheckpointId
    signature: bytes

    @property
    def order(self) -> tuple[int, AccountId]:
        """Return what votes in a block ascend by."""
        return self.target.epoch, self.voter


CHECKPOINT_ID: Codec[CheckpointId] = Struct(
    CheckpointId, (Field("epoch", U64, "u64"), Field("hash", H256, "Hash")), path=("mfchain_finality", "CheckpointId")
)
CHECKPOINT: Codec[Checkpoint] = Struct(
    Checkpoint,
    (Field("epoch", U64, "u64"), Field("number", BLOCK_NUMBER, "BlockNumber"), Field("hash", H256, "Hash")),
    path=("mfchain_finality", "Checkpoint"),
)
VOTE: Codec[Vote] = Struct(
    Vote,
    (
        Field("voter", ACCOUNT_ID, "AccountId"),
        Field("source", CHECKPOINT_ID, "CheckpointId"),
        Field("target", CHECKPOINT_ID, "CheckpointId"),
        Field("signature", FixedBytes(_SIGNATURE_LENGTH), "[u8; 64]"),
    ),
    path=("mfchain_finality", "Vote"),
)


def vote_message(genesis: Hash, voter: AccountId, source: CheckpointId, target: CheckpointId) -> bytes:
    """Return what a voter signs."""
    return VOTE_DOMAIN + genesis + voter + CHECKPOINT_ID.encode(source) + CHECKPOINT_ID.encode(target)


def is_signed(vote: Vote, genesis: Hash) -> bool:
    """Tell whether the voter has signed the vote, on this chain."""
    return verify_ed25519(vote.voter, vote_message(genesis, vote.voter, vote.source, vote.target), vote.signature)


def contradict(first: Vote, second: Vote) -> bool:
    """Tell whether nobody who keeps to the rules gives both votes: two of one epoch, or one around the other."""
    if first.voter != second.voter or (first.source, first.target) == (second.source, second.target):
        return False
    if first.target.epoch == second.target.epoch:
        return True
    inner, outer = sorted((first, second), key=lambda vote: vote.target.epoch)
    return outer.source.epoch < inner.source.epoch
