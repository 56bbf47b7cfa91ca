"""Why a call of the pallet fails. A join that is refused is in no block: see runtime.interface.errors."""

from pallets.producers.config import INDEX, PALLET
from runtime.interface.errors import PalletError

NOT_JOINED = PalletError(PALLET, INDEX, 0, "NotJoined", "The account is not in the ring and does not wait to join.")
ALREADY_LEAVING = PalletError(PALLET, INDEX, 1, "AlreadyLeaving", "The account has asked to leave already.")
NO_OFFENCE = PalletError(PALLET, INDEX, 2, "NoOffence", "The evidence does not show two sealed headers of one slot.")
UNKNOWN_OFFENDER = PalletError(PALLET, INDEX, 3, "UnknownOffender", "The offender takes no part, or is barred already.")
STALE_EVIDENCE = PalletError(
    PALLET, INDEX, 4, "StaleEvidence", "The offence lies further back than anybody is barred for."
)
ERRORS = (NOT_JOINED, ALREADY_LEAVING, NO_OFFENCE, UNKNOWN_OFFENDER, STALE_EVIDENCE)
