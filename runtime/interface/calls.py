"""Calls: what an extrinsic asks of a pallet."""

from collections.abc import Callable
from dataclasses import dataclass, field

from runtime.interface.context import Context
from runtime.interface.origin import Origin
from runtime.interface.weights import DispatchClass
from runtime.primitives import AccountId
from runtime.scale import Field, FixedLayout, Reader, layout_of
from runtime.values import value


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a pallet; `index` is written down and never reused.

    `function(context, origin, *arguments)` checks its origin, then everything else, then writes, then
    deposits its event. `weight(*arguments)` bounds its cost before it runs. `admit(context, account, *arguments)`
    raises InvalidTransaction for a transaction that must not be in a block, not even as a failed one; pools ask it too.
    """

    index: int
    name: str
    arguments: tuple[Field, ...]
    function: Callable[..., None]
    weight: Callable[..., int]
    docs: str
    dispatch_class: DispatchClass = DispatchClass.NORMAL
    admit: Callable[..., None] | None = None
    layout: FixedLayout | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """See whether the arguments have fixed width."""
        object.__setattr__(self, "layout", layout_of([argument.codec for argument in self.arguments]))


@value
class DecodedCall:
    """A call with its arguments, ready to be dispatched."""

    pallet: str
    call: Call
    arguments: tuple[object, ...]

    @property
    def weight(self) -> int:
        """Return the bound on the cost, in picoseconds."""
        return self.call.weight(*self.arguments)

    def admit(self, context: Context, account: AccountId) -> None:
        """Raise InvalidTransaction if a transaction of this account with this call must not be in the block."""
        if self.call.admit is not None:
            self.call.admit(context, account, *self.arguments)

    def dispatch(self, context: Context, origin: Origin) -> None:
        """Run the call; raises what the call raises."""
        self.call.function(context, origin, *self.arguments)


def read_arguments(call: Call, reader: Reader) -> tuple[object, ...]:
    """Decode the arguments of `call`."""
    return tuple(argument.codec.read(reader) for argument in call.arguments)
