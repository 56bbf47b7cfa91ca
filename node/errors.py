"""How the command mfchain-node fails: an exit code and one line that says why."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process ends with; scripts and service managers rely on the numbers."""

    STOPPED = 0
    FAILED = 1
    USAGE = 2
    DATABASE_REFUSED = 3
    PORT_IN_USE = 4


class NodeError(Exception):
    """The command cannot do what it was asked to; the message is whole and fits one line."""

    def __init__(self, exit_code: ExitCode, message: str) -> None:
        """Keep the exit code beside the message."""
        super().__init__(message)
        self.exit_code = exit_code


class UsageError(NodeError):
    """An option or argument has a value that makes no sense, or contradicts another."""

    def __init__(self, message: str) -> None:
        """Take the message."""
        super().__init__(ExitCode.USAGE, message)


def first_error(error: BaseException) -> BaseException:
    """What went wrong first: tasks fail together, in groups of groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
