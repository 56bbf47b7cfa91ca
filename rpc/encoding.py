"""JSON text from Python values."""

import orjson


def encode(value: object) -> bytes:
    """JSON text of a value in which bytes stand for 0x-hex.

    Raises: TypeError for what has no JSON form, whole numbers beyond 64 bits included.
    """
    return orjson.dumps(value, _render)


def _render(value: object) -> str:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    raise TypeError(f"{type(value).__name__} has no JSON form")
