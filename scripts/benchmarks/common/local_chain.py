"""A chain in this process: the real runtime on a state in memory, without network, disk or signature checks."""

import gc
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.common.timing import Stopwatch, Taken
from node.chain_spec import ChainSpec, genesis
from pallets.matrix_factorization.frozen import Frozen, learn_frozen
from pallets.matrix_factorization.ratings import Entries, RatingList
from pallets.matrix_factorization.storage import MODEL, RATINGS, Model
from pallets.matrix_factorization.view import ModelView, ReadModel, derive_view
from pallets.system.storage import ACCOUNT, AccountInfo
from pallets.timestamp.pallet import NOW, TIME_KEY
from runtime.crypto import SIGNATURE_LENGTH, Scheme
from runtime.executive import BlockOutcome
from runtime.extrinsic import IMMORTAL, Extrinsic, Signature
from runtime.primitives import AccountId, BlockRef, Hash, Nonce, blake2b_256
from runtime.scale import I64, U64, Tuple, Vec
from runtime.trie import StateVersion, Trie

_RATINGS = Vec(Tuple(U64, I64), 256)

Calls = Sequence[tuple[AccountId, bytes]]


def account_of(user: int | str) -> AccountId:
    """Return the account of a user of a data set."""
    return AccountId(blake2b_256(f"user {user}".encode()))


def rate(ratings: Sequence[tuple[int, int]]) -> bytes:
    """Encode a call that rates items: one by its own call, up to 256 together."""
    if len(ratings) == 1:
        return bytes((8, 0)) + U64.encode(ratings[0][0]) + I64.encode(ratings[0][1])
    return bytes((8, 4)) + _RATINGS.encode(tuple(ratings))


class DictState:
    """A state in a dict, changed in place."""

    def __init__(self, entries: dict[bytes, bytes]) -> None:
        """Take the entries."""
        self.entries = entries

    def get(self, key: bytes) -> bytes | None:
        """Return a value."""
        return self.entries.get(key)

    def items(self, prefix: bytes, after: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Walk the keys of a prefix."""
        for key in sorted(key for key in self.entries if key.startswith(prefix) and (after is None or key > after)):
            yield key, self.entries[key]


class LocalChain:
    """The head of a chain: its state, its trie and its model."""

    def __init__(self, spec: ChainSpec) -> None:
        """Start at block 0. `spec` is one without a ring."""
        made = genesis(spec)
        self.spec = spec
        self.runtime = made.runtime
        self.head = BlockRef(made.header.number, made.header.hash())
        self.taken: list[Taken] = []
        self.weights: list[int] = []
        self.restart(dict(made.state))

    def restart(self, entries: dict[bytes, bytes], known: Mapping[Hash, Frozen] | None = None) -> None:
        """Go on from a state, whose model is derived; `known` models need not be learned."""
        self.state = DictState(entries)
        self.trie = Trie.from_items(sorted(entries.items()), StateVersion.V1)
        self.view = derive_view(self.state, self.spec.matrix_factorization, known)

    def jump(self, lists: Mapping[AccountId, Entries]) -> Taken:
        """Go on as if these were the chain's ratings, frozen and in force; return what learning from them took."""
        config = self.spec.matrix_factorization
        present = sorted((account, entries) for account, entries in lists.items() if entries.size)
        with Stopwatch() as watch:
            frozen = learn_frozen(present, config)
        count = sum(entries.size for _, entries in present)
        model = Model(1, 1, frozen_ratings=count, ratings=count, users=len(present), digest=frozen.digest)
        entries = dict(self.state.entries)
        entries[MODEL.key] = MODEL.codec.encode(model)
        for account, ratings in present:
            entries[RATINGS.key(account)] = RATINGS.codec.encode(RatingList(ratings, ()))
            entries[ACCOUNT.key(account)] = ACCOUNT.codec.encode(AccountInfo(Nonce(1), providers=1))
        self.restart(entries, {frozen.digest: frozen})
        # As a node does after its start: what stays is not looked through for garbage again and again.
        gc.collect()
        gc.freeze()
        return watch.taken

    @property
    def model(self) -> ReadModel:
        """Return the model at the head."""
        return self.view.read()

    def block(self, calls: Calls, *, learn_ahead: bool = True) -> BlockOutcome:
        """Make a block of calls and adopt it.

        `taken` gets what that took, without what a node does in the background; `weights` what was charged for it.

        Raises:
            InvalidTransaction: a call does not fit into the block.
        """
        raws = self._extrinsics(calls)
        if learn_ahead:
            self.view.prepare()
        with Stopwatch() as watch:
            execution = self.runtime.open_block(self.state, self.head, self.view, check=_unchecked)
            execution.apply_inherents({TIME_KEY: NOW.get(self.state) + self.spec.minimum_period})
            for raw in raws:
                execution.apply(self.runtime.prepare(raw))
            outcome = execution.finalize(self.trie)
        self.taken.append(watch.taken)
        self.weights.append(execution.weight)
        for key, value in outcome.changes:
            if value is None:
                del self.state.entries[key]
            else:
                self.state.entries[key] = value
        assert isinstance(outcome.view, ModelView)
        self.trie, self.view = outcome.trie, outcome.view
        self.head = BlockRef(outcome.block.header.number, outcome.block.header.hash())
        return outcome

    def rest(self) -> ReadModel:
        """Make empty blocks until the model is the canonical one; return it."""
        while not self.view.record.is_canonical:
            self.block(())
        return self.model

    def _extrinsics(self, calls: Calls) -> list[bytes]:
        """Encode calls as transactions with the nonces that follow, and with signatures that nobody checks."""
        nonces: dict[AccountId, int] = {}
        encoded = []
        for account, call in calls:
            nonce = nonces.get(account)
            if nonce is None:
                nonce = ACCOUNT.get(self.state, account).nonce
            nonces[account] = nonce + 1
            signature = Signature(account, Scheme.ED25519, bytes(SIGNATURE_LENGTH), IMMORTAL, Nonce(nonce))
            encoded.append(Extrinsic(signature, call).encode())
        return encoded


def _unchecked(_extrinsic: Hash, _signature: Signature, _payload: bytes) -> bool:
    return True
