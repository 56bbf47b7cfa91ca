"""Log lines on standard error, for people or for programs."""

import json
import logging
from datetime import UTC, datetime
from typing import Final

from node.config import LogConfig, LogFormat

_OURS: Final = ("node", "p2p", "rpc", "storage")
_NAMES: Final = {logging.WARNING: "warn", logging.CRITICAL: "error"}


class TextFormatter(logging.Formatter):
    """A line an event: local time, level, module, text; what others wrote cannot steer the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the traceback below it if there is one."""
        time = datetime.fromtimestamp(record.created).astimezone()
        text = "".join(
            character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in record.getMessage()
        )
        clock = f"{time:%Y-%m-%d %H:%M:%S}.{time.microsecond // 1000:03}"
        line = f"{clock} {_level(record).upper():<5} {record.name}: {text}"
        return line if record.exc_info is None else f"{line}\n{self.formatException(record.exc_info)}"


class JsonFormatter(logging.Formatter):
    """An object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object as one line of ASCII."""
        time = datetime.fromtimestamp(record.created, UTC)
        entry = {
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": _level(record),
            "target": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info is not None:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def _level(record: logging.LogRecord) -> str:
    return _NAMES.get(record.levelno, record.levelname.lower())


def start_logging(config: LogConfig) -> None:
    """Log as configured. Of other people's packages only warnings are of interest, unless they are named."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if config.format is LogFormat.JSON else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, config.level))
    for name in _OURS:
        logging.getLogger(name).setLevel(config.level)
    for name, level in config.targets:
        logging.getLogger(name).setLevel(level)
