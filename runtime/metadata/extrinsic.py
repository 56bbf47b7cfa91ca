"""What clients have to know to sign: the types of an extrinsic's parts, and its signed extensions.

They stand here as Substrate's clients expect them, wider than what the node takes: an address is always an account id,
and there is no ECDSA (`runtime.extrinsic` says so to who tries).
"""

from dataclasses import dataclass
from typing import Any, Final

from runtime.crypto import SIGNATURE_LENGTH, Scheme
from runtime.extrinsic import EXTRINSIC
from runtime.metadata.registry import TypeRegistry
from runtime.metadata.types import Composite, Type, TypeField, TypeParameter, TypeVariant, Variants
from runtime.primitives import ACCOUNT_LENGTH
from runtime.scale import ACCOUNT_ID, H256, U8, U32, UNIT, Bytes, Codec, Compact, Described, FixedBytes, Tuple

ERA: Final = Described("Era")
RUNTIME_CALL: Final = Described("RuntimeCall")
ADDRESS: Final = Described("MultiAddress")
SIGNATURE: Final = Described("MultiSignature")

_ECDSA: Final = ("Ecdsa", 2, 65)
_ANY_BYTES: Final = Bytes(1 << 20)


@dataclass(frozen=True, slots=True)
class SignedExtension:
    """A part of what is signed: `extra` travels with the extrinsic, `additional` both sides know."""

    name: str
    extra: Codec[Any]
    additional: Codec[Any]


# In the order of the signing payload (`runtime.extrinsic.signing_payload`).
SIGNED_EXTENSIONS: Final = (
    SignedExtension("CheckNonZeroSender", UNIT, UNIT),
    SignedExtension("CheckSpecVersion", UNIT, U32),
    SignedExtension("CheckTxVersion", UNIT, U32),
    SignedExtension("CheckGenesis", UNIT, H256),
    SignedExtension("CheckMortality", ERA, H256),
    SignedExtension("CheckNonce", Compact(32), UNIT),
    SignedExtension("CheckWeight", UNIT, UNIT),
)


@dataclass(frozen=True, slots=True)
class ExtrinsicTypes:
    """The ids of an extrinsic's type and of its parts."""

    extrinsic: int
    address: int
    call: int
    signature: int
    extra: int


def describe_extrinsic(registry: TypeRegistry, call: int) -> ExtrinsicTypes:
    """Enter the types of an extrinsic, given that of the calls."""
    registry.assign(ERA, _era(registry))
    address = registry.assign(ADDRESS, _address(registry))
    signature = registry.assign(SIGNATURE, _signature(registry))
    extra = registry.of(Tuple(*(extension.extra for extension in SIGNED_EXTENSIONS)))
    parts = {"Address": address, "Call": call, "Signature": signature, "Extra": extra}
    extrinsic = Type(
        ("sp_runtime", "generic", "unchecked_extrinsic", "UncheckedExtrinsic"),
        tuple(TypeParameter(name, part) for name, part in parts.items()),
        Composite((TypeField(None, registry.of(_ANY_BYTES)),)),
    )
    return ExtrinsicTypes(registry.assign(EXTRINSIC, extrinsic), address, call, signature, extra)


def _era(registry: TypeRegistry) -> Type:
    """Every first byte is a variant of its own, those of mortal eras with the second byte as their field."""
    mortal = (TypeField(None, registry.of(U8)),)
    variants = (TypeVariant("Immortal", (), 0), *(TypeVariant(f"Mortal{i}", mortal, i) for i in range(1, 256)))
    return Type(("sp_runtime", "generic", "era", "Era"), (), Variants(variants))


def _address(registry: TypeRegistry) -> Type:
    account, index = registry.of(ACCOUNT_ID), registry.of(UNIT)
    kinds: tuple[tuple[str, Codec[Any], str], ...] = (
        ("Id", ACCOUNT_ID, "AccountId"),
        ("Index", UNIT, "AccountIndex"),
        ("Raw", _ANY_BYTES, "Vec<u8>"),
        ("Address32", FixedBytes(ACCOUNT_LENGTH), "[u8; 32]"),
        ("Address20", FixedBytes(20), "[u8; 20]"),
    )
    variants = tuple(
        TypeVariant(name, (TypeField(None, registry.of(codec), shown),), at)
        for at, (name, codec, shown) in enumerate(kinds)
    )
    parameters = (TypeParameter("AccountId", account), TypeParameter("AccountIndex", index))
    return Type(("sp_runtime", "multiaddress", "MultiAddress"), parameters, Variants(variants))


def _signature(registry: TypeRegistry) -> Type:
    kinds = (*((scheme.name.capitalize(), scheme.value, SIGNATURE_LENGTH) for scheme in Scheme), _ECDSA)
    variants = tuple(
        TypeVariant(name, (TypeField(None, registry.of(FixedBytes(length)), f"[u8; {length}]"),), at)
        for name, at, length in kinds
    )
    return Type(("sp_runtime", "MultiSignature"), (), Variants(variants))
