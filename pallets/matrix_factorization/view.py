"""The model's working memory: everything that is derived from the state of one block.

The model at a block is Phi(F_A, F_now), a function of two sets: the ratings at the active freeze, and the ratings now.
`ModelView` belongs to the head; `ModelBranch` follows one block on top of it, copy-on-write; `ReadModel` is what
readers in other threads keep. Source: docs/inference.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.fixed_point import I32
from pallets.matrix_factorization.frozen import Frozen, Lists, learn_frozen, rating_set
from pallets.matrix_factorization.items import ItemTable
from pallets.matrix_factorization.pending import PendingEpoch
from pallets.matrix_factorization.phi import Phi, Records, UserEntry, Users
from pallets.matrix_factorization.posterior import UserPosteriors
from pallets.matrix_factorization.predict import predict as predict_ratings
from pallets.matrix_factorization.ratings import NO_RATINGS, Entries, RatingList
from pallets.matrix_factorization.statistics import differing_items
from pallets.matrix_factorization.storage import ITEM_COUNT, MODEL, RATINGS, Model
from runtime.interface.state import StateReader
from runtime.overlay import Overlay
from runtime.primitives import AccountId, Hash


@dataclass(frozen=True, slots=True)
class ReadModel:
    """The model at one block, for readers in any thread; nothing in it ever changes."""

    config: Config
    record: Model
    phi: Phi

    @property
    def frozen(self) -> Frozen:
        """Return what was learned from the active freeze."""
        return self.phi.frozen

    @property
    def users(self) -> Users:
        """Return the accounts that have ratings."""
        return self.phi.users

    @property
    def items(self) -> ItemTable:
        """Return all items."""
        return self.phi.items

    def posteriors(self, accounts: Sequence[AccountId]) -> UserPosteriors:
        """Return the posteriors by which accounts' ratings are predicted; see `Phi.posteriors`."""
        return self.phi.posteriors(accounts)

    def digest(self) -> Hash:
        """Return the digest of the model. Takes time in proportion to users and items."""
        return self.phi.digest()


@dataclass(frozen=True, slots=True)
class ModelView(ReadModel):
    """The same, ready for a block on top of it. It never changes, so any thread may branch it."""

    pending: PendingEpoch | None = None

    @property
    def is_prepared(self) -> bool:
        """Tell whether the next activation has nothing to do but follow the blocks after this one."""
        return self.pending is None or self.pending.has_followed(self.phi.users)

    def prepare(self) -> None:
        """Do what the next activation would otherwise do: learn, then follow up to this block. For the background."""
        if self.pending is not None:
            self.pending.follow(self.phi.users, self.phi.items.size)

    def branch(self) -> "ModelBranch":
        """Follow a block on top of this one."""
        return ModelBranch(self)

    def read(self) -> ReadModel:
        """Return what readers may keep."""
        return ReadModel(self.config, self.record, self.phi)


class DigestMismatch(Exception):
    """What was learned from the state's ratings is not what the chain learned from them."""


def derive_view(
    state: StateReader,
    config: Config,
    known: Mapping[Hash, Frozen] | None = None,
    pending: PendingEpoch | None = None,
) -> ModelView:
    """Rebuild the working memory from a state alone.

    What is `known` already is not learned again: frozen models by digest, and the `pending` epoch that belongs to the
    block in which the state's last freeze was.

    Raises:
        DigestMismatch: the model learned from the frozen set does not have the digest that the state records.
    """
    record = MODEL.get(state)
    records = sorted(RATINGS.items(state), key=lambda entry: entry[0])
    frozen = (known or {}).get(record.digest)
    if frozen is None:
        frozen = learn_frozen(lists_at_freeze(records, record.active), config)
        if frozen.digest != record.digest:
            raise DigestMismatch(f"learned {frozen.digest.hex()}, the chain has {record.digest.hex()}")
    phi = Phi.derived(frozen, record.active, records, ITEM_COUNT.get(state))
    if not record.is_pending:
        return ModelView(config, record, phi)
    if pending is None or pending.generation != record.generation:
        pending = PendingEpoch(record.generation, _users_at_freeze(phi.users, records, record.generation), config)
    return ModelView(config, record, phi, pending)


def lists_at_freeze(records: Records, generation: int) -> Lists:
    """The set of ratings at a freeze, without the accounts that had none."""
    lists = [(account, ratings.at_freeze(generation)) for account, ratings in records]
    return [(account, entries) for account, entries in lists if entries.size]


