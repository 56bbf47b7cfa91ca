"""Values that a block makes by the thousand."""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """Make a slotted dataclass that is frozen for the type checker.

    Nothing at run time enforces it: that would make each field of a new object cost as much as five do here.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
