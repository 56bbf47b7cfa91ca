"""The digest of a model: its bytes written out once more, and one vector that never changes."""

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.fixed_point import RatingScale
from pallets.matrix_factorization.frozen import Frozen, learn_frozen
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.ratings import ENTRY, Entries
from runtime.primitives import AccountId, from_hex, to_hex

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "model_digest.json").read_text())["vectors"]


def entries(ratings: list[list[int]]) -> Entries:
    return np.array([tuple(rating) for rating in ratings], ENTRY)


def learned(vector: dict[str, Any]) -> Frozen:
    scale = RatingScale(*(vector["scale"][name] for name in ("min", "max", "step")))
    config = Config(scale, model=ModelParameters(**vector["parameters"]))
    lists = [(AccountId(from_hex(user["account"])), entries(user["ratings"])) for user in vector["users"]]
    return learn_frozen(sorted(lists, key=lambda entry: entry[0]), config)


def by_hand(frozen: Frozen, counts: dict[AccountId, int]) -> bytes:
    """The digest's input as its documentation says, one integer after the other."""
    parts = []
    model = frozen.canonical
    for account in sorted(counts):
        row = frozen.user_row(account)
        assert row is not None
        parts.append(account + struct.pack(f"<I{row.size}i", counts[account], *row.tolist()))
    for item, totals in zip(model.item_ids.tolist(), model.totals.tolist(), strict=True):
        parts.append(struct.pack(f"<I{len(totals)}q", item, *totals))
    learned = model.prior.hyperparameters
    parts.append(struct.pack(f"<{learned.user_mean.size}i", *learned.user_mean.tolist()))
    parts.append(struct.pack(f"<{learned.user_covariance.size}i", *learned.user_covariance.tolist()))
    parts.append(struct.pack("<i", learned.item_bias))
    parts.append(struct.pack(f"<{learned.item_covariance.size}i", *learned.item_covariance.tolist()))
    parts.append(struct.pack("<q", learned.precision_rate))
    return b"".join(parts)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_set_of_ratings_has_the_digest_that_it_always_had(vector: dict[str, Any]) -> None:
    frozen = learned(vector)
    assert to_hex(frozen.digest) == vector["digest"]
    counts = {AccountId(from_hex(user["account"])): len(user["ratings"]) for user in vector["users"]}
    data = by_hand(frozen, counts)
    assert len(data) == vector["length"]
    assert hashlib.sha256(data).digest() == frozen.digest


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_the_order_of_a_list_does_not_reach_the_digest(vector: dict[str, Any]) -> None:
    turned = {**vector, "users": [{**user, "ratings": user["ratings"][::-1]} for user in vector["users"]]}
    assert to_hex(learned(turned).digest) == vector["digest"]


def test_every_rating_reaches_the_digest() -> None:
    vector = next(vector for vector in VECTORS if vector["users"])
    digests = {vector["digest"]}
    for user in range(len(vector["users"])):
        for position in range(len(vector["users"][user]["ratings"])):
            changed = json.loads(json.dumps(vector))
            rating = changed["users"][user]["ratings"][position]
            rating[1] = vector["scale"]["max"] if rating[1] != vector["scale"]["max"] else vector["scale"]["min"]
            digests.add(to_hex(learned(changed).digest))
    assert len(digests) == 1 + sum(len(user["ratings"]) for user in vector["users"])
