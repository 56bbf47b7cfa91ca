"""Sequences of fixed-width records as numpy arrays."""
# ruff: noqa: D102 -- the overrides do what Codec says of them

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from runtime.scale.basic import Codec, Integer
from runtime.scale.composite import Array, Struct, Tuple, Vec
from runtime.scale.reader import Reader, ScaleError, check_length, encode_compact

S = TypeVar("S", bound=np.generic)


@dataclass(frozen=True, slots=True)
class PackedArray(Codec[NDArray[S]], Generic[S]):
    """A Vec or an Array of fixed-width records that is a numpy array in Python.

    `plain` is the equivalent element-wise codec: same bytes, and what the metadata describes. Encoding and
    decoding copy memory once and do no work per element. A decoded array is one-dimensional and read-only.
    """

    plain: Vec[Any] | Array[Any]
    dtype: np.dtype[S]
    _label: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_label", self.plain.label)
        if _codec_layout(self.plain.inner) != _dtype_layout(self.dtype):
            raise ValueError(f"the layout of {self.dtype} is not that of {self.plain.inner.label}")

    @property
    def label(self) -> str:
        return self._label

    @property
    def min_size(self) -> int:
        return self.plain.min_size

    def encode(self, value: NDArray[S]) -> bytes:
        if value.ndim != 1 or value.dtype != self.dtype:
            raise ScaleError(f"{self._label} takes a vector of {self.dtype}, not {value.ndim} axes of {value.dtype}")
        if isinstance(self.plain, Vec):
            check_length(len(value), self.plain.max_length, self._label)
            return encode_compact(len(value)) + value.tobytes()
        if len(value) != self.plain.length:
            raise ScaleError(f"{self._label} takes {self.plain.length} elements, not {len(value)}")
        return value.tobytes()

    def read(self, reader: Reader) -> NDArray[S]:
        if isinstance(self.plain, Vec):
            count = reader.length(self.dtype.itemsize, self.plain.max_length, self._label)
        else:
            count = self.plain.length
        return np.frombuffer(reader.take(count * self.dtype.itemsize, self._label), self.dtype)


_Layout = list[tuple[int, bool]]


def _codec_layout(codec: Codec[Any]) -> _Layout | None:
    """Bits and sign of each integer of a fixed-width record, in wire order; None if it is no such record."""
    if isinstance(codec, Integer):
        return [(codec.bits, codec.signed)]
    if isinstance(codec, Tuple):
        parts = list(codec.inner)
    elif isinstance(codec, Struct):
        parts = [item.codec for item in codec.fields]
    elif isinstance(codec, Array):
        parts = [codec.inner] * codec.length
    else:
        return None
    layouts = [_codec_layout(part) for part in parts]
    return None if None in layouts else [item for layout in layouts if layout for item in layout]


def _dtype_layout(dtype: np.dtype[Any]) -> _Layout:
    """The same of a numpy dtype; ValueError if it has padding, is big-endian or no integer."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return _dtype_layout(base) * int(np.prod(shape))
    if dtype.names is None:
        if dtype.kind not in "iu" or dtype != dtype.newbyteorder("<"):
            raise ValueError(f"{dtype} is not a little-endian integer")
        return [(8 * dtype.itemsize, dtype.kind == "i")]
    layout: _Layout = []
    position = 0
    for name in dtype.names:
        part, offset = dtype.fields[name][:2] if dtype.fields else (dtype, 0)
        if offset != position:
            raise ValueError(f"{dtype} has padding before {name}")
        layout += _dtype_layout(part)
        position += part.itemsize
    if position != dtype.itemsize:
        raise ValueError(f"{dtype} has padding at its end")
    return layout
