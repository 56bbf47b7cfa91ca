"""The state transition: build a block, execute a block, check a transaction.

A block runs as: initialize, inherents, extrinsics, finalize, roots. Building and executing are the same steps; an
author learns the roots by them, everybody else compares.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from runtime.crypto import verify
from runtime.extrinsic import Era, Extrinsic, SharedPayload, Signature, extrinsic_hash
from runtime.header import Block, DigestItem, DigestKind, Header
from runtime.interface.calls import DecodedCall, read_arguments
from runtime.interface.context import Context, DerivedView
from runtime.interface.errors import (
    BlockFault,
    DispatchError,
    DispatchFailed,
    InvalidBlock,
    InvalidReason,
    InvalidTransaction,
)
from runtime.interface.origin import Bare, Signed
from runtime.interface.pallet import Pallet
from runtime.interface.state import StateReader
from runtime.interface.storage import StateWriter
from runtime.interface.system import DispatchInfo, System
from runtime.interface.weights import MICROSECOND, BlockLimits, BlockMeter
from runtime.overlay import Changes, Overlay
from runtime.primitives import ACCOUNT_LENGTH, AccountId, BlockNumber, BlockRef, Hash, Nonce
from runtime.scale import Reader, ScaleError
from runtime.trie import Trie, ordered_root
from runtime.values import value
from runtime.version import RuntimeVersion

# Decoding, the signature check, the nonce and what keeps them: what every signed extrinsic costs beside its call.
BASE_EXTRINSIC_WEIGHT = 70 * MICROSECOND

_NOBODY = bytes(ACCOUNT_LENGTH)

SignatureCheck = Callable[[Hash, Signature, bytes], bool]
"""Tells whether a signature over a payload is good; the hash is the extrinsic's, for caches."""

BlockHashes = Callable[[BlockNumber], Hash | None]
"""The hash of a block of one chain; None if it is forgotten or not there yet."""


def check_signature(_extrinsic: Hash, signature: Signature, payload: bytes) -> bool:
    """Verify without any cache."""
    return verify(signature.scheme, signature.account, payload, signature.value)


class SignedPayloads:
    """What signatures must cover for their extrinsics to be in one block; safe to use from several threads."""

    def __init__(self, version: RuntimeVersion, number: BlockNumber, block_hash: BlockHashes) -> None:
        """Take the runtime's version, the block's number, and the hashes of the blocks before it."""
        self._version = version
        self._number = number
        self._block_hash = block_hash
        # By era, what all its signatures cover: a block has few eras, and many signatures of each.
        self._parts: dict[Era, SharedPayload | None] = {}
        self._genesis_hash: Hash | None = None

    def of(self, call: bytes, signature: Signature) -> bytes:
        """Return what `signature` must cover beside and including the encoded `call`.

        Raises:
            InvalidTransaction: ANCIENT_BIRTH_BLOCK.
        """
        era = signature.era
        try:
            shared = self._parts[era]
        except KeyError:
            shared = self._parts[era] = self._shared(era)
        if shared is None:
            raise InvalidTransaction(InvalidReason.ANCIENT_BIRTH_BLOCK)
        return shared.of(call, signature.nonce)

    def _shared(self, era: Era) -> SharedPayload | None:
        genesis_hash = self._genesis_hash or self._block_hash(BlockNumber(0))
        assert genesis_hash is not None, "the genesis hash is never pruned"
        self._genesis_hash = genesis_hash
        birth_hash = genesis_hash if era.is_immortal else self._block_hash(era.birth(self._number))
        if birth_hash is None:
            return None
        version = self._version
        return SharedPayload.made(era, version.spec_version, version.transaction_version, genesis_hash, birth_hash)


@value
class PreparedExtrinsic:
    """An extrinsic decoded as far as that goes without a state."""

    raw: bytes
    hash: Hash
    signature: Signature | None
    encoded_call: bytes
    call: DecodedCall

    @property
    def weight(self) -> int:
        """Return the bound on its cost, in picoseconds."""
        return BASE_EXTRINSIC_WEIGHT + self.call.weight


