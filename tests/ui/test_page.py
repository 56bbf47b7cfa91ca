"""The web page in a real browser, against real nodes: each file of stories is one test here.

The stories are in JavaScript, as the page is; Node.js runs them with Playwright and the Chromium of the machine.
"""

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

pytestmark = pytest.mark.full

HERE = Path(__file__).parent
# A browser and a network of nodes on a busy machine: the stories take a tenth of it on an idle one.
PATIENCE = 200


@pytest.mark.timeout(PATIENCE + 60)
@pytest.mark.parametrize("story", sorted(path.name for path in HERE.glob("*.test.mjs")))
def test_story(story: str) -> None:
    assert (HERE / "node_modules").is_dir(), "run `npm ci` in tests/ui, or scripts/test"
    node = shutil.which("node")
    assert node is not None, "Node.js is missing: scripts/test says how to install it"
    told = subprocess.run(
        [node, "--test", "--test-reporter=spec", f"--test-timeout={PATIENCE * 1_000}", story],
        cwd=HERE,
        env={**os.environ, "MFCHAIN_BIN": sysconfig.get_path("scripts")},
        capture_output=True,
        text=True,
        timeout=PATIENCE + 30,
        check=False,
    )
    assert told.returncode == 0, f"{told.stdout}\n{told.stderr}"
