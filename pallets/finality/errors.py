"""Why votes and reports are refused. A block with such a call is invalid."""

from pallets.finality.config import INDEX, PALLET
from runtime.interface.errors import PalletError

NO_VOTES = PalletError(PALLET, INDEX, 0, "NoVotes", "There is not a single vote.")
VOTES_OUT_OF_ORDER = PalletError(
    PALLET, INDEX, 1, "VotesOutOfOrder", "Votes ascend by the epoch of their target, then by voter."
)
UNKNOWN_TARGET = PalletError(
    PALLET, INDEX, 2, "UnknownTarget", "The target is no checkpoint of this chain above the finalized one."
)
WRONG_SOURCE = PalletError(
    PALLET, INDEX, 3, "WrongSource", "The source is not the highest justified checkpoint in the target's state."
)
NO_VOTER = PalletError(PALLET, INDEX, 4, "NoVoter", "The account is no voter in the target's state.")
LAPSED = PalletError(PALLET, INDEX, 5, "Lapsed", "The voter has been absent for too long.")
ALREADY_COUNTED = PalletError(PALLET, INDEX, 6, "AlreadyCounted", "A vote of the account for this target is counted.")
BAD_SIGNATURE = PalletError(PALLET, INDEX, 7, "BadSignature", "The voter has not signed the vote.")
NO_OFFENCE = PalletError(PALLET, INDEX, 8, "NoOffence", "The votes do not contradict each other.")
ERRORS = (
    NO_VOTES,
    VOTES_OUT_OF_ORDER,
    UNKNOWN_TARGET,
    WRONG_SOURCE,
    NO_VOTER,
    LAPSED,
    ALREADY_COUNTED,
    BAD_SIGNATURE,
    NO_OFFENCE,
)