@dataclass(frozen=True, slots=True)
class ValidTransaction:
    """A transaction that may enter a block now or, with `is_future`, once its predecessors have.

    `expected`: the nonce that the chain expects of its account next. `longevity`: it is valid in blocks up to and
    including this number.
    """

    prepared: PreparedExtrinsic
    account: AccountId
    nonce: Nonce
    expected: Nonce
    longevity: BlockNumber

    @property
    def is_future(self) -> bool:
        """Tell whether others of its account have to come first."""
        return self.nonce > self.expected

    @property
    def is_new_account(self) -> bool:
        """Tell whether the chain does not know its account."""
        return self.expected == 0


@dataclass(frozen=True, slots=True)
class BlockOutcome:
    """A block that ran to its end, with everything a node stores of it."""

    block: Block
    changes: Changes
    trie: Trie
    view: DerivedView
    errors: tuple[DispatchError | None, ...]


class Runtime:
    """The pallets of a chain and the rules that hold for all of them."""

    def __init__(
        self,
        version: RuntimeVersion,
        limits: BlockLimits,
        system: System,
        pallets: Sequence[Pallet],
        empty_view: DerivedView,
    ) -> None:
        """Wire the pallets; they run in the order of their indices."""
        self.version = version
        self.limits = limits
        self.system = system
        self.pallets = tuple(sorted(pallets, key=lambda pallet: pallet.index))
        self.empty_view = empty_view
        self.calls = {(pallet.index, call.index): (pallet, call) for pallet in self.pallets for call in pallet.calls}
        self.events = {(event.pallet_index, event.index): event for pallet in self.pallets for event in pallet.events}
        self.errors = {(error.pallet_index, error.index): error for pallet in self.pallets for error in pallet.errors}
        self.inherents = frozenset(
            bytes((pallet.index, index))
            for pallet in self.pallets
            if (index := pallet.hooks.inherent_call()) is not None
        )
        self.optional_inherents = frozenset(
            bytes((pallet.index, index)) for pallet in self.pallets for index in pallet.hooks.optional_inherents()
        )

    def build_genesis(self, write: StateWriter) -> None:
        """Write the state of block 0."""
        for pallet in self.pallets:
            pallet.hooks.genesis(write)

    def prepare(self, raw: bytes) -> PreparedExtrinsic:
        """Decode an extrinsic and its call.

        Raises:
            InvalidTransaction: too long or undecodable; the text says why.
        """
        if len(raw) > self.limits.extrinsic_length:
            raise InvalidTransaction(InvalidReason.TOO_LONG)
        try:
            extrinsic = Extrinsic.decode(raw)
            call = self.decode_call(extrinsic.call)
        except ScaleError as error:
            raise InvalidTransaction(InvalidReason.UNDECODABLE, str(error)) from None
        return PreparedExtrinsic(raw, extrinsic_hash(raw), extrinsic.signature, extrinsic.call, call)

    def decode_call(self, data: bytes) -> DecodedCall:
        """Decode pallet index, call index and arguments; raises ScaleError."""
        if len(data) < 2:
            raise ScaleError("a call names a pallet and a call in two bytes")
        found = self.calls.get((data[0], data[1]))
        if found is None:
            raise ScaleError(f"there is no call {data[1]} of pallet {data[0]}")
        pallet, call = found
        layout = call.layout
        if layout is not None and len(data) == layout.size + 2 and (row := layout.unpack(data, 2)) is not None:
            return DecodedCall(pallet.name, call, row)
        reader = Reader(data)
        reader.offset = 2
        arguments = read_arguments(call, reader)
        if reader.remaining:
            raise ScaleError(f"{reader.remaining} bytes are left over behind the call {pallet.name}.{call.name}")
        return DecodedCall(pallet.name, call, arguments)

    def open_block(
        self,
        state: StateReader,
        parent: BlockRef,
        view: DerivedView,
        digest: tuple[DigestItem, ...] = (),
        check: SignatureCheck = check_signature,
    ) -> "BlockExecution":
        """Begin a block on top of `parent`, whose state and view these are."""
        return BlockExecution(self, state, parent, view.branch(), digest, check)

    def execute_block(
        self,
        block: Block,
        state: StateReader,
        trie: Trie,
        view: DerivedView,
        parent: BlockRef,
        check: SignatureCheck = check_signature,
        *,
        is_whole: bool = False,
    ) -> BlockOutcome:
        """Run a block that somebody else built and compare everything that its header claims.

        With `is_whole` the body was found to be the header's before.

        Raises:
            InvalidBlock: it breaks a rule; `state`, `trie` and `view` are as they were.
        """
        header = block.header
        if header.parent_hash != parent.hash:
            raise InvalidBlock(BlockFault.WRONG_PARENT, "the header names another parent")
        if header.number != parent.number + 1:
            raise InvalidBlock(BlockFault.WRONG_NUMBER, f"block {header.number} follows block {parent.number}")
        if not is_whole and ordered_root(block.extrinsics) != header.extrinsics_root:
            raise InvalidBlock(BlockFault.EXTRINSICS_ROOT, "the body is not that of the header")
        unsealed = header.digest
        if unsealed and unsealed[-1].kind is DigestKind.SEAL:
            unsealed = unsealed[:-1]
        started = tuple(item for item in unsealed if item.kind is DigestKind.PRE_RUNTIME)
        execution = self.open_block(state, parent, view, started, check)
        for index, raw in enumerate(block.extrinsics):
            try:
                execution.apply(self.prepare(raw))
            except InvalidTransaction as error:
                raise InvalidBlock(BlockFault.BAD_EXTRINSIC, f"extrinsic {index}: {error.text}") from None
        # An extrinsic that was applied is in the block as it came, so the root is the one just compared.
        outcome = execution.finalize(trie, header.extrinsics_root)
        ours = outcome.block.header
        if ours.digest != unsealed:
            raise InvalidBlock(BlockFault.BAD_DIGEST, "the digest is not what execution gives")
        if ours.state_root != header.state_root:
            detail = f"execution gives {ours.state_root.hex()}, the header says {header.state_root.hex()}"
            raise InvalidBlock(BlockFault.STATE_ROOT, detail)
        return replace(outcome, block=block)


