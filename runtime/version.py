"""The version of a runtime: what a transaction's signature commits to and what clients ask first."""

from dataclasses import dataclass

from runtime.primitives import blake2b_64, to_hex


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
