"""The constants of a chain's model as they stand in its genesis state, so that the genesis hash commits to them."""

from dataclasses import dataclass, fields

from pallets.matrix_factorization.config import PALLET, Config
from pallets.matrix_factorization.parameters import ModelParameters
from runtime.interface.storage import StorageValue
from runtime.scale import I32, U32, Codec, Field, Struct


@dataclass(frozen=True, slots=True)
class Parameters:
    """Scale, limits and the constants of the mathematics, which are decimals in millionths where they end in ppm."""

    rating_min: int
    rating_max: int
    rating_step: int
    max_ratings_per_user: int
    max_items: int
    max_items_per_block: int
    inline_rebuild_limit: int
    quiet_blocks: int
    ratings_per_delay_block: int
    item_commits_per_block: int
    entity_work: int
    model: ModelParameters


MODEL_PARAMETERS: Codec[ModelParameters] = Struct(
    ModelParameters,
    tuple(Field(field.name, U32, "u32") for field in fields(ModelParameters)),
    path=("pallet_matrix_factorization", "ModelParameters"),
)
_LIMITS = [field.name for field in fields(Parameters)][3:-1]
PARAMETERS: StorageValue[Parameters] = StorageValue(
    PALLET,
    "Parameters",
    Struct(
        Parameters,
        (
            *(Field(name, I32, "i32") for name in ("rating_min", "rating_max", "rating_step")),
            *(Field(name, U32, "u32") for name in _LIMITS),
            Field("model", MODEL_PARAMETERS, "ModelParameters"),
        ),
        path=("pallet_matrix_factorization", "Parameters"),
    ),
    "The constants of the pallet on this chain.",
)


def parameters_of(config: Config) -> Parameters:
    """Return what a configuration looks like in the state."""
    limits = {name: getattr(config, name) for name in _LIMITS}
    scale = config.scale
    return Parameters(
        rating_min=scale.minimum,
        rating_max=scale.maximum,
        rating_step=scale.step,
        model=config.model,
        **limits,
    )
