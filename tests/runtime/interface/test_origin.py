import pytest

from runtime.interface.errors import BAD_ORIGIN, DispatchFailed
from runtime.interface.origin import Bare, Signed, ensure_bare, ensure_signed
from runtime.primitives import AccountId

ACCOUNT = AccountId(bytes(range(32)))


def test_a_signed_origin_has_an_account_and_is_not_bare() -> None:
    assert ensure_signed(Signed(ACCOUNT)) == ACCOUNT
    with pytest.raises(DispatchFailed, match=r"^BadOrigin$") as caught:
        ensure_bare(Signed(ACCOUNT))
    assert caught.value.error is BAD_ORIGIN


def test_a_bare_origin_has_none() -> None:
    ensure_bare(Bare())
    with pytest.raises(DispatchFailed, match=r"^BadOrigin$") as caught:
        ensure_signed(Bare())
    assert caught.value.error is BAD_ORIGIN
