"""The peers: each in an environment of its own, made once; one that cannot be installed is named, not left out."""

import os
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.recommenders.data import I64, Split
from benchmarks.recommenders.scores import F64

_PROGRAM: Final = Path(__file__).with_name("peer_program.py")
_INSTALL_SECONDS: Final = 900
_RUN_SECONDS: Final = 3_600

REQUIREMENTS: Final = {
    "myfm": ("myfm==0.3.6", "numpy<2", "scipy"),
    "surprise": ("scikit-surprise==1.1.5", "numpy<2"),
    "river": ("river",),
    "implicit": ("implicit",),
}
"""What pip gets for each environment; where there is no version, the newest that installs."""

PROGRAMS: Final = {
    "myfm": "myfm",
    "surprise-svd": "surprise",
    "surprise-svd-tuned": "surprise",
    "surprise-svd++": "surprise",
    "river": "river",
    "river-prequential": "river",
    "implicit": "implicit",
}
"""What each peer program runs in."""


class PeerFailed(Exception):
    """A peer cannot be installed or run; the message says why."""


@dataclass(frozen=True, slots=True)
class PeerResult:
    """Means and deviations in stars, where the peer has them, and the CPU seconds that learning took."""

    mean: F64 | None
    deviation: F64 | None
    cpu: float


class Peers:
    """The environments of all peers, in a folder."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        """Take the folder that keeps them."""
        self._folder = folder
        self._say = say
        self._failed: dict[str, str] = {}

    def run(self, program: str, split: Split) -> PeerResult:
        """Learn and predict one split.

        Raises:
            PeerFailed: see there; a peer that failed once is not tried again.
        """
        environment = PROGRAMS[program]
        python = self._python(environment)
        ratings = self._folder / f"{split.name}.npz"
        out = self._folder / f"{program}-{split.name}.npz"
        np.savez(ratings, train=split.train[:, :3], test=split.test[:, :3])
        # One thread, as the others: rates are compared by CPU time.
        single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        command = [str(python), str(_PROGRAM), program, str(ratings), str(out)]
        _run(command, _RUN_SECONDS, {**os.environ, **single})
        with np.load(out) as found:
            return PeerResult(found.get("mean"), found.get("deviation"), float(found["cpu"]))

    def versions(self, program: str) -> str:
        """Return what is installed for a peer."""
        name = REQUIREMENTS[PROGRAMS[program]][0].partition("=")[0]
        command = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]), m.version('numpy'))"
        told = _run([str(self._python(PROGRAMS[program])), "-c", command, name], 60, dict(os.environ))
        version, numpy = told.split()
        return f"{name} {version}, numpy {numpy}"

    def _python(self, environment: str) -> Path:
        """Return the interpreter of an environment, made if need be."""
        if (reason := self._failed.get(environment)) is not None:
            raise PeerFailed(reason)
        folder = self._folder / environment
        python = folder / "bin" / "python"
        done = folder / "installed"
        if done.exists():
            return python
        self._say(f"installing {environment}")
        venv.create(folder, clear=True, with_pip=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        try:
            _run([*command, *REQUIREMENTS[environment]], _INSTALL_SECONDS, dict(os.environ))
        except PeerFailed as error:
            self._failed[environment] = f"cannot be installed with Python {sys.version.split()[0]}: {error}"
            raise PeerFailed(self._failed[environment]) from None
        done.touch()
        return python


def _run(command: list[str], seconds: int, environment: dict[str, str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, env=environment)
    except subprocess.TimeoutExpired:
        raise PeerFailed(f"not done after {seconds} seconds") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "rror" in line] or done.stderr.splitlines() or ["no word"]
        raise PeerFailed(lines[-1].strip())
    return done.stdout


def prequential_of_river(peers: Peers, ratings: I64) -> F64:
    """Means of all ratings, each predicted before it is learned."""
    result = peers.run("river-prequential", Split("prequential", ratings, ratings[:1]))
    assert result.mean is not None
    return result.mean
