"""The one place that names all pallets: the runtime of a chain from its constants."""

from dataclasses import dataclass, replace

from pallets.finality.pallet import finality_pallet
from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.frozen import learn_frozen
from pallets.matrix_factorization.pallet import matrix_factorization_pallet
from pallets.matrix_factorization.phi import Phi
from pallets.matrix_factorization.storage import Model
from pallets.matrix_factorization.view import ModelView
from pallets.producers.config import NO_RING
from pallets.producers.config import Config as ProducersConfig
from pallets.producers.pallet import producers_pallet
from pallets.system.pallet import System, system_pallet
from pallets.timestamp.pallet import timestamp_pallet
from runtime.apis import api_versions
from runtime.executive import Runtime
from runtime.interface.weights import BlockLimits
from runtime.version import RuntimeVersion

SPEC_VERSION = 100
TRANSACTION_VERSION = 1

# The APIs are those of the pallets, which are not known yet.
VERSION = RuntimeVersion(
    spec_name="mfchain",
    impl_name="mfchain-python",
    authoring_version=1,
    spec_version=SPEC_VERSION,
    impl_version=1,
    transaction_version=TRANSACTION_VERSION,
    apis=(),
)


@dataclass(frozen=True, slots=True)
class ChainConstants:
    """What a chain decides in its specification and never changes: times in milliseconds."""

    genesis_time: int
    minimum_period: int
    items: tuple[str, ...]
    limits: BlockLimits
    matrix_factorization: Config
    producers: ProducersConfig = NO_RING


def construct_runtime(constants: ChainConstants) -> Runtime:
    """Wire the pallets of a chain."""
    config = constants.matrix_factorization
    nothing = learn_frozen([], config)
    pallets = (
        timestamp_pallet(constants.genesis_time, constants.minimum_period),
        producers_pallet(constants.producers, constants.genesis_time),
        finality_pallet(constants.producers, constants.genesis_time),
        matrix_factorization_pallet(config, constants.items),
    )
    version = replace(VERSION, apis=api_versions(pallets))
    return Runtime(
        version,
        constants.limits,
        System(),
        (system_pallet(version), *pallets),
        empty_view=ModelView(config, Model(digest=nothing.digest), Phi.derived(nothing, 0, [], 0)),
    )
