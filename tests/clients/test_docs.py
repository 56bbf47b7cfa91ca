"""The snippets of docs/clients.md run as they stand there, and print what it says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import NodeProcess

pytestmark = pytest.mark.full

FOLDER = Path(__file__).parent
TEXT = (FOLDER.parents[1] / "docs" / "clients.md").read_text()
BLOCKS = re.findall(r"^```(js|python)\n(.*?)^```\n\n```text\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
COMMANDS = {"js": ("node", "--input-type=module", "-"), "python": (sys.executable, "-W", "default", "-")}
ADDRESS = "ws://127.0.0.1:9944"


@pytest.mark.usefixtures("node_modules")
@pytest.mark.parametrize(("language", "code", "printed"), BLOCKS, ids=lambda text: text.splitlines()[0][:40])
def test_a_snippet(node: NodeProcess, language: str, code: str, printed: str) -> None:
    assert ADDRESS in code
    run = subprocess.run(
        COMMANDS[language],
        input=code.replace(ADDRESS, node.url),
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert re.fullmatch(re.escape(printed).replace("…", ".*"), run.stdout), run.stdout


def test_every_snippet_is_run() -> None:
    assert len(BLOCKS) == len(re.findall(r"^```(?:js|python)$", TEXT, re.MULTILINE)) == 5


def test_the_versions_are_those_of_the_lock() -> None:
    """Each client's version, where its lock has it."""
    packages = (FOLDER / "package.json").read_text()
    lock = (FOLDER.parents[1] / "requirements.lock").read_text()
    for name, version in re.findall(r"^\| .*?`([a-z@/-]+)`[^|]*\| ([0-9.]+) \|", TEXT, re.MULTILINE):
        assert f'"{name}": "{version}"' in packages or f"\n{name}=={version} " in lock, name
