"""Strict reading of JSON documents that people write.

Every member is asked for by name and type, and what nobody asked for is refused: a misspelt member would
otherwise be a silent default. Fractions are decimals, exactly as written, never binary floats.
"""

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NoReturn

MILLION: Final = 1_000_000

_MILLIONTH: Final = Decimal("0.000001")
_SHOWN: Final = 40
_PLAIN: Final = re.compile(r"[\w\[\]-]{1,40}")


class DocumentError(ValueError):
    """The document is not what it should be; the message begins with the path of the member at fault."""


class _Required:
    """Stands for the default of a member that must be there."""


REQUIRED: Final = _Required()


def parse_object(data: bytes) -> "Section":
    """Parse a document whose outermost value is an object.

    Raises:
        DocumentError: it is not JSON, or not of that kind.
    """
    try:
        value = json.loads(
            data.decode("utf-8"),
            parse_float=Decimal,
            parse_constant=_refuse_constant,
            object_pairs_hook=_unique_members,
        )
    except UnicodeDecodeError as error:
        raise DocumentError(f"not UTF-8 text (at byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise DocumentError(f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise DocumentError("not JSON of ours: it is nested too deep") from None
    except InvalidOperation:
        raise DocumentError("a number in it is out of every range") from None
    except DocumentError:
        raise
    except ValueError:
        # The interpreter refuses to convert integers of thousands of digits.
        raise DocumentError("a number in it is out of every range") from None
    return Section("", _object("", value))


def _refuse_constant(name: str) -> NoReturn:
    raise DocumentError(f"not JSON: {name} is no number of JSON")


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise DocumentError(f"the member {shown(name)} occurs twice in one object")
        members[name] = value
    return members


class Section:
    """An object of the document, from which members are taken one by one."""

    def __init__(self, path: str, members: Mapping[str, Any]) -> None:
        """Take the object's members; `path` names it in messages and is empty for the document."""
        self._path = path
        self._left = dict(members)

    def path(self, name: str) -> str:
        """The path of a member."""
        name = name if _PLAIN.fullmatch(name) else shown(name)
        return f"{self._path}.{name}" if self._path else name

    def fail(self, name: str, why: str) -> NoReturn:
        """Refuse a member."""
        raise DocumentError(f"{self.path(name)}: {why}")

    def integer(self, name: str, low: int, high: int, default: int | _Required = REQUIRED) -> int:
        """Take a whole number."""
        value = self._take(name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            self.fail(name, f"must be a whole number, not {shown(value)}")
        if not low <= value <= high:
            wanted = f"from {low} to {high}" if low < high else f"{low}"
            self.fail(name, f"must be {wanted}, not {shown(value)}")
        return value

    def millionths(self, name: str, high: int, default: int | _Required = REQUIRED) -> int:
        """Take a decimal that is not negative, as a number of millionths."""
        if name not in self._left and isinstance(default, int):
            return default
        value = self._take(name, default)
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            self.fail(name, f"must be a number, not {shown(value)}")
        if not 0 <= value <= Decimal(high) / MILLION:
            self.fail(name, f"must be from 0 to {decimal_text(high)}, not {shown(value)}")
        exact = Decimal(value)
        rounded = exact.quantize(_MILLIONTH)
        if rounded != exact:
            self.fail(name, f"must have 6 decimals at most, not {shown(value)}")
        return int(rounded.scaleb(6))

    def text(self, name: str, default: str | _Required = REQUIRED) -> str:
        """Take a text."""
        return self._text(name, self._take(name, default))

    def texts(self, name: str) -> list[str]:
        """Take a list of texts, which may be missing."""
        return [self._text(f"{name}[{index}]", value) for index, value in enumerate(self._list(name))]

    def section(self, name: str) -> "Section":
        """Take an object, which may be missing if all of its members may be."""
        return Section(self.path(name), _object(self.path(name), self._take(name, {})))

    def sections(self, name: str) -> Iterator["Section"]:
        """Take a list of objects, which may be missing."""
        for index, value in enumerate(self._list(name)):
            path = self.path(f"{name}[{index}]")
            yield Section(path, _object(path, value))

    def remaining_texts(self) -> dict[str, str]:
        """Take all members, whatever they are called: each is a text."""
        members = {name: self._text(name, value) for name, value in self._left.items()}
        self._left.clear()
        return members

    def end(self) -> None:
        """Refuse members that nobody has taken."""
        for name in self._left:
            self.fail(name, "there is no such member")

    def _take(self, name: str, default: Any) -> Any:
        value = self._left.pop(name, default)
        if value is REQUIRED:
            self.fail(name, "is missing")
        return value

    def _list(self, name: str) -> list[Any]:
        value = self._take(name, [])
        if not isinstance(value, list):
            self.fail(name, f"must be a list, not {shown(value)}")
        return value

    def _text(self, name: str, value: Any) -> str:
        if not isinstance(value, str):
            self.fail(name, f"must be a text, not {shown(value)}")
        if any("\ud800" <= character <= "\udfff" for character in value):
            self.fail(name, "is not valid Unicode text")
        return value


def _object(path: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DocumentError(f"{path or 'the document'}: must be an object, not {shown(value)}")
    return value


def decimal_text(millionths: int) -> str:
    """A number of millionths as a decimal without superfluous zeros."""
    whole, fraction = divmod(millionths, MILLION)
    return f"{whole}.{fraction:06}".rstrip("0").rstrip(".")


def shown(value: object) -> str:
    """A value of the document, short enough for a message."""
    if isinstance(value, Decimal):
        text = str(value)
    elif isinstance(value, int) and abs(value) >= 10**_SHOWN:
        text = "a number with too many digits"
    else:
        text = json.dumps(value, default=str)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
