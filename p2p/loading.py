"""Loads libp2p, the slowest part of a start.

Its first import takes in every transport and tool that it has. Two HTTP clients, a tenth of that, are only for
certificates and beacons that are not used here: they are loaded when somebody uses them, so never.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any, Final

_UNUSED: Final = ("httpx", "requests")


class Deferred(ModuleType):
    """Stands for a module until one of its attributes is asked for."""

    def __getattr__(self, name: str) -> Any:
        """Load the module; what all modules have does not need that."""
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has not been loaded")
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        module = import_module(self.__name__)
        self.__dict__.update(module.__dict__)
        return getattr(module, name)


def load() -> None:
    """Load what the network needs; in any thread, and at no cost the second time."""
    stand_ins = [Deferred(name) for name in _UNUSED if name not in sys.modules]
    sys.modules.update((module.__name__, module) for module in stand_ins)
    try:
        import_module("p2p.host")
    finally:
        # libp2p keeps them; whoever else imports these modules gets the real ones.
        for module in stand_ins:
            if sys.modules.get(module.__name__) is module:
                del sys.modules[module.__name__]
