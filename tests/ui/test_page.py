"""The web page in a real browser, against real nodes: each file of stories is one test here.

The stories are in JavaScript, as the page is; Node.js runs them with Playwright and the Chromium of the machine.
"""

import hashlib
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

pytestmark = pytest.mark.full

HERE = Path(__file__).parent
PATIENCE = 100


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """What the stories import, from the lock file; installed anew when that has changed."""
    modules = HERE / "node_modules"
    lock = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    stamp = modules / ".stamp"
    if not stamp.exists() or stamp.read_text() != lock:
        npm = shutil.which("npm")
        assert npm is not None, "npm is missing: scripts/test says how to install it"
        subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=HERE, check=True, timeout=PATIENCE)
        stamp.write_text(lock)
    return modules


@pytest.mark.usefixtures("node_modules")
@pytest.mark.parametrize("story", sorted(path.name for path in HERE.glob("*.test.mjs")))
def test_story(story: str) -> None:
    node = shutil.which("node")
    assert node is not None, "Node.js is missing: scripts/test says how to install it"
    environment = {**os.environ, "MFCHAIN_BIN": sysconfig.get_path("scripts"), "NODE_OPTIONS": ""}
    told = subprocess.run(
        [node, "--test", "--test-reporter=spec", f"--test-timeout={PATIENCE * 1_000}", story],
        cwd=HERE,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE + 5,
        check=False,
    )
    assert told.returncode == 0, f"{told.stdout}\n{told.stderr}"
