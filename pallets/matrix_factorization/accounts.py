"""A map by account that is cheap to copy: readers keep the version they found while a block changes the next one."""

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from runtime.primitives import AccountId

V = TypeVar("V")

# A change copies the shards it touches: few enough that their list is cheap, enough that a million accounts are too.
_SHARDS = 1 << 12


def _shard(account: AccountId) -> int:
    """Return where an account belongs: by its first twelve bits, so that shards ascend as accounts do."""
    return account[0] << 4 | account[1] >> 4


class AccountMap(Generic[V]):
    """An immutable map from account to value; a changed version shares all but the touched shards with the old one."""

    __slots__ = ("_shards", "size")

    def __init__(self, shards: tuple[dict[AccountId, V], ...] = ({},) * _SHARDS, size: int = 0) -> None:
        """Take shards by the first bits of their accounts, and how many entries they have together."""
        self._shards = shards
        self.size = size

    def __len__(self) -> int:
        """Return the number of accounts."""
        return self.size

    def get(self, account: AccountId) -> V | None:
        """Return an account's value, if it has one."""
        return self._shards[_shard(account)].get(account)

    def items(self) -> Iterator[tuple[AccountId, V]]:
        """Walk the accounts in ascending order."""
        for shard in self._shards:
            for account in sorted(shard):
                yield account, shard[account]

    def updated(self, changes: Mapping[AccountId, V | None]) -> "AccountMap[V]":
        """Return a version with these values set; None removes an account."""
        if not changes:
            return self
        shards = list(self._shards)
        for index in sorted({_shard(account) for account in changes}):
            shards[index] = dict(shards[index])
        size = self.size
        for account, value in changes.items():
            shard = shards[_shard(account)]
            size -= account in shard
            if value is None:
                shard.pop(account, None)
            else:
                shard[account] = value
                size += 1
        return AccountMap(tuple(shards), size)

    def differing(self, other: "AccountMap[V]") -> list[AccountId]:
        """Return the accounts, ascending, that do not have the very same object here and there.

        Costs by what differs, if one map is a changed version of the other.
        """
        found = []
        for ours, theirs in zip(self._shards, other._shards, strict=True):
            if ours is not theirs:
                accounts = sorted(ours.keys() | theirs.keys())
                found += [account for account in accounts if ours.get(account) is not theirs.get(account)]
        return found
