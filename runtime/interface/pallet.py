"""A pallet: storage, calls, events, errors, constants and hooks under one name and index."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime.interface.apis import RuntimeApi
from runtime.interface.calls import Call
from runtime.interface.context import Context
from runtime.interface.errors import PalletError
from runtime.interface.events import Event
from runtime.interface.storage import StateWriter, StorageMap, StorageValue
from runtime.scale import Codec


@dataclass(frozen=True, slots=True)
class Constant:
    """A value of the chain that clients read from the metadata."""

    name: str
    codec: Codec[Any]
    value: object
    docs: str


class Hooks:
    """What a pallet does outside of its calls; every hook does nothing unless a pallet overrides it."""

    def genesis(self, state: StateWriter) -> None:
        """Write the pallet's part of the genesis state."""

    def on_initialize(self, context: Context) -> None:
        """Run before the first extrinsic of a block."""

    def on_finalize(self, context: Context) -> None:
        """Run after the last extrinsic of a block."""

    def inherent(self, data: Mapping[str, int]) -> bytes | None:
        """Return the encoded call that an author puts first into its block, if the pallet has one."""
        return None

    def inherent_call(self) -> int | None:
        """Return the index of the call that every block must contain once, unsigned, if there is one."""
        return None

    def optional_inherents(self) -> tuple[int, ...]:
        """Return the indices of the calls that a block may contain, unsigned, once each, behind the inherents.

        Such a call has no sender who could be told of a failure: a block in which it fails is invalid.
        """
        return ()


@dataclass(frozen=True, slots=True)
class Pallet:
    """Everything the runtime, the metadata and the clients know of a pallet."""

    name: str
    index: int
    docs: str
    storage: tuple[StorageValue[Any] | StorageMap[Any, Any], ...] = ()
    calls: tuple[Call, ...] = ()
    events: tuple[Event, ...] = ()
    errors: tuple[PalletError, ...] = ()
    constants: tuple[Constant, ...] = ()
    apis: tuple[RuntimeApi, ...] = ()
    hooks: Hooks = field(default_factory=Hooks)
