"""SCALE: the one codec of everything that consensus hashes or signs.

A codec is a frozen value that describes a type completely, so that the same object encodes, decodes and
later writes the type's entry in the metadata. Codecs nest as a finite tree, which bounds the recursion;
every length is compared with its limit and with the bytes that are left before anything is allocated; and
each value has exactly one encoding (compacts are minimal, a bool is 0 or 1): decoding and encoding again
gives the same bytes.
"""

from runtime.scale.basic import (
    ACCOUNT_ID,
    BLOCK_NUMBER,
    BOOL,
    H256,
    I8,
    I16,
    I32,
    I64,
    I128,
    NONCE,
    SLOT,
    U8,
    U16,
    U32,
    U64,
    U128,
    Boolean,
    Bytes,
    Codec,
    Compact,
    Described,
    FixedBytes,
    Integer,
    Text,
)
from runtime.scale.composite import (
    UNIT,
    Array,
    Enum,
    Err,
    Field,
    Option,
    Result,
    Struct,
    Tuple,
    Variant,
    Vec,
    shown_name,
    variant,
)
from runtime.scale.fixed import FixedLayout, layout_of
from runtime.scale.packed import PackedArray
from runtime.scale.reader import Reader, ScaleError, encode_compact

__all__ = [
    "ACCOUNT_ID",
    "BLOCK_NUMBER",
    "BOOL",
    "H256",
    "I8",
    "I16",
    "I32",
    "I64",
    "I128",
    "NONCE",
    "SLOT",
    "U8",
    "U16",
    "U32",
    "U64",
    "U128",
    "UNIT",
    "Array",
    "Boolean",
    "Bytes",
    "Codec",
    "Compact",
    "Described",
    "Enum",
    "Err",
    "Field",
    "FixedBytes",
    "FixedLayout",
    "Integer",
    "Option",
    "PackedArray",
    "Reader",
    "Result",
    "ScaleError",
    "Struct",
    "Text",
    "Tuple",
    "Variant",
    "Vec",
    "encode_compact",
    "layout_of",
    "shown_name",
    "variant",
]
