"""scripts/run and scripts/test on machines that lack things: a made-up PATH stands for the machine."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytestmark = pytest.mark.full

ROOT = Path(__file__).parents[2]
TOOLS = (
    "bash",
    "cat",
    "cp",
    "basename",
    "dirname",
    "mkdir",
    "sed",
    "chmod",
    "env",
    "grep",
    "tail",
    "tee",
    "mktemp",
    "rm",
)

# A Python that makes environments out of shell scripts and notes what pip was asked for. Real code
# (`-c`) goes to the real interpreter, unless the machine is said to lack the part that it looks for.
FAKE_PYTHON = """#!/usr/bin/env bash
case "$1 $2" in
    *ensurepip*) [ -z "$NO_VENV" ] ;;
    *Python.h*) [ -z "$NO_PYTHON_H" ] ;;
    "-c "*"> (3, 12)"*) [ "${VERSION:-3.12}" = 3.13 ] && exit 1; exit 0 ;;
    "-c "*"%d.%d"*) echo "${VERSION:-3.12}" ;;
    "-c "*version_info*) exec "$REAL_PYTHON" -c "import sys
sys.version_info = tuple(map(int, '${VERSION:-3.12}'.split('.')))
$2" ;;
    "-c "*) exec "$REAL_PYTHON" "$@" ;;
    "--version "*) echo "Python ${VERSION:-3.12}" ;;
    "-m venv")
        echo "venv" >>"$LOG"
        rm -rf "$4"
        mkdir -p "$4/bin"
        cp "$0" "$4/bin/python"
        for t in mfchain-node ruff mypy lint-imports; do
            made="$4/bin/$t"
            printf '#!/usr/bin/env bash\\necho "%s $*" >>"$LOG"\\n[ "$FAILING" != %s ]\\n' $t $t >"$made"
            chmod +x "$made"
        done
        ;;
    "-m pip")
        shift 2
        echo "pip $*" >>"$LOG"
        [ "$FAILING" != pip ]
        ;;
    "-m pytest")
        shift 2
        echo "pytest $*" >>"$LOG"
        echo "====== 3 passed in 0.10s ======"
        [ "$FAILING" != pytest ]
        ;;
esac
"""


@dataclass
class Machine:
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def checkout(self) -> Path:
        return self.folder / "checkout"

    @property
    def log(self) -> list[str]:
        path = self.folder / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines

    def program(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def compiler(self, *headers: str) -> None:
        """A preprocessor that knows these headers only."""
        known = "\n".join(f'    *"<{header}>"*) exit 0 ;;' for header in headers)
        last = "${@: -1}"
        self.program("cc", f'#!/usr/bin/env bash\n[ "{last}" != - ] && exit\ncase "$(cat)" in\n{known}\nesac\nexit 1\n')

    def run(self, script: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": str(self.folder / "bin"),
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
            "LOG": str(self.folder / "log"),
            "REAL_PYTHON": sys.executable,
            **self.settings,
            **settings,
        }
        return subprocess.run(
            [self.folder / "bin" / "bash", self.checkout / script, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Linux on x86_64 with apt-get, root, Python 3.12, a compiler and all headers."""
    made = Machine(tmp_path)
    (tmp_path / "bin").mkdir()
    shutil.copytree(ROOT / "scripts", made.checkout / "scripts")
    shutil.copytree(ROOT / ".ci", made.checkout / ".ci")
    (made.checkout / "requirements.lock").write_text("first\n")
    (made.checkout / "pyproject.toml").write_text("first\n")
    for folder in ("clients", "ui"):
        (made.checkout / "tests" / folder).mkdir(parents=True)
        (made.checkout / "tests" / folder / "package-lock.json").write_text("first\n")
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (made.folder / "bin" / tool).symlink_to(found)
    made.program("python3", FAKE_PYTHON)
    made.program("uname", '#!/usr/bin/env bash\n[ "$1" = -m ] && echo ${ARCH:-x86_64} || echo ${SYSTEM:-Linux}\n')
    made.program("id", "#!/usr/bin/env bash\necho ${USER_ID:-0}\n")
    made.program("apt-get", '#!/usr/bin/env bash\necho "apt-get $*" >>"$LOG"\n')
    made.compiler("gmp.h", "leveldb/c.h")
    made.program("chromium", "#!/usr/bin/env bash\n")
    made.program("node", "#!/usr/bin/env bash\nexit ${OLD_NODE:-0}\n")
    npm = 'echo "npm $*" >>"$LOG"\n[ "$FAILING" = npm ] && exit 1\nmkdir -p node_modules\n'
    made.program("npm", f"#!/usr/bin/env bash\n{npm}")
    return made


