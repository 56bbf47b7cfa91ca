"""Constants of the pallet on one chain, beside those of the model's mathematics."""

from dataclasses import dataclass, field

from pallets.matrix_factorization.fixed_point import RatingScale
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.statistics import MAX_USER_RATINGS

PALLET = "MatrixFactorization"
INDEX = 8

MAX_BATCH = 256
MAX_TITLE_BYTES = 128
PREDICTION_FRACTION_BITS = 24


@dataclass(frozen=True, slots=True)
class Config:
    """What a chain decides once, in its genesis.

    Up to `inline_rebuild_limit` ratings the model is learned anew at the end of every block that changes one. Above,
    in epochs: `ratings_per_delay_block` ratings more delay an epoch's activation by a block, and after `quiet_blocks`
    blocks without a change an epoch begins whatever has changed.
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

    def activation_delay(self, ratings: int) -> int:
        """L(N): blocks from freezing N ratings to activating what was learned from them."""
        return 1 + ratings // self.ratings_per_delay_block

    def quiet_period(self, ratings: int) -> int:
        """Blocks without a change after which an epoch begins."""
        return max(self.quiet_blocks, self.activation_delay(ratings))
