"""dev_*: short cuts for development, open to the node's operator only."""

from collections.abc import Awaitable
from typing import Final

from rpc.dispatch import Call, Method
from rpc.parameters import ITEM, RATING, TEXT, Param
from runtime.primitives import Hash


def rate(call: Call, suri: str, item: int, rating: int) -> Awaitable[Hash]:
    """Sign a rating with the key of a secret URI and submit it; the transaction's hash."""
    return call.service.dev_rate(suri, item, rating)


METHODS: Final = (
    Method(
        "dev_rate",
        rate,
        (Param("suri", TEXT), Param("item", ITEM), Param("rating", RATING)),
        unsafe=True,
        overlaps=True,
    ),
)
