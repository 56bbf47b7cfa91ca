"""A description of all methods for programs (OpenRPC, at /openrpc.json) and for people (docs/rpc-methods.md).

Both come from the methods' declarations: names and parameters, the functions' docstrings and return types.
"""

import types
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, Final, NewType, TypeAlias, Union, get_args, get_origin, get_type_hints

from rpc.dispatch import Method
from rpc.parameters import HASH_SCHEMA, HEX_SCHEMA, Param
from runtime.primitives import Hash

Schema: TypeAlias = dict[str, object]

OPENRPC_VERSION: Final = "1.3.2"

_PLAIN: Final[Mapping[object, Schema]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    bytes: {**HEX_SCHEMA},
    Hash: {**HASH_SCHEMA},
    type(None): {"type": "null"},
    object: {},
}


def document(methods: Iterable[Method], version: str) -> dict[str, object]:
    """The OpenRPC document of some methods; aliases have entries of their own that name what they stand for."""
    entries = [entry for method in methods for entry in _entries(method)]
    return {
        "openrpc": OPENRPC_VERSION,
        "info": {
            "title": "mfchain JSON-RPC",
            "description": "JSON-RPC 2.0 by POST and WebSocket on one URL. Binary is 0x-hex.",
            "version": version,
        },
        "methods": sorted(entries, key=lambda entry: str(entry["name"])),
    }


def table(methods: Iterable[Method]) -> str:
    """All methods as a table in Markdown, sorted by name."""
    lines = ["| method | what it gives | also called |", "|---|---|---|"]
    for method in sorted(methods, key=lambda method: method.name):
        params = ", ".join(param.name if param.required else f"{param.name}?" for param in method.params)
        what = summary(method) + (" *Unsafe.*" if method.unsafe else "")
        aliases = ", ".join(f"`{alias}`" for alias in method.aliases)
        lines.append(f"| `{method.name}({params})` | {what} | {aliases} |")
    return "\n".join(lines) + "\n"


def summary(method: Method) -> str:
    """What a method gives, in a sentence."""
    return (method.handler.__doc__ or "").strip().splitlines()[0]


def _entries(method: Method) -> Iterable[dict[str, object]]:
    entry = {
        "summary": summary(method),
        "tags": [{"name": method.name.partition("_")[0]}, *([{"name": "unsafe"}] if method.unsafe else [])],
        "paramStructure": "either",
        "params": [_param(param) for param in method.params],
        "result": {"name": "result", "schema": _schema(get_type_hints(method.handler)["return"])},
    }
    yield {"name": method.name, **entry}
    for alias in method.aliases:
        yield {"name": alias, **entry, "description": f"Another name of {method.name}."}


def _param(param: Param) -> dict[str, object]:
    schema = param.kind.schema if param.required else {"oneOf": [param.kind.schema, {"type": "null"}]}
    return {"name": param.name, "required": param.required, "schema": schema}


def _schema(annotation: Any) -> Schema:
    """The JSON schema of what a function of this return type gives."""
    known = _PLAIN.get(annotation) if annotation.__hash__ else None
    if known is not None:
        return known
    if isinstance(annotation, NewType):
        return _schema(annotation.__supertype__)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Awaitable:
        return _schema(arguments[0])
    if origin in (Union, types.UnionType):
        schemas: list[Schema] = []
        for argument in arguments:
            schema = _schema(argument)
            if schema not in schemas:
                schemas.append(schema)
        return schemas[0] if len(schemas) == 1 else {"oneOf": schemas}
    if origin in (list, Sequence):
        return {"type": "array", "items": _schema(arguments[0])}
    if origin is tuple:
        return {"type": "array", "prefixItems": [_schema(argument) for argument in arguments]}
    if origin in (dict, Mapping):
        return {"type": "object"}
    raise TypeError(f"no JSON schema is known for {annotation}")