def _users_at_freeze(users: Users, records: Records, generation: int) -> Users:
    """The accounts with ratings at a freeze; those that have not changed since are the very entries of now."""
    changed: dict[AccountId, UserEntry | None] = {}
    for account, ratings in records:
        if ratings.has_changed_since(generation):
            entries = ratings.at_freeze(generation)
            changed[account] = UserEntry(RatingList(entries, ()), _NO_ROW) if entries.size else None
    return users.updated(changed)


_NO_ROW: I32 = np.zeros(0, np.int32)


class ModelBranch:
    """The model of a block under execution."""

    def __init__(self, view: ModelView) -> None:
        """Start where the parent block ended."""
        self._parent = view
        self._phi = view.phi
        self._touched: set[AccountId] = set()
        self._synced = 0
        # What `unsynced` has counted: up to where in the log, each list written since the last `sync`, all together.
        self._counted = 0
        self._lengths: dict[bytes, int] = {}
        self._unsynced = 0
        self.config = view.config
        self.pending = view.pending

    def branch(self) -> "ModelBranch":
        """A block has no blocks on top of it before it is the head."""
        raise AssertionError("a branch becomes a view before it is branched again")

    @property
    def items(self) -> ItemTable:
        """Return the items as of the last `sync`."""
        return self._phi.items

    def user(self, account: AccountId) -> UserEntry | None:
        """Return an account's entry as of the last `sync`."""
        return self._phi.users.get(account)

    def touched(self) -> list[AccountId]:
        """Return the accounts whose lists this block has changed, ascending."""
        return sorted(self._touched)

    def previous(self, account: AccountId) -> Entries:
        """Return an account's ratings before this block."""
        return _entries_of(self._parent.users.get(account))

    def unsynced(self, state: Overlay) -> int:
        """Return how many ratings the lists have that the next `sync` follows, those twice that may be solved anew.

        Each write is counted once, however often one asks: a pool may hold thousands of questions without room.
        """
        written, self._counted = state.written_since(self._counted, RATINGS.prefix, RATINGS.codec)
        for key, ratings in written:
            length = 0
            if ratings is not None:
                length = ratings.entries.size * (1 + ratings.may_differ_in_half(self._phi.generation))
            self._unsynced += length - self._lengths.get(key, 0)
            self._lengths[key] = length
        return self._unsynced

    def sync(self, state: Overlay) -> None:
        """Follow the changes of lists and of the registry since the last time."""
        self._phi = self._phi.sized(ITEM_COUNT.get(state))
        written, self._synced = state.written_since(self._synced, RATINGS.prefix, RATINGS.codec)
        self._counted, self._lengths, self._unsynced = self._synced, {}, 0
        changed = [(RATINGS.key_of(key), NO_RATINGS if ratings is None else ratings) for key, ratings in written]
        self._phi = self._phi.followed(sorted(changed, key=lambda entry: entry[0]))
        self._touched.update(account for account, _ in changed)

    def predict(self, account: AccountId, item: int) -> int:
        """Return the rating that is expected as of the last `sync`, on [-1, 1] in Q20 and not clipped."""
        predicted = predict_ratings(self._phi.posteriors([account]), self.items.posteriors(np.array([item])))
        return int(predicted.mean[0])

    def freeze(self, generation: int) -> None:
        """Keep the ratings of now for the next model."""
        self.pending = PendingEpoch(generation, self._phi.users, self.config)

    def activate(self) -> Hash:
        """Put the model of the pending freeze in force; return its digest."""
        assert self.pending is not None, "nothing is frozen"
        self._phi = self.pending.follow(self._phi.users, self._phi.items.size)
        self.pending = None
        return self._phi.frozen.digest

    def finish(self, record: Model) -> ModelView:
        """Return the view of the head that this block becomes."""
        return ModelView(self.config, record, self._phi, self.pending)

    def changed_items(self) -> list[int]:
        """Return the items whose ratings this block has changed, ascending."""
        accounts, scale = self.touched(), self.config.scale
        before = rating_set([self.previous(account) for account in accounts], scale)
        now = rating_set([_entries_of(self.user(account)) for account in accounts], scale)
        items: list[int] = differing_items(before, now).tolist()
        return items


def _entries_of(entry: UserEntry | None) -> Entries:
    return NO_RATINGS.entries if entry is None else entry.ratings.entries
