"""Who calls: a signed account, or nobody (an inherent)."""

from dataclasses import dataclass

from runtime.interface.errors import BAD_ORIGIN, DispatchFailed
from runtime.primitives import AccountId
from runtime.values import value


@value
class Signed:
    """A call whose extrinsic carries a valid signature of this account."""

    account: AccountId


@dataclass(frozen=True, slots=True)
class Bare:
    """A call without a signature: an inherent that the block's author put in."""


Origin = Signed | Bare


def ensure_signed(origin: Origin) -> AccountId:
    """Return the signer; raise `DispatchFailed(BAD_ORIGIN)` for anybody else."""
    if isinstance(origin, Signed):
        return origin.account
    raise DispatchFailed(BAD_ORIGIN)


def ensure_bare(origin: Origin) -> None:
    """Raise `DispatchFailed(BAD_ORIGIN)` unless the call is an inherent."""
    if not isinstance(origin, Bare):
        raise DispatchFailed(BAD_ORIGIN)