MAKING = "run: making .venv from requirements.lock with Python {} (once; a minute or two)\n"
PIP = "pip install --quiet --disable-pip-version-check"


def lock_install(machine: Machine) -> str:
    return f"{PIP} --require-hashes -r {machine.checkout}/requirements.lock"


def project_install(machine: Machine) -> str:
    return f"{PIP} --no-deps --no-build-isolation -e {machine.checkout}"


def test_first_use_makes_the_environment_and_runs_a_development_node(machine: Machine) -> None:
    result = machine.run("scripts/run")
    assert result.stderr == MAKING.format("3.12")
    assert result.returncode == 0
    assert machine.log == ["venv", lock_install(machine), project_install(machine), "mfchain-node --dev"]

    assert machine.run("scripts/run", "--chain", "local").stderr == ""
    assert machine.log == ["mfchain-node --chain local"]


def test_a_changed_lock_remakes_the_environment(machine: Machine) -> None:
    machine.run("scripts/run")
    (machine.checkout / "requirements.lock").write_text("second\n")
    _ = machine.log
    machine.run("scripts/run")
    assert machine.log == ["venv", lock_install(machine), project_install(machine), "mfchain-node --dev"]


def test_a_changed_project_file_installs_only_the_project(machine: Machine) -> None:
    machine.run("scripts/run")
    (machine.checkout / "pyproject.toml").write_text("second\n")
    _ = machine.log
    machine.run("scripts/run")
    assert machine.log == [project_install(machine), "mfchain-node --dev"]


def test_a_failed_install_is_made_again(machine: Machine) -> None:
    assert machine.run("scripts/run", FAILING="pip").returncode == 1
    assert machine.log == ["venv", lock_install(machine)]
    machine.run("scripts/run")
    assert machine.log == ["venv", lock_install(machine), project_install(machine), "mfchain-node --dev"]


def without_compiler(machine: Machine) -> None:
    (machine.folder / "bin" / "cc").unlink()


def without_gmp(machine: Machine) -> None:
    machine.compiler("leveldb/c.h")


def without_leveldb(machine: Machine) -> None:
    machine.compiler("gmp.h")


def on_fedora(machine: Machine) -> None:
    (machine.folder / "bin" / "apt-get").rename(machine.folder / "bin" / "dnf")
    machine.compiler()


def on_fedora_without_python(machine: Machine) -> None:
    on_fedora(machine)
    machine.compiler("gmp.h")
    without_python(machine)


def on_a_mac(machine: Machine) -> None:
    machine.settings |= {"SYSTEM": "Darwin", "ARCH": "arm64", "USER_ID": "501"}
    machine.program("brew", "#!/usr/bin/env bash\necho /opt/homebrew\n")
    machine.compiler()


def on_a_new_mac(machine: Machine) -> None:
    on_a_mac(machine)
    without_compiler(machine)


def on_an_arm(machine: Machine) -> None:
    machine.settings["ARCH"] = "aarch64"
    without_leveldb(machine)


def with_python_313(machine: Machine) -> None:
    machine.settings["VERSION"] = "3.13"
    without_leveldb(machine)


def without_python(machine: Machine) -> None:
    (machine.folder / "bin" / "python3").unlink()


def with_old_python(machine: Machine) -> None:
    machine.settings["VERSION"] = "3.9"


def with_new_python(machine: Machine) -> None:
    machine.settings["VERSION"] = "3.14"


def with_bare_debian_python(machine: Machine) -> None:
    machine.settings |= {"NO_VENV": "yes", "NO_PYTHON_H": "yes", "USER_ID": "1000"}


def without_package_manager(machine: Machine) -> None:
    (machine.folder / "bin" / "apt-get").unlink()
    without_gmp(machine)


def install(command: str) -> str:
    return f"; install with:\n\n    {command}\n\n"


