"""This project's model: ratings go through the runtime in blocks, predictions come from the model at the head."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from benchmarks.common.local_chain import Calls, LocalChain, account_of, rate
from benchmarks.recommenders.data import I64
from benchmarks.recommenders.scores import F64
from node.chain_spec import ChainSpec, load_spec
from node.spec_types import Sealing
from pallets.matrix_factorization.fixed_point import from_fixed
from pallets.matrix_factorization.posterior import UserPosteriors
from pallets.matrix_factorization.predict import predict
from pallets.matrix_factorization.view import ReadModel
from runtime.interface.weights import BlockLimits

_BATCH = 256
BLOCK = 1_000

# Far more than a block may have otherwise: how ratings get into blocks is not what is measured.
_ROOMY = BlockLimits(weight=10**15, length=1 << 28, extrinsic_length=1 << 20, new_accounts=1 << 20)


def spec(items: int) -> ChainSpec:
    """Return the chain `movielens` with items from the start, no ring, and room in its blocks."""
    shipped = load_spec("movielens")
    titles = tuple(f"item {number}" for number in range(items))
    return replace(shipped, sealing=Sealing.INSTANT, ring=(), items=titles, limits=_ROOMY)


def calls_of(ratings: I64) -> Calls:
    """Each user's run of ratings as few calls, in the order of the users' first ratings."""
    by_user: dict[int, list[tuple[int, int]]] = {}
    for user, item, stars in ratings[:, :3].tolist():
        by_user.setdefault(user, []).append((item, stars))
    return [
        (account_of(user), rate(mine[start : start + _BATCH]))
        for user, mine in by_user.items()
        for start in range(0, len(mine), _BATCH)
    ]


def blocks_of(ratings: I64, size: int = BLOCK) -> Iterator[I64]:
    """Cut ratings into blocks, in their order."""
    for start in range(0, len(ratings), size):
        yield ratings[start : start + size]


def learned(ratings: I64, items: int) -> LocalChain:
    """Return a chain at rest on these ratings, put in with few large blocks: at rest no order is left."""
    chain = LocalChain(spec(items))
    for part in np.array_split(ratings, max(1, len(ratings) // 30_000)):
        chain.block(calls_of(part))
    chain.rest()
    return chain


def predicted(model: ReadModel, pairs: I64) -> tuple[F64, F64]:
    """Means, not clipped, and standard deviations in stars of what users would give items. Shapes (n, 2+) -> (n,)."""
    accounts = [account_of(user) for user in pairs[:, 0].tolist()]
    unique = sorted(set(accounts))
    place = {account: line for line, account in enumerate(unique)}
    users = model.posteriors(unique)
    lines = np.array([place[account] for account in accounts], np.int64)
    paired = UserPosteriors(users.mean[lines], users.covariance[lines], users.precision[lines])
    found = predict(paired, model.items.posteriors(pairs[:, 1]))
    return 3.0 + 2.0 * from_fixed(found.mean), 2.0 * np.sqrt(from_fixed(found.variance))
