"""What the blocks of a ring must have room for, against what its runtime refuses."""

from dataclasses import replace

import pytest

from node.chain_spec import constants, load_spec
from node.ring_limits import least_limits
from pallets.construct import construct_runtime
from pallets.finality.calls import votes_call
from pallets.finality.config import MAX_VOTES
from pallets.finality.votes import CheckpointId
from pallets.producers.calls import MAX_EVIDENCE, encoded_equivocation
from runtime.executive import Runtime
from runtime.extrinsic import Extrinsic
from runtime.interface.errors import InvalidReason, InvalidTransaction
from runtime.primitives import ZERO_HASH
from tests.support.voting_chain import signed_vote


def runtime_with(length: int) -> Runtime:
    taken = constants(load_spec("local"))
    return construct_runtime(replace(taken, limits=replace(taken.limits, extrinsic_length=length)))


def test_all_votes_and_the_longest_evidence_fit_and_no_byte_is_to_spare() -> None:
    nowhere = CheckpointId(0, ZERO_HASH)
    votes = votes_call([signed_vote("Alice", nowhere, nowhere, ZERO_HASH)] * MAX_VOTES)
    evidence = Extrinsic(None, encoded_equivocation(bytes(MAX_EVIDENCE), bytes(MAX_EVIDENCE))).encode()
    least = least_limits().length
    for raw in (Extrinsic(None, votes).encode(), evidence):
        assert runtime_with(least).prepare(raw).raw == raw
    with pytest.raises(InvalidTransaction) as caught:
        runtime_with(least - 1).prepare(evidence)
    assert caught.value.reason is InvalidReason.TOO_LONG


def test_the_votes_of_two_full_rings_weigh_this_much() -> None:
    # Microseconds: the extrinsic, its call, 128 votes; 0.3 for each of 2 * 65,536 voters; 500 checkpoints.
    microseconds = 70 + 50 + 90 * 128 + 0.3 * 2 * 65_536 + 500 * 20
    assert least_limits().milliseconds - 1 < microseconds / 1_000 <= least_limits().milliseconds
