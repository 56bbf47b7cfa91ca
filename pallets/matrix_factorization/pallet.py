"""The pallet as the runtime, the metadata and the clients see it."""

from pallets.matrix_factorization.apis import MATRIX_FACTORIZATION_API
from pallets.matrix_factorization.calls import build_calls
from pallets.matrix_factorization.config import INDEX, PALLET, PREDICTION_FRACTION_BITS, Config
from pallets.matrix_factorization.errors import ERRORS
from pallets.matrix_factorization.events import EVENTS
from pallets.matrix_factorization.fixed_point import FRACTION_BITS
from pallets.matrix_factorization.genesis import PARAMETERS
from pallets.matrix_factorization.hooks import MatrixFactorizationHooks
from pallets.matrix_factorization.storage import STORAGE
from runtime.interface.pallet import Constant, Pallet
from runtime.scale import I64, U32


def matrix_factorization_pallet(config: Config, items: tuple[str, ...]) -> Pallet:
    """Build the pallet; `items` are the titles that exist from the start."""
    scale = config.scale
    return Pallet(
        PALLET,
        INDEX,
        "A recommender system: Bayesian matrix factorization that does not depend on the order of the ratings.",
        storage=(*STORAGE, PARAMETERS),
        calls=build_calls(config),
        events=EVENTS,
        errors=ERRORS,
        constants=(
            Constant("RatingMin", I64, scale.minimum, "The lowest rating."),
            Constant("RatingMax", I64, scale.maximum, "The highest rating."),
            Constant("RatingStep", I64, scale.step, "The distance between two ratings."),
            Constant("FractionalBits", U32, PREDICTION_FRACTION_BITS, "Fraction bits of PredictionObtained."),
            Constant("PosteriorFractionalBits", U32, FRACTION_BITS, "Fraction bits of posteriors in the state."),
            Constant("Dimension", U32, config.model.dimension, "Features of a user or item, without the bias."),
            Constant("MaxRatingsPerUser", U32, config.max_ratings_per_user, "Ratings of one account."),
            Constant("MaxItemsPerBlock", U32, config.max_items_per_block, "Items registered in one block."),
        ),
        apis=(MATRIX_FACTORIZATION_API,),
        hooks=MatrixFactorizationHooks(config, items),
    )
