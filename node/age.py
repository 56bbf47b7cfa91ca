"""How old what a node knows may be, so that nobody can show it another history."""

from node.chain import Chain
from node.chain_spec import ChainSpec
from node.ring import read_claim, slot_at
from node.spec_types import Sealing


def half_leak(spec: ChainSpec) -> int:
    """Return half the time after which the absent cease to be voters, in slots."""
    return spec.rules.leak_checkpoints * spec.rules.epoch_slots // 2


def is_stale(chain: Chain, milliseconds: int) -> bool:
    """Tell whether a node's last final block is so old that it should be told which history is the right one.

    A node that has nothing but block 0 can tell only when it hears of others, see `is_far_ahead`.
    """
    final = chain.snapshot.finalized
    header = chain.database.header(final.hash)
    if chain.spec.sealing is not Sealing.RING or not final.number or header is None:
        return False
    return slot_at(milliseconds, chain.spec.slot_duration) - read_claim(header).slot > half_leak(chain.spec)


def is_far_ahead(chain: Chain, height: int) -> bool:
    """Tell whether a chain of that height is so far ahead of ours that nothing we know vouches for it."""
    if chain.spec.sealing is not Sealing.RING or chain.trusted is not None:
        return False
    return height - chain.snapshot.finalized.number > half_leak(chain.spec)