def apt(packages: str, sudo: str = "") -> str:
    return install(f"{sudo}apt-get update && {sudo}apt-get install -y {packages}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_gmp, "the gmp headers" + apt("libgmp-dev")),
        (without_compiler, "a C compiler, the gmp headers" + apt("build-essential libgmp-dev")),
        (on_fedora, "the gmp headers" + install("dnf install -y gmp-devel")),
        (
            on_fedora_without_python,
            "Python 3.11, 3.12 or 3.13" + install("dnf install -y python3 python3-devel"),
        ),
        (on_a_mac, "the gmp headers, the leveldb headers" + install("brew install gmp leveldb")),
        (
            on_a_new_mac,
            "a C compiler, the gmp headers, the leveldb headers"
            + install("xcode-select --install && brew install gmp leveldb"),
        ),
        (on_an_arm, "the leveldb headers" + apt("libleveldb-dev")),
        (with_python_313, "the leveldb headers" + apt("libleveldb-dev")),
        (without_python, "Python 3.11, 3.12 or 3.13" + apt("python3 python3-venv python3-dev")),
        (with_old_python, "Python 3.11, 3.12 or 3.13" + apt("python3.11 python3.11-venv python3.11-dev")),
        (with_new_python, "Python 3.11, 3.12 or 3.13" + apt("python3.13 python3.13-venv python3.13-dev")),
        (
            with_bare_debian_python,
            "Python's venv module, Python's C headers" + apt("python3.12-venv python3.12-dev", "sudo "),
        ),
        (without_package_manager, "the gmp headers; install that with its package manager\n"),
    ],
)
def test_what_is_lacking_is_named_with_one_command(
    machine: Machine, change: Callable[[Machine], None], message: str
) -> None:
    change(machine)
    result = machine.run("scripts/run")
    assert (result.stderr, result.stdout) == (f"run: this machine lacks {message}", "")
    assert result.returncode == 2
    assert machine.log == []


def test_the_wheel_of_plyvel_makes_leveldb_headers_unnecessary(machine: Machine) -> None:
    without_leveldb(machine)
    assert machine.run("scripts/run").returncode == 0


def test_a_broken_shim_is_passed_over(machine: Machine) -> None:
    (machine.folder / "bin" / "python3").rename(machine.folder / "bin" / "python3.13")
    for name in ("python3", "python3.12", "python3.11"):
        machine.program(name, "#!/usr/bin/env bash\nexit 127\n")
    machine.settings["VERSION"] = "3.13"
    result = machine.run("scripts/run")
    assert result.stderr == MAKING.format("3.13")


def test_all_checks_run_and_are_summed_up(machine: Machine) -> None:
    machine.run("scripts/run")
    _ = machine.log
    result = machine.run("scripts/test", "tests/rpc", "-k", "two words")
    assert result.stderr == ""
    assert machine.log == [
        "ruff check --quiet .",
        "ruff format --check --quiet .",
        "mypy ",
        "lint-imports --no-cache",
        "pytest -n auto --dist loadfile --no-loadscope-reorder tests/rpc -k two words",
    ]
    assert result.stdout.endswith("\nscripts/test: all passed\n")
    assert result.returncode == 0


def test_quick_leaves_out_what_takes_long_and_long_adds_it(machine: Machine) -> None:
    machine.run("scripts/run")
    _ = machine.log
    machine.run("scripts/test", "--quick", "-x")
    quick = machine.log
    machine.run("scripts/test", "--long")
    assert quick == [
        "ruff check --quiet .",
        "ruff format --check --quiet .",
        "lint-imports --no-cache",
        "pytest -n auto --dist loadfile --no-loadscope-reorder --quick -x",
    ]
    assert machine.log[-1] == "pytest -n auto --dist loadfile --no-loadscope-reorder --long"


NPM = "npm ci --silent"


@pytest.mark.parametrize(
    ("arguments", "folders"),
    [
        ((), {"clients", "ui"}),
        (("-x",), {"clients", "ui"}),
        (("--long",), {"clients", "ui"}),
        (("tests",), {"clients", "ui"}),
        (("tests/rpc", "tests/clients/test_clients.py"), {"clients"}),
        (("tests/ui",), {"ui"}),
        (("tests/rpc",), set()),
        (("--quick",), set()),
    ],
)
def test_what_tests_take_from_npm_is_installed_once_where_it_is_wanted(
    machine: Machine, arguments: tuple[str, ...], folders: set[str]
) -> None:
    machine.run("scripts/run")
    _ = machine.log
    assert machine.run("scripts/test", *arguments).returncode == 0
    assert machine.log.count(NPM) == len(folders)
    assert {path.parent.name for path in machine.checkout.glob("tests/*/node_modules")} == folders
    assert machine.run("scripts/test", *arguments).returncode == 0
    assert NPM not in machine.log


