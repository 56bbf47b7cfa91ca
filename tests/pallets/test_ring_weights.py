"""What the calls of a ring are charged: by what they have to read, search and count."""

from dataclasses import replace

import pytest

from pallets.construct import construct_runtime
from pallets.finality.calls import contradiction_call, votes_call
from pallets.finality.storage import LATEST, OPEN
from pallets.finality.votes import CheckpointId
from pallets.producers.calls import equivocation_call
from pallets.system.storage import BLOCK_HASH
from runtime.header import DigestItem, DigestKind, Header
from runtime.interface.errors import InvalidReason, InvalidTransaction
from runtime.interface.weights import MICROSECOND
from tests.support.events import all_events
from tests.support.small_chain import LIMITS
from tests.support.voting_chain import VotingChain, bare, signed_vote

BASE = 70
WAITING = 0.4


def charged(chain: VotingChain) -> list[float]:
    """Return the weights of the head's extrinsics behind the time, in microseconds."""
    found = [fields["info"] for _, _, name, fields in all_events(chain) if name == "ExtrinsicSuccess"]
    return [info.weight.ref_time / MICROSECOND for info in found][1:]