class _AccountCheck:
    """Checks signers, in a block whose initialized state this is."""

    def __init__(self, runtime: Runtime, state: StateReader, number: BlockNumber, check: SignatureCheck) -> None:
        """Take the block's number and who decides about signatures."""
        self._system = runtime.system
        self._state = state
        self._check = check
        self._payloads = SignedPayloads(runtime.version, number, partial(self._system.block_hash, state))

    def nonce(self, signature: Signature) -> Nonce:
        """Return the nonce that the chain expects of a signer next, which costs less to find out than a signature.

        Raises:
            InvalidTransaction: BAD_SIGNER or STALE.
        """
        account = signature.account
        if account == _NOBODY:
            raise InvalidTransaction(InvalidReason.BAD_SIGNER)
        nonce = self._system.nonce(self._state, account)
        if signature.nonce < nonce:
            raise InvalidTransaction(InvalidReason.STALE)
        return nonce

    def prove(self, prepared: PreparedExtrinsic, signature: Signature) -> None:
        """Check era and signature.

        Raises:
            InvalidTransaction: ANCIENT_BIRTH_BLOCK or BAD_PROOF.
        """
        payload = self._payloads.of(prepared.encoded_call, signature)
        if not self._check(prepared.hash, signature, payload):
            raise InvalidTransaction(InvalidReason.BAD_PROOF)


class TransactionValidator:
    """Tells whether transactions may enter a block on top of one given block."""

    def __init__(
        self, runtime: Runtime, state: StateReader, parent: BlockRef, check: SignatureCheck = check_signature
    ) -> None:
        """Take the state of `parent` and begin, as it were, the block after it."""
        self._runtime = runtime
        self._state = Overlay(state)
        self.parent = parent
        self.number = BlockNumber(parent.number + 1)
        self._context = Context(self._state, self.number, parent.hash, runtime.empty_view)
        runtime.system.initialize(self._context)
        self._accounts = _AccountCheck(runtime, self._state, self.number, check)

    def validate(self, prepared: PreparedExtrinsic) -> ValidTransaction:
        """Tell what a pool needs to know of a transaction.

        Raises:
            InvalidTransaction: it may not enter this block, nor one after it.
        """
        transaction = self.examine(prepared)
        self.prove(transaction)
        return transaction

    def examine(self, prepared: PreparedExtrinsic) -> ValidTransaction:
        """Check everything but the signature, which costs more than all the rest.

        Raises:
            InvalidTransaction: it may not enter this block, nor one after it.
        """
        signature = prepared.signature
        if signature is None:
            raise InvalidTransaction(InvalidReason.UNSIGNED)
        expected = self._accounts.nonce(signature)
        meter = BlockMeter(self._runtime.limits)
        meter.check(weight=prepared.weight, length=len(prepared.raw), is_new=expected == 0)
        prepared.call.admit(self._context, signature.account)
        longevity = BlockNumber(signature.era.death(self.number) - 1)
        return ValidTransaction(prepared, signature.account, signature.nonce, expected, longevity)

    def prove(self, transaction: ValidTransaction) -> None:
        """Check the signature; safe to use from several threads.

        Raises:
            InvalidTransaction: ANCIENT_BIRTH_BLOCK or BAD_PROOF.
        """
        signature = transaction.prepared.signature
        assert signature is not None, "nothing else is examined"
        self._accounts.prove(transaction.prepared, signature)

    def nonce(self, account: AccountId) -> Nonce:
        """Return the nonce that the chain expects of `account` next."""
        return self._runtime.system.nonce(self._state, account)