@pytest.mark.parametrize("folder", ["clients", "ui"])
def test_packages_of_npm_are_installed_again_when_their_lock_changes_or_it_failed(
    machine: Machine, folder: str
) -> None:
    machine.run("scripts/run")
    _ = machine.log
    assert machine.run("scripts/test", FAILING="npm").returncode == 1
    assert machine.log == [NPM]
    machine.run("scripts/test")
    (machine.checkout / "tests" / folder / "package-lock.json").write_text("second\n")
    _ = machine.log
    machine.run("scripts/test")
    assert machine.log[:2] == [NPM, "ruff check --quiet ."]


@pytest.mark.parametrize("lacks", ["node", "npm", "new node"])
def test_the_tests_of_clients_ask_for_node(machine: Machine, lacks: str) -> None:
    machine.run("scripts/run")
    _ = machine.log
    if lacks == "new node":
        machine.settings["OLD_NODE"] = "1"
    else:
        (machine.folder / "bin" / lacks).unlink()
    result = machine.run("scripts/test")
    assert result.stderr == "test: this machine lacks node 18 or newer with npm" + apt("nodejs npm")
    assert (result.returncode, machine.log) == (2, [])
    assert machine.run("scripts/test", "--quick").returncode == 0
    _ = machine.log
    machine.run(".ci/run")
    assert machine.log[:2] == ["apt-get update -qq", "apt-get install -y -qq nodejs npm"]


def test_the_tests_of_the_page_ask_for_a_browser(machine: Machine) -> None:
    machine.run("scripts/test")
    (machine.folder / "bin" / "chromium").unlink()
    _ = machine.log
    result = machine.run("scripts/test")
    assert result.stderr == "test: this machine lacks Chromium" + apt("chromium")
    assert (result.returncode, machine.log) == (2, [])
    assert machine.run("scripts/test", "tests/rpc").returncode == 0
    assert machine.run("scripts/test", "--quick").returncode == 0
    _ = machine.log
    machine.run(".ci/run")
    assert machine.log[:2] == ["apt-get update -qq", "apt-get install -y -qq chromium"]
    machine.program("chromium-browser", "#!/usr/bin/env bash\n")
    assert machine.run("scripts/test").returncode == 0


@pytest.mark.parametrize("failing", ["ruff", "mypy", "lint-imports", "pytest"])
def test_one_failure_fails_the_whole_and_stops_nothing(machine: Machine, failing: str) -> None:
    machine.run("scripts/test")
    _ = machine.log
    result = machine.run("scripts/test", FAILING=failing)
    assert len(machine.log) == 5
    assert result.stdout.count("FAILED") == (3 if failing == "ruff" else 2)
    assert result.stdout.endswith("\nscripts/test: FAILED\n")
    assert result.returncode == 1


def test_ci_installs_what_is_missing_and_closes_with_the_line_of_pytest(machine: Machine) -> None:
    machine.run("scripts/run")
    without_gmp(machine)
    _ = machine.log
    result = machine.run(".ci/run")
    assert machine.log[:2] == ["apt-get update -qq", "apt-get install -y -qq libgmp-dev"]
    assert result.stdout.endswith("scripts/test: all passed\n====== 3 passed in 0.10s ======\n")
    assert result.returncode == 0
    assert machine.run(".ci/run", FAILING="pytest").returncode == 1


def test_the_scripts_are_executable_and_use_no_bash_4() -> None:
    for name in ("scripts/run", "scripts/test", ".ci/run"):
        assert os.access(ROOT / name, os.X_OK)
    for name in ("scripts/run", "scripts/test", "scripts/environment.sh", ".ci/run"):
        text = (ROOT / name).read_text()
        for newer in ("declare -A", "mapfile", "readarray", "${1^", "${1,", "&>>", "|&", "local -n"):
            assert newer not in text.replace("no mapfile", ""), f"{name}: {newer}"
