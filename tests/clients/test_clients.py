"""Clients of Substrate that nobody here wrote work with a node as they are.

Each client has a script of named steps in its own language, which prints the name of each step that has passed.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import NodeProcess

pytestmark = pytest.mark.full

FOLDER = Path(__file__).parent
PATIENCE = 100

_STEP = re.compile(r"""^ *('[^'\n]+'|"[^"\n]+"): (?:async|[a-z_0-9]+,$)""", re.MULTILINE)


def passed(node: NodeProcess, given: Path, *command: str | Path) -> list[str]:
    """Run a client's script; return the steps that have passed, which are all of it."""
    script = FOLDER / command[-1]
    run = subprocess.run(
        [*command[:-1], script, node.url, given],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    return run.stdout.splitlines()


def steps(script: str) -> list[str]:
    """The names of the steps in a script, in its order."""
    text = (FOLDER / script).read_text()
    return [
        name[1:-1] for name in re.findall(r"""^ *('[^'\n]+'|"[^"\n]+"): (?:async|[a-z_0-9]+,$)""", text, re.MULTILINE)
    ]


@pytest.mark.usefixtures("node_modules")
@pytest.mark.parametrize(("script", "least"), [("polkadot_js.mjs", 24), ("papi.mjs", 15), ("proof.mjs", 5)])
def test_a_client_of_npm(node: NodeProcess, given: Path, script: str, least: int) -> None:
    names = passed(node, given, "node", script)
    assert names == steps(script)
    assert len(names) >= least


@pytest.mark.usefixtures("node_modules")
def test_sealed_headers_of_a_ring(ring: NodeProcess, given: Path) -> None:
    names = passed(ring, given, "node", "sealed.mjs")
    assert names == steps("sealed.mjs")
    assert len(names) >= 5


@pytest.mark.usefixtures("node_modules")
def test_dedot_by_the_new_interface_and_by_the_old(node: NodeProcess, given: Path) -> None:
    names = passed(node, given, "node", "dedot.mjs")
    each = steps("dedot.mjs")
    assert names == [f"{client}: {name}" for client in ("LegacyClient", "DedotClient") for name in each]
    assert len(each) >= 15


def test_substrate_interface(node: NodeProcess, given: Path) -> None:
    names = passed(node, given, sys.executable, "-W", "default", "substrate_interface.py")
    assert names == steps("substrate_interface.py")
    assert len(names) >= 14
