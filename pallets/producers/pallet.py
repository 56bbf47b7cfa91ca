"""The pallet as the runtime, the metadata and the clients see it."""

from pallets.producers.calls import build_calls
from pallets.producers.config import INDEX, PALLET, RULE_LIMITS, Config
from pallets.producers.errors import ERRORS
from pallets.producers.events import EVENTS
from pallets.producers.hooks import ProducersHooks
from pallets.producers.storage import STORAGE
from runtime.interface.pallet import Constant, Pallet
from runtime.scale import U64

_DOCS = {
    "epoch_slots": "Slots of an epoch.",
    "missed_turns": "Turns missed one after the other that cost a member its place.",
    "leak_checkpoints": "Checkpoints without a sign of a voter after which it is none any more.",
    "lapse_checkpoints": "Checkpoints without a sign of a voter after which its votes do not count.",
    "probation_epochs": "Epochs from joining to becoming a voter.",
    "bar_epochs": "Epochs for which who has contradicted itself is barred.",
    "return_epochs": "Epochs between two returns without work.",
    "join_work": "Hashes that joining takes on average.",
    "join_age": "Blocks after which work for joining is stale.",
    "join_share": "Members for each that may join in an epoch, beside one.",
    "join_queue": "Accounts that may wait to join.",
}


def producers_pallet(config: Config, genesis_time: int) -> Pallet:
    """Build the pallet; the time of block 0 in milliseconds."""
    rules = tuple(
        Constant(name.title().replace("_", ""), U64, getattr(config.rules, name), _DOCS[name]) for name in RULE_LIMITS
    )
    return Pallet(
        PALLET,
        INDEX,
        "The ring of those who make blocks in turn, and how one comes in and goes.",
        storage=STORAGE,
        calls=build_calls(config),
        events=EVENTS,
        errors=ERRORS,
        constants=(Constant("SlotDuration", U64, config.slot_duration, "The length of a slot, in ms."), *rules),
        hooks=ProducersHooks(config, genesis_time),
    )
