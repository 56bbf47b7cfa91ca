"""What a chain specification says, in the terms of the runtime; `node.chain_spec` reads it from files."""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final

from node.json_reader import MILLION
from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.statistics import MAX_USER_RATINGS
from pallets.producers.config import RULE_LIMITS, Rules
from pallets.system.pallet import SS58_PREFIX
from runtime.interface.weights import MILLISECOND, BlockLimits
from runtime.keys import ss58_encode
from runtime.primitives import HASH_LENGTH, AccountId, BlockNumber, BlockRef, Hash, HexError, from_hex, to_hex

MAX_U32: Final = 2**32 - 1

MODEL_LIMITS: Final = {
    "max_ratings_per_user": (1, MAX_USER_RATINGS),
    "max_items": (1, MAX_U32),
    "inline_rebuild_limit": (0, MAX_U32),
    "quiet_blocks": (1, MAX_U32),
    "ratings_per_delay_block": (1, MAX_U32),
    "item_commits_per_block": (0, MAX_U32),
    "entity_work": (0, 1_024),
}
"""Fields of `Config` that stand beside the model's parameters in a file: the least and the greatest value."""


class Sealing(StrEnum):
    """How blocks come about."""

    INSTANT = "instant"
    INTERVAL = "interval"
    RING = "ring"


class ChainType(StrEnum):
    """What a chain is for, by the names that Substrate's clients know."""

    DEVELOPMENT = "Development"
    LOCAL = "Local"
    LIVE = "Live"


@dataclass(frozen=True, slots=True)
class Properties:
    """What wallets ask for. The chain has no token, but they want the name of one."""

    ss58_format: int = SS58_PREFIX
    token_decimals: int = 0
    token_symbol: str = "MF"  # noqa: S105 - the name of a unit, no secret

    def to_json(self) -> dict[str, object]:
        """Return the form of `system_properties`."""
        return {
            "ss58Format": self.ss58_format,
            "tokenDecimals": self.token_decimals,
            "tokenSymbol": self.token_symbol,
        }


@dataclass(frozen=True, slots=True)
class Upgrade:
    """From this height on the runtime is of this version."""

    spec_version: int
    height: BlockNumber


@dataclass(frozen=True, slots=True)
class ChainSpec:
    """One chain. Times in milliseconds; `rating_labels` are (rating, text for people) by ascending rating."""

    name: str
    id: str
    chain_type: ChainType
    genesis_time: int
    items: tuple[str, ...]
    ring: tuple[AccountId, ...]
    boot_nodes: tuple[str, ...]
    properties: Properties
    sealing: Sealing
    slot_duration: int
    rating_labels: tuple[tuple[str, str], ...]
    matrix_factorization: Config
    limits: BlockLimits
    rules: Rules
    upgrades: tuple[Upgrade, ...] = ()
    trusted: BlockRef | None = None
    """A block that whoever wrote this vouches for; a node may be told of a later one."""

    @property
    def minimum_period(self) -> int:
        """Return the least time between two blocks: time goes forward, how fast is the author's business."""
        return 1

    def to_json(self) -> dict[str, object]:
        """Return the whole specification in the form of a file, in plain JSON types."""
        config = self.matrix_factorization
        scale = config.scale
        return {
            "name": self.name,
            "id": self.id,
            "chainType": self.chain_type.value,
            "genesis": {
                "timestamp": self.genesis_time,
                "items": list(self.items),
                "ring": [ss58_encode(account, self.properties.ss58_format) for account in self.ring],
            },
            "bootNodes": list(self.boot_nodes),
            "properties": self.properties.to_json(),
            "sealing": self.sealing.value,
            "slotDurationMs": self.slot_duration,
            "rating": {
                "min": scale.minimum,
                "max": scale.maximum,
                "step": scale.step,
                "labels": dict(self.rating_labels),
            },
            "model": _model_json(config),
            "consensus": {file_name(name): getattr(self.rules, name) for name in RULE_LIMITS},
            "limits": {
                "maxBlockWeightMs": self.limits.weight // MILLISECOND,
                "maxBlockLengthBytes": self.limits.length,
                "maxExtrinsicLengthBytes": self.limits.extrinsic_length,
                "maxNewAccountsPerBlock": self.limits.new_accounts,
                "maxItemsPerBlock": config.max_items_per_block,
            },
            "upgrades": [{"specVersion": upgrade.spec_version, "height": upgrade.height} for upgrade in self.upgrades],
            **({} if self.trusted is None else {"trusted": f"{self.trusted.number}:{to_hex(self.trusted.hash)}"}),
        }


def read_block_name(text: str) -> BlockRef:
    """Read a block by number and hash, as in 1200:0x...; raises HexError."""
    number, _, name = text.partition(":")
    if not number.isascii() or not number.isdigit() or not 1 <= int(number[:11]) <= MAX_U32:
        raise HexError("the number of a block above 0 comes first")
    return BlockRef(BlockNumber(int(number)), Hash(from_hex(name, HASH_LENGTH)))


def _model_json(config: Config) -> dict[str, object]:
    """The constants of the model; the shortest text of a float is the very decimal that it stands for."""
    model: dict[str, object] = {}
    for field in fields(ModelParameters):
        value = getattr(config.model, field.name)
        if field.name.endswith("_ppm") and value % MILLION:
            model[file_name(field.name)] = value / MILLION
        else:
            model[file_name(field.name)] = value // MILLION if field.name.endswith("_ppm") else value
    return model | {file_name(name): getattr(config, name) for name in MODEL_LIMITS}


def file_name(name: str) -> str:
    """The name of a constant of the model in a file: in camel case, decimals without their unit."""
    first, *others = name.removesuffix("_ppm").split("_")
    return first + "".join(word.capitalize() for word in others)
