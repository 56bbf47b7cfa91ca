"""A map by account that is cheap to copy: readers keep the version they found while a block changes the next one."""

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from runtime.primitives import AccountId

V = TypeVar("V")

_SHARDS = 256


class AccountMap(Generic[V]):
    """An immutable map from account to value; a changed version shares all but the touched shards with the old one."""

    __slots__ = ("_shards", "size")

    def __init__(self, shards: tuple[dict[AccountId, V], ...] = ({},) * _SHARDS) -> None:
        """Take shards by the first byte of their accounts."""
        self._shards = shards
        self.size = sum(len(shard) for shard in shards)

    def __len__(self) -> int:
        """Return the number of accounts."""
        return self.size

    def get(self, account: AccountId) -> V | None:
        """Return an account's value, if it has one."""
        return self._shards[account[0]].get(account)

    def items(self) -> Iterator[tuple[AccountId, V]]:
        """Walk the accounts in ascending order."""
        for shard in self._shards:
            for account in sorted(shard):
                yield account, shard[account]

    def updated(self, changes: Mapping[AccountId, V | None]) -> "AccountMap[V]":
        """Return a version with these values set; None removes an account."""
        shards = list(self._shards)
        for index in sorted({account[0] for account in changes}):
            shards[index] = dict(shards[index])
        for account, value in changes.items():
            if value is None:
                shards[account[0]].pop(account, None)
            else:
                shards[account[0]][account] = value
        return AccountMap(tuple(shards))
