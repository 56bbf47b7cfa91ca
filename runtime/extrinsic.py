"""Extrinsics, version 4: what users sign and what blocks carry.

    signed    compact(length) 84 00 account[32] scheme signature[64] era compact(nonce) call
    bare      compact(length) 04 call

The 00 after 84 says that the signer is given as a plain account id, the only form accepted. Beside the call
the signature covers the era, the nonce, the runtime's versions, the genesis hash and the hash of the block
where the era begins: so it counts on one chain, once, under the rules its signer knew, and for as long as
the era lasts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from runtime.crypto import SIGNATURE_LENGTH, KeyPair, Scheme
from runtime.primitives import ACCOUNT_LENGTH, AccountId, BlockNumber, Hash, Nonce, blake2b_256
from runtime.scale import Codec, Reader, ScaleError, encode_compact
from runtime.values import value

MIN_PERIOD: Final = 4
MAX_PERIOD: Final = 1 << 16
MAX_EXTRINSIC_BYTES: Final = 1 << 20
MIN_CALL_BYTES: Final = 2

_VERSION_BARE: Final = 0x04
_VERSION_SIGNED: Final = 0x84
_ADDRESS_ID: Final = 0x00
_SIGNED_ID: Final = bytes((_VERSION_SIGNED, _ADDRESS_ID))
_FOREVER: Final = BlockNumber((1 << 64) - 1)
_LONGEST_PLAIN_PAYLOAD: Final = 256
_SCHEMES: Final = {scheme.value: scheme for scheme in Scheme}

# Where the parts of a signed extrinsic lie behind the length prefix.
_ACCOUNT_AT: Final = 2
_SCHEME_AT: Final = _ACCOUNT_AT + ACCOUNT_LENGTH
_SIGNATURE_AT: Final = _SCHEME_AT + 1
_ERA_AT: Final = _SIGNATURE_AT + SIGNATURE_LENGTH
_SHORTEST_SIGNED: Final = _ERA_AT + 2 + MIN_CALL_BYTES


class ExtrinsicError(ScaleError):
    """Bytes are no extrinsic of version 4, or an era is out of bounds; the message says why."""


@dataclass(frozen=True, slots=True)
class Era:
    """When a transaction may be included: always, or in `period` blocks from one at `phase` modulo it."""

    period: int = 0
    phase: int = 0

    def __post_init__(self) -> None:
        """Refuse what has no wire form."""
        if self.period == 0 and self.phase == 0:
            return
        if not MIN_PERIOD <= self.period <= MAX_PERIOD or self.period & (self.period - 1):
            message = f"an era's period is a power of two from {MIN_PERIOD} to {MAX_PERIOD}, not {self.period}"
            raise ExtrinsicError(message)
        if not 0 <= self.phase < self.period or self.phase % self._quantum:
            message = f"an era's phase is a multiple of {self._quantum} below {self.period}, not {self.phase}"
            raise ExtrinsicError(message)

    @staticmethod
    def immortal() -> "Era":
        """The era without end."""
        return IMMORTAL

    @staticmethod
    def mortal(period: int, current: int) -> "Era":
        """The era that holds block `current`, of `period` blocks rounded up to what the wire form can say."""
        rounded = 1 << (max(period, 1) - 1).bit_length()
        bounded = min(max(rounded, MIN_PERIOD), MAX_PERIOD)
        quantum = max(bounded >> 12, 1)
        return Era(bounded, current % bounded // quantum * quantum)

    @property
    def is_immortal(self) -> bool:
        """Whether this is the era without end."""
        return self.period == 0

    def birth(self, current: BlockNumber) -> BlockNumber:
        """The first block of the era that holds block `current`; its hash is signed."""
        if self.period == 0:
            return BlockNumber(0)
        return BlockNumber((max(current, self.phase) - self.phase) // self.period * self.period + self.phase)

    def death(self, current: BlockNumber) -> BlockNumber:
        """The first block after the era that holds block `current`."""
        return _FOREVER if self.period == 0 else BlockNumber(self.birth(current) + self.period)

    def encode(self) -> bytes:
        """One byte for the immortal era, two for any other."""
        if self.period == 0:
            return b"\x00"
        exponent = self.period.bit_length() - 2
        return (exponent | self.phase // self._quantum << 4).to_bytes(2, "little")

    @staticmethod
    def decode(data: bytes) -> "Era":
        """The era that `data`, all of it, encodes."""
        if data == b"\x00":
            return IMMORTAL
        if len(data) != 2:
            raise ExtrinsicError("an era is the byte 00 or two bytes")
        return _mortal_era(int.from_bytes(data, "little"))

    @property
    def _quantum(self) -> int:
        """The step of phases that fit the twelve bits they have."""
        return max(self.period >> 12, 1)


IMMORTAL: Final = Era()


@lru_cache(maxsize=1024)
def _mortal_era(word: int) -> Era:
    """The era of a two-byte encoding; most transactions of a while share a few."""
    period = 2 << (word & 15)
    return Era(period, (word >> 4) * max(period >> 12, 1))


@value
class Signature:
    """Who signed an extrinsic, how, and what of the signed extensions travels with it."""

    account: AccountId
    scheme: Scheme
    value: bytes
    era: Era
    nonce: Nonce


@value
class Extrinsic:
    """An extrinsic taken apart; `call` stays encoded. Without a signature it is an inherent or unsigned."""

    signature: Signature | None
    call: bytes

    def encode(self) -> bytes:
        """The full bytes with the length prefix."""
        signed = self.signature
        if signed is None:
            payload = bytes((_VERSION_BARE,)) + self.call
        else:
            head = _SIGNED_ID + signed.account + bytes((signed.scheme,)) + signed.value
            payload = head + signed.era.encode() + encode_compact(signed.nonce) + self.call
        return encode_compact(len(payload)) + payload

    @staticmethod
    def decode(raw: bytes) -> "Extrinsic":
        """Take the full bytes apart; reads at fixed offsets, as blocks hold thousands of these.

        Raises:
            ExtrinsicError: a wrong length prefix, version, address form or scheme, or bytes missing.
            ScaleError: a malformed compact number.
        """
        start = _payload_start(raw)
        version = raw[start]
        if version == _VERSION_BARE:
            return Extrinsic(None, _call(raw, start + 1))
        if version != _VERSION_SIGNED:
            raise ExtrinsicError(f"extrinsic version byte is 0x{version:02x}, known are 0x04 and 0x84")
        if len(raw) - start < _SHORTEST_SIGNED:
            message = f"a signed extrinsic has {_SHORTEST_SIGNED} bytes or more, this one has {len(raw) - start}"
            raise ExtrinsicError(message)
        if raw[start + 1] != _ADDRESS_ID:
            raise ExtrinsicError(f"signer's address is of kind {raw[start + 1]}, only 0 (account id) is accepted")
        scheme = _SCHEMES.get(raw[start + _SCHEME_AT])
        if scheme is None:
            tag = raw[start + _SCHEME_AT]
            raise ExtrinsicError(f"signature scheme is {tag}, known are 0 (ed25519) and 1 (sr25519)")
        account = AccountId(raw[start + _ACCOUNT_AT : start + _SCHEME_AT])
        value = raw[start + _SIGNATURE_AT : start + _ERA_AT]
        offset = start + _ERA_AT
        era = IMMORTAL
        if raw[offset]:
            era = _mortal_era(raw[offset] | raw[offset + 1] << 8)
            offset += 1
        offset += 1
        first = raw[offset]
        if first & 3 == 0:
            nonce = first >> 2
            offset += 1
        else:
            reader = Reader(raw)
            reader.offset = offset
            nonce = reader.compact(32, "nonce")
            offset = reader.offset
        return Extrinsic(Signature(account, scheme, value, era, Nonce(nonce)), _call(raw, offset))


def leading_unsigned(extrinsics: Sequence[bytes]) -> int:
    """How many of a block's first extrinsics nobody has signed: inherents, which are in no pool."""
    count = 0
    for raw in extrinsics:
        if raw[_payload_start(raw)] != _VERSION_BARE:
            break
        count += 1
    return count


