"""ring_*: who makes blocks in turn, and what is final."""

from typing import Final

from rpc.dispatch import Call, Method
from rpc.service import JsonObject


def status(call: Call) -> JsonObject:
    """Ring, voters, whose turn is next, missed turns, and the justified and final checkpoints at the best block."""
    return call.service.ring_status()


METHODS: Final = (Method("ring_status", status),)