class BlockExecution:
    """One block under way: apply its extrinsics one after the other, then finalize it."""

    def __init__(
        self,
        runtime: Runtime,
        state: StateReader,
        parent: BlockRef,
        view: DerivedView,
        digest: tuple[DigestItem, ...],
        check: SignatureCheck,
    ) -> None:
        """Initialize the block: `System` first, then every pallet's hook."""
        self._runtime = runtime
        self._parent = parent
        self._overlay = Overlay(state)
        self.number = BlockNumber(parent.number + 1)
        self._accounts = _AccountCheck(runtime, self._overlay, self.number, check)
        self._context = Context(self._overlay, self.number, parent.hash, view)
        self._context.digest.extend(digest)
        self._meter = BlockMeter(runtime.limits)
        self._extrinsics: list[bytes] = []
        self._errors: list[DispatchError | None] = []
        self._inherents: set[bytes] = set()
        self._optional: set[bytes] = set()
        self._mandatory_weight = 0
        runtime.system.initialize(self._context)
        for pallet in runtime.pallets:
            pallet.hooks.on_initialize(self._context)

    def apply_inherents(self, data: Mapping[str, int]) -> None:
        """Apply what every pallet wants first in a block, made from `data` (such as the time in milliseconds)."""
        for pallet in self._runtime.pallets:
            call = pallet.hooks.inherent(data)
            if call is not None:
                self.apply(self._runtime.prepare(Extrinsic(None, call).encode()))

    def apply(self, prepared: PreparedExtrinsic) -> DispatchError | None:
        """Apply one extrinsic; return the error of its call, if it failed.

        Raises:
            InvalidTransaction: it may not be in this block; the block is as if it had not been tried.
        """
        if prepared.signature is None:
            if prepared.encoded_call[:2] in self._runtime.optional_inherents:
                return self._apply_optional(prepared)
            return self._apply_inherent(prepared)
        if len(self._inherents) != len(self._runtime.inherents):
            raise InvalidBlock(BlockFault.INHERENT_MISPLACED, "a transaction stands before the inherents")
        return self._apply_signed(prepared, prepared.signature)

    def _apply_inherent(self, prepared: PreparedExtrinsic) -> DispatchError | None:
        """Apply an unsigned extrinsic; its failure makes the whole block invalid."""
        index = prepared.encoded_call[:2]
        if index not in self._runtime.inherents:
            raise InvalidTransaction(InvalidReason.UNSIGNED)
        if index in self._inherents or len(self._inherents) != len(self._extrinsics):
            raise InvalidBlock(BlockFault.INHERENT_MISPLACED, "an inherent stands twice or behind transactions")
        self._context.enter_extrinsic(len(self._extrinsics), allowance=0)
        try:
            prepared.call.dispatch(self._context, Bare())
        except DispatchFailed as error:
            raise InvalidBlock(BlockFault.BAD_EXTRINSIC, f"inherent failed: {error}") from None
        self._inherents.add(index)
        self._mandatory_weight += prepared.weight
        return self._note(prepared, prepared.weight, None)

    def _apply_optional(self, prepared: PreparedExtrinsic) -> DispatchError | None:
        """Apply an unsigned extrinsic that a block may go without; an author leaves out one that fails."""
        index, context = prepared.encoded_call[:2], self._context
        if len(self._inherents) != len(self._runtime.inherents):
            raise InvalidBlock(BlockFault.INHERENT_MISPLACED, "an optional inherent stands before the inherents")
        if index in self._optional or len(self._inherents) + len(self._optional) != len(self._extrinsics):
            detail = "an optional inherent stands twice or behind transactions"
            raise InvalidBlock(BlockFault.INHERENT_MISPLACED, detail)
        # It stands beside what transactions may weigh, and is bounded by as much as all of them.
        context.enter_extrinsic(len(self._extrinsics), self._runtime.limits.weight)
        checkpoint = context.checkpoint()
        try:
            prepared.call.dispatch(context, Bare())
            context.commit()
        except DispatchFailed as failure:
            context.rollback(checkpoint)
            call = prepared.call
            detail = f"{call.pallet}.{call.call.name} failed: {failure}"
            raise InvalidTransaction(InvalidReason.BAD_CALL, detail) from None
        except InvalidTransaction:
            context.rollback(checkpoint)
            raise
        self._optional.add(index)
        weight = prepared.weight + context.charged
        self._mandatory_weight += weight
        return self._note(prepared, weight, None)

    def _apply_signed(self, prepared: PreparedExtrinsic, signature: Signature) -> DispatchError | None:
        """Apply a transaction: checks, nonce, call."""
        system, context = self._runtime.system, self._context
        nonce = self._accounts.nonce(signature)
        if signature.nonce > nonce:
            raise InvalidTransaction(InvalidReason.FUTURE)
        is_new, length, weight = nonce == 0, len(prepared.raw), prepared.weight
        self._meter.check(weight=weight, length=length, is_new=is_new)
        self._accounts.prove(prepared, signature)
        prepared.call.admit(context, signature.account)
        context.enter_extrinsic(len(self._extrinsics), self._meter.room(is_new=is_new) - weight)
        checkpoint = context.checkpoint()
        error: DispatchError | None = None
        try:
            prepared.call.dispatch(context, Signed(signature.account))
            context.commit()
        except DispatchFailed as failure:
            context.rollback(checkpoint)
            error = failure.error
        except InvalidTransaction:
            context.rollback(checkpoint)
            raise
        system.increment_nonce(context, signature.account)
        weight += context.charged
        self._meter.add(weight=weight, length=length, is_new=is_new)
        return self._note(prepared, weight, error)

    def _note(self, prepared: PreparedExtrinsic, weight: int, error: DispatchError | None) -> DispatchError | None:
        """Record an applied extrinsic, what it cost and how its call ended."""
        info = DispatchInfo(weight, prepared.call.call.dispatch_class)
        self._runtime.system.note_applied(self._context, info, error)
        self._extrinsics.append(prepared.raw)
        self._errors.append(error)
        return error

    @property
    def state(self) -> StateReader:
        """Return the state as of now: authors choose by it what else to put in."""
        return self._overlay

    @property
    def is_full(self) -> bool:
        """Tell whether not even the smallest transaction fits any more."""
        limits = self._runtime.limits
        return self._meter.weight + BASE_EXTRINSIC_WEIGHT > limits.weight or self._meter.length >= limits.length

    @property
    def weight(self) -> int:
        """Return what the block's transactions have been charged so far, in picoseconds."""
        return self._meter.weight

    @property
    def mandatory_weight(self) -> int:
        """Return what the block's unsigned extrinsics weigh so far, beside the limit of transactions."""
        return self._mandatory_weight

    @property
    def extrinsics(self) -> int:
        """Return how many extrinsics the block has so far."""
        return len(self._extrinsics)

    def finalize(self, trie: Trie, extrinsics_root: Hash | None = None) -> BlockOutcome:
        """Run the hooks at the end and compute the roots; `trie` is the parent's state trie.

        `extrinsics_root`: that of the applied extrinsics, for whoever knows it already.
        """
        if len(self._inherents) != len(self._runtime.inherents):
            raise InvalidBlock(BlockFault.INHERENT_MISSING, "an inherent is missing")
        context = self._context
        context.enter_finalization()
        for pallet in self._runtime.pallets:
            pallet.hooks.on_finalize(context)
        digest = tuple(context.digest)
        self._runtime.system.finalize(context, digest)
        changes = self._overlay.changes()
        trie = trie.apply(changes)
        extrinsics = tuple(self._extrinsics)
        root = ordered_root(extrinsics) if extrinsics_root is None else extrinsics_root
        header = Header(self._parent.hash, self.number, trie.root(), root, digest)
        return BlockOutcome(Block(header, extrinsics), changes, trie, context.view, tuple(self._errors))
