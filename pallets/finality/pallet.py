"""The pallet as the runtime, the metadata and the clients see it."""

from pallets.finality.calls import build_calls
from pallets.finality.config import INDEX, MAX_VOTES, PALLET
from pallets.finality.errors import ERRORS
from pallets.finality.events import EVENTS
from pallets.finality.hooks import FinalityHooks
from pallets.finality.storage import STORAGE
from pallets.producers.config import Config
from runtime.interface.pallet import Constant, Pallet
from runtime.scale import U32


def finality_pallet(config: Config, genesis_time: int) -> Pallet:
    """Build the pallet; the time of block 0 in milliseconds."""
    return Pallet(
        PALLET,
        INDEX,
        "Which part of history is there to stay, by the votes of those who make it.",
        storage=STORAGE,
        calls=build_calls(config),
        events=EVENTS,
        errors=ERRORS,
        constants=(Constant("MaxVotes", U32, MAX_VOTES, "Votes in one block."),),
        hooks=FinalityHooks(config, genesis_time),
    )
