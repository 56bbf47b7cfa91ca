"""The version of a runtime: what a transaction's signature commits to and what clients ask first."""

from dataclasses import dataclass

from runtime.primitives import blake2b_64, to_hex
from runtime.scale import U8, U32, Codec, Field, FixedBytes, Struct, Text, Tuple, Vec


@dataclass(frozen=True, slots=True)
class RuntimeVersion:
    """Substrate's RuntimeVersion; `apis` are (name of a runtime API, its version)."""

    spec_name: str
    impl_name: str
    authoring_version: int
    spec_version: int
    impl_version: int
    transaction_version: int
    apis: tuple[tuple[str, int], ...]
    state_version: int = 1
    system_version: int = 1

    def to_json(self) -> dict[str, object]:
        """Return the form of `state_getRuntimeVersion`."""
        return {
            "specName": self.spec_name,
            "implName": self.impl_name,
            "authoringVersion": self.authoring_version,
            "specVersion": self.spec_version,
            "implVersion": self.impl_version,
            "apis": [[to_hex(blake2b_64(name.encode())), version] for name, version in self.apis],
            "transactionVersion": self.transaction_version,
            "systemVersion": self.system_version,
            "stateVersion": self.state_version,
        }

    def record(self) -> "VersionRecord":
        """Return the form of `Core_version` and of the constant `System.Version`."""
        return VersionRecord(
            self.spec_name,
            self.impl_name,
            self.authoring_version,
            self.spec_version,
            self.impl_version,
            tuple((blake2b_64(name.encode()), version) for name, version in self.apis),
            self.transaction_version,
            self.system_version,
        )


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """A runtime's version on the wire; `apis` are (blake2b-64 of a runtime API's name, its version)."""

    spec_name: str
    impl_name: str
    authoring_version: int
    spec_version: int
    impl_version: int
    apis: tuple[tuple[bytes, int], ...]
    transaction_version: int
    system_version: int


_NAME = Text(1 << 8)
VERSION_RECORD: Codec[VersionRecord] = Struct(
    VersionRecord,
    (
        Field("spec_name", _NAME, "Cow<str>"),
        Field("impl_name", _NAME, "Cow<str>"),
        Field("authoring_version", U32, "u32"),
        Field("spec_version", U32, "u32"),
        Field("impl_version", U32, "u32"),
        Field("apis", Vec(Tuple(FixedBytes(8), U32), 1 << 8), "ApisVec"),
        Field("transaction_version", U32, "u32"),
        Field("system_version", U8, "u8"),
    ),
    path=("sp_version", "RuntimeVersion"),
)
