"""The bundles of the page are what their sources and their lock file make."""

import json
import re
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.full

ROOT = Path(__file__).parents[2]
LOCKS = sorted(path for path in ROOT.glob("*/*/package-lock.json"))
PATIENCE = 100


@pytest.mark.long
def test_the_bundles_in_the_repository_are_those_that_npm_gives() -> None:
    told = subprocess.run(
        [ROOT / "scripts" / "vendor_ui", "--check"], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr


def test_unknown_arguments_are_answered_with_the_usage() -> None:
    told = subprocess.run(
        [ROOT / "scripts" / "vendor_ui", "--bogus"], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert told.returncode == 2
    assert "scripts/vendor_ui --check" in told.stdout


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.parent.name)
def test_locks_pin_every_package_by_its_hash_and_name_no_address(lock: Path) -> None:
    content = json.loads(lock.read_text(encoding="utf-8"))
    packages = {name: entry for name, entry in content["packages"].items() if name}
    assert packages
    for name, entry in packages.items():
        assert entry["integrity"].startswith("sha512-"), name
        assert "resolved" not in entry, name
    wanted = json.loads((lock.parent / "package.json").read_text(encoding="utf-8"))
    for version in {**wanted.get("dependencies", {}), **wanted.get("devDependencies", {})}.values():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)


def test_each_bundled_package_stands_with_its_licence() -> None:
    licences = (ROOT / "rpc" / "ui" / "vendor" / "LICENSES.txt").read_text(encoding="utf-8")
    lock = json.loads((ROOT / "scripts" / "ui_bundles" / "package-lock.json").read_text(encoding="utf-8"))
    named = re.findall(r"^(\S+) (\d+\.\d+\.\d+) \((?:Apache-2\.0|MIT|0BSD|ISC|BSD-3-Clause)\)$", licences, re.MULTILINE)
    assert {"@polkadot/keyring", "@polkadot/util-crypto", "@polkadot/extension-dapp"} <= {name for name, _ in named}
    versions = {
        (name.rpartition("node_modules/")[2], entry["version"]) for name, entry in lock["packages"].items() if name
    }
    assert set(named) <= versions
    assert "no text of its own" not in licences
