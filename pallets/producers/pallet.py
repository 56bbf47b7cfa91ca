"""The pallet as the runtime, the metadata and the clients see it."""

from pallets.producers.config import INDEX, PALLET, Config
from pallets.producers.hooks import ProducersHooks
from pallets.producers.storage import STORAGE
from runtime.interface.pallet import Constant, Pallet
from runtime.scale import U64


def producers_pallet(config: Config, genesis_time: int) -> Pallet:
    """Build the pallet; the time of block 0 in milliseconds."""
    return Pallet(
        PALLET,
        INDEX,
        "The ring of those who make blocks in turn.",
        storage=STORAGE,
        constants=(Constant("SlotDuration", U64, config.slot_duration, "The length of a slot, in ms."),),
        hooks=ProducersHooks(config, genesis_time),
    )