class ExtrinsicCodec(Codec[bytes]):
    """An extrinsic among other things: its full bytes, whose length prefix says where it ends."""

    __slots__ = ()

    @property
    def label(self) -> str:
        """The type's name."""
        return "Extrinsic"

    @property
    def min_size(self) -> int:
        """The length prefix."""
        return 1

    def encode(self, value: bytes) -> bytes:
        """The bytes as they are."""
        return value

    def read(self, reader: Reader) -> bytes:
        """The full bytes at the reader's position; whether they are an extrinsic is not looked at."""
        start = reader.offset
        reader.take(reader.length(1, MAX_EXTRINSIC_BYTES, "Extrinsic"), "Extrinsic")
        return reader.data[start : reader.offset]


EXTRINSIC: Final = ExtrinsicCodec()


def _payload_start(raw: bytes) -> int:
    """Where the payload of `raw` begins, its length prefix being right."""
    if len(raw) > MAX_EXTRINSIC_BYTES:
        raise ExtrinsicError(f"an extrinsic has {MAX_EXTRINSIC_BYTES} bytes at most, this one has {len(raw)}")
    if len(raw) > _SHORTEST_SIGNED and raw[0] & 3 == 1 and (raw[0] | raw[1] << 8) >> 2 == len(raw) - 2:
        return 2
    reader = Reader(raw)
    length = reader.compact(32, "extrinsic length")
    left = len(raw) - reader.offset
    if length != left:
        raise ExtrinsicError(f"extrinsic announces {length} bytes, {left} follow")
    if not left:
        raise ExtrinsicError("extrinsic is empty")
    return reader.offset


