import struct
from dataclasses import fields, replace

import pytest

from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.genesis import PARAMETERS, parameters_of
from pallets.matrix_factorization.parameters import ModelParameters
from pallets.matrix_factorization.storage import ITEM_COUNT, ITEMS, MODEL, Item, Model
from runtime.primitives import ZERO_HASH
from tests.support.small_chain import LIKES, STARS, SmallChain

CONFIG = Config(STARS, ModelParameters(dimension=3), 11, 12, 13, 14, 15, 16, 17, 18)


def test_the_constants_stand_in_the_state_in_the_order_of_their_declaration() -> None:
    chain = SmallChain(config=CONFIG, items=())
    constants = [getattr(CONFIG.model, field.name) for field in fields(ModelParameters)]
    expected = struct.pack("<3i8I", 1, 5, 1, 11, 12, 13, 14, 15, 16, 17, 18)
    expected += struct.pack(f"<{len(constants)}I", *constants)
    assert chain.state.entries[PARAMETERS.key] == expected
    assert PARAMETERS.find(chain.state) == parameters_of(CONFIG)


def _variants() -> list[Config]:
    variants = [replace(CONFIG, scale=LIKES)]
    for field in fields(Config):
        if field.name not in ("scale", "model"):
            variants.append(replace(CONFIG, **{field.name: getattr(CONFIG, field.name) + 1}))
    for field in fields(ModelParameters):
        changed = replace(CONFIG.model, **{field.name: getattr(CONFIG.model, field.name) + 1})
        variants.append(replace(CONFIG, model=changed))
    return variants


def test_every_constant_reaches_the_state_root_of_block_0() -> None:
    encoded = {PARAMETERS.codec.encode(parameters_of(config)) for config in (CONFIG, *_variants())}
    assert len(encoded) == 1 + len(_variants())


def test_the_first_items_are_registered_by_nobody() -> None:
    chain = SmallChain(items=("first", "zweites ✓"))
    assert ITEM_COUNT.get(chain.state) == 2
    assert dict(ITEMS.items(chain.state)) == {0: Item("first", ZERO_HASH), 1: Item("zweites ✓", ZERO_HASH)}
    assert ITEM_COUNT.find(SmallChain(items=()).state) == 0


def test_a_chain_begins_with_the_model_of_no_ratings() -> None:
    chain = SmallChain()
    model = MODEL.get(chain.state)
    assert model == Model(digest=chain.view.frozen.digest)
    assert (model.is_pending, model.is_canonical) == (False, True)
    assert chain.view.read().digest() == model.digest


@pytest.mark.parametrize("items", [(), ("a",), tuple("abc")])
def test_the_digest_of_no_ratings_does_not_depend_on_items(items: tuple[str, ...]) -> None:
    assert SmallChain(items=items).view.record.digest == SmallChain().view.record.digest
