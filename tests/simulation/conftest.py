"""What makes simulations cheaper, and changes nothing that happens in them."""

from collections.abc import Iterator
from functools import lru_cache

import pytest

from runtime import crypto


@pytest.fixture(autouse=True)
def _signatures_are_checked_once() -> Iterator[None]:
    """Checks each good signature once, though each node of a world checks it: the answer depends on nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crypto, "crypto_sign_open", lru_cache(maxsize=4_096)(crypto.crypto_sign_open))
        yield
