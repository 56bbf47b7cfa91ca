"""What `ring_status` says: who makes blocks, who votes, and how far history is final."""

from collections.abc import Iterable, Mapping

from node.chain import Chain
from node.spec_types import Sealing
from pallets.finality.storage import FINALIZED, JUSTIFIED
from pallets.finality.voters import current_voters
from pallets.finality.votes import Checkpoint
from pallets.producers.membership import current_epoch
from pallets.producers.storage import BLOCK_SLOT, MISSED, QUEUE, RING
from pallets.producers.turns import turn_of
from runtime.keys import ss58_encode
from runtime.primitives import AccountId, BlockNumber, Slot, to_hex


def ring_status(chain: Chain) -> Mapping[str, object]:
    """Describe the ring and the voters at the best block; on a chain without a ring nobody takes turns."""
    snapshot = chain.snapshot
    best = snapshot.best
    block = {"hash": to_hex(best.hash), "number": best.number}
    if chain.spec.sealing is not Sealing.RING:
        nobody: dict[str, list[str]] = {name: [] for name in ("ring", "voters", "nextVoters", "queue")}
        nothing = dict.fromkeys(("slot", "epoch", "turn", "justified", "finalized", "join"))
        return {**nobody, **nothing, "missed": {}, "block": block}
    state, rules = snapshot.state, chain.spec.rules
    ring, slot, voters = RING.get(state), BLOCK_SLOT.get(state), current_voters(state)
    root = Checkpoint(current_epoch(state, rules), BlockNumber(0), chain.genesis)
    return {
        "ring": _names(ring),
        "voters": _names(voters.voters),
        "nextVoters": _names(voters.following),
        "queue": _names(applicant.account for applicant in QUEUE.get(state)),
        "slot": slot,
        "epoch": current_epoch(state, rules),
        "turn": _name(turn_of(ring, Slot(slot + 1))),
        "missed": {_name(account): count for account, count in sorted(MISSED.items(state))},
        "justified": _checkpoint(JUSTIFIED.find(state) or root),
        "finalized": _checkpoint(FINALIZED.find(state) or root),
        "join": {"work": rules.join_work, "age": rules.join_age},
        "block": block,
    }


def _name(account: AccountId) -> str:
    return ss58_encode(account)


def _names(accounts: Iterable[AccountId]) -> list[str]:
    return [_name(account) for account in accounts]


def _checkpoint(checkpoint: Checkpoint) -> dict[str, object]:
    return {"epoch": checkpoint.epoch, "number": checkpoint.number, "hash": to_hex(checkpoint.hash)}
