"""Runtime APIs: questions to the runtime at the state of a block, with arguments and results in SCALE."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runtime.interface.state import StateReader
from runtime.primitives import BlockRef
from runtime.scale import Codec, Field


@dataclass(frozen=True, slots=True)
class ApiContext:
    """The block at which a question is asked.

    `view` gives what the node derives from the block's state for readers; for an old block that takes time.
    """

    block: BlockRef
    state: StateReader
    view: Callable[[], object]


@dataclass(frozen=True, slots=True)
class ApiMethod:
    """One question: `function(context, *arguments)` answers it without changing anything."""

    name: str
    arguments: tuple[Field, ...]
    result: Codec[Any]
    function: Callable[..., object]
    docs: str


@dataclass(frozen=True, slots=True)
class RuntimeApi:
    """Questions that belong together. One that is not `is_listed` is answered, but the metadata does not name it."""

    name: str
    version: int
    methods: tuple[ApiMethod, ...]
    docs: str
    is_listed: bool = True
