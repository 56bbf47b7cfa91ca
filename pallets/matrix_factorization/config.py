"""Constants of the pallet on one chain, beside those of the model's mathematics."""

from dataclasses import dataclass, field

from pallets.matrix_factorization.fixed_point import RatingScale
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.statistics import MAX_USER_RATINGS

PALLET = "MatrixFactorization"
INDEX = 8

STANDARD_SOLVING = ModelParameters().solving
STANDARD_EFFORT = ModelParameters().effort

MAX_BATCH = 256
MAX_TITLE_BYTES = 128
PREDICTION_FRACTION_BITS = 24


@dataclass(frozen=True, slots=True)
class Config:
    """What a chain decides once, in its genesis.

    Learning from a set takes so much `work`: a rating counts 1, a user or item that has ratings `entity_work`. Up to
    `inline_rebuild_limit` the model is learned anew at the end of every block that changes a rating. Above, in epochs:
    `ratings_per_delay_block` of work more delay an epoch's activation by a block, and after `quiet_blocks` blocks
    without a change an epoch begins whatever has changed.
    """

    scale: RatingScale
    model: ModelParameters = field(default_factory=ModelParameters)
    max_ratings_per_user: int = MAX_USER_RATINGS
    max_items: int = 1 << 20
    max_items_per_block: int = 256
    inline_rebuild_limit: int = 1_000
    quiet_blocks: int = 10
    ratings_per_delay_block: int = 16_384
    item_commits_per_block: int = 64
    entity_work: int = 8

    def work(self, ratings: int, users: int, items: int) -> int:
        """Return what learning from a set costs, in ratings of a model of the standard size.

        `users` and `items` are those with ratings: each is solved in every sweep, and small sets are little else.
        """
        return (
            (ratings + self.entity_work * (users + items)) * max(self.model.effort, STANDARD_EFFORT) // STANDARD_EFFORT
        )

    def scaled(self, weight: int) -> int:
        """Return the weight of what is done once for a user or item, measured with the standard number of features."""
        return weight * max(self.model.solving, STANDARD_SOLVING) // STANDARD_SOLVING

    def activation_delay(self, work: int) -> int:
        """L: blocks from freezing a set to activating what was learned from it."""
        return 1 + work // self.ratings_per_delay_block

    def quiet_period(self, work: int) -> int:
        """Blocks without a change after which an epoch begins."""
        return max(self.quiet_blocks, self.activation_delay(work))