def _call(raw: bytes, offset: int) -> bytes:
    """The rest of `raw`, which must at least name a pallet and a call."""
    if len(raw) - offset < MIN_CALL_BYTES:
        raise ExtrinsicError(f"extrinsic ends at offset {len(raw)} within its call")
    return raw[offset:]


def extrinsic_hash(raw: bytes) -> Hash:
    """The transaction hash that clients know: of the full bytes with the length prefix."""
    return blake2b_256(raw)


@dataclass(frozen=True, slots=True)
class SharedPayload:
    """What the signatures of one era cover on one chain, beside the call and the nonce."""

    era: bytes
    rest: bytes

    @staticmethod
    def made(
        era: Era, spec_version: int, transaction_version: int, genesis_hash: Hash, birth_hash: Hash
    ) -> "SharedPayload":
        """`birth_hash` is the hash of the block `era.birth(...)`, for the immortal era that of the genesis block."""
        versions = spec_version.to_bytes(4, "little") + transaction_version.to_bytes(4, "little")
        return SharedPayload(era.encode(), versions + genesis_hash + birth_hash)

    def of(self, call: bytes, nonce: Nonce) -> bytes:
        """The message that is signed: all parts, or their hash when they are longer than 256 bytes."""
        payload = call + self.era + encode_compact(nonce) + self.rest
        return payload if len(payload) <= _LONGEST_PLAIN_PAYLOAD else blake2b_256(payload)


def signing_payload(
    call: bytes,
    era: Era,
    nonce: Nonce,
    spec_version: int,
    transaction_version: int,
    genesis_hash: Hash,
    birth_hash: Hash,
) -> bytes:
    """The message that is signed by one transaction: see `SharedPayload`."""
    return SharedPayload.made(era, spec_version, transaction_version, genesis_hash, birth_hash).of(call, nonce)


def sign_extrinsic(
    pair: KeyPair,
    call: bytes,
    era: Era,
    nonce: Nonce,
    spec_version: int,
    transaction_version: int,
    genesis_hash: Hash,
    birth_hash: Hash,
) -> bytes:
    """The full bytes, ready to submit, of `call` signed by `pair`."""
    payload = signing_payload(call, era, nonce, spec_version, transaction_version, genesis_hash, birth_hash)
    signature = Signature(pair.public, pair.scheme, pair.sign(payload), era, nonce)
    return Extrinsic(signature, call).encode()
