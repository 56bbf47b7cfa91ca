"""Why a call of the pallet fails."""

from pallets.matrix_factorization.config import INDEX, PALLET
from runtime.interface.errors import PalletError

ITEM_DOES_NOT_EXIST = PalletError(PALLET, INDEX, 0, "ItemDoesNotExist", "There is no item of this id.")
RATING_OUT_OF_RANGE = PalletError(
    PALLET,
    INDEX,
    1,
    "RatingOutOfRange",
    "The rating is not one of this chain's scale (RatingMin, RatingMax, RatingStep).",
)
NOT_RATED = PalletError(PALLET, INDEX, 2, "NotRated", "The account has not rated this item.")
TOO_MANY_RATINGS = PalletError(PALLET, INDEX, 3, "TooManyRatings", "The account has as many ratings as one may have.")
TITLE_TOO_LONG = PalletError(PALLET, INDEX, 4, "TitleTooLong", "A title has 128 bytes at most.")
TOO_MANY_ITEMS = PalletError(PALLET, INDEX, 5, "TooManyItems", "The chain has as many items as it may have.")
EMPTY_BATCH = PalletError(PALLET, INDEX, 6, "EmptyBatch", "A batch has at least one rating.")
ERRORS = (
    ITEM_DOES_NOT_EXIST,
    RATING_OUT_OF_RANGE,
    NOT_RATED,
    TOO_MANY_RATINGS,
    TITLE_TOO_LONG,
    TOO_MANY_ITEMS,
    EMPTY_BATCH,
)
