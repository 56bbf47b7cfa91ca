# shellcheck shell=bash
# Sourced by scripts/run, scripts/test and .ci/run: finds a Python, checks what the machine lacks,
# makes .venv. Works in bash 3.2 (macOS): no associative arrays, no mapfile.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV="$ROOT/.venv"
ME=${0##*/}

say() { printf '%s: %s\n' "$ME" "$*" >&2; }

# Prints the first Python 3.11 to 3.13 on PATH. MFCHAIN_PYTHON comes first. A pyenv shim of an absent
# version stands on PATH and fails, so each candidate is run, not only looked up.
find_python() {
    local candidate
    for candidate in ${MFCHAIN_PYTHON:+"$MFCHAIN_PYTHON"} python3 python3.12 python3.11 python3.13; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}

# Homebrew keeps headers and libraries where the compiler does not look by itself.
use_homebrew_paths() {
    local prefix
    if [ "$(uname -s)" = Darwin ] && prefix=$(brew --prefix 2>/dev/null); then
        export CPATH="$prefix/include${CPATH:+:$CPATH}"
        export LIBRARY_PATH="$prefix/lib${LIBRARY_PATH:+:$LIBRARY_PATH}"
    fi
}

has_header() { printf '#include <%s>\n' "$1" | cc -E -x c - >/dev/null 2>&1; }

# apt-get, dnf or brew: how this machine installs packages; nothing if none is known.
package_manager() {
    local name
    if [ "$(uname -s)" = Darwin ]; then
        echo brew
        return
    fi
    for name in apt-get dnf; do
        if command -v "$name" >/dev/null 2>&1; then
            echo "$name"
            return
        fi
    done
}

# need WHAT APT DNF BREW: notes that WHAT is missing and the package that brings it.
need() {
    LACKING="${LACKING:+$LACKING, }$1"
    case $MANAGER in
        apt-get) PACKAGES="${PACKAGES:+$PACKAGES }$2" ;;
        dnf) PACKAGES="${PACKAGES:+$PACKAGES }$3" ;;
        brew) PACKAGES="${PACKAGES:+$PACKAGES }$4" ;;
    esac
}

# The distribution's plain python3 serves, unless it is of the wrong version: then a versioned one is named.
need_python() {
    local name=python3
    if python3 -c 'import sys' 2>/dev/null; then
        name=python3.11
        python3 -c 'import sys; sys.exit(sys.version_info[:2] < (3, 14))' 2>/dev/null && name=python3.13
    fi
    need "Python 3.11, 3.12 or 3.13" "$name $name-venv $name-dev" "$name $name-devel" python@3.12
}

check_python_parts() {
    local python=$1 version apt_name dnf_name
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    apt_name=python$version
    dnf_name=${python##*/}
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        need "Python's venv module" "$apt_name-venv" "$dnf_name" "python@$version"
    fi
    if ! "$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' 2>/dev/null; then
        need "Python's C headers" "$apt_name-dev" "$dnf_name-devel" "python@$version"
    fi
}

# Sets PYTHON, MANAGER, LACKING (words for the user) and PACKAGES (names for the package manager).
# Two dependencies are compiled where no wheel fits: fastecdsa (of libp2p; C and gmp) and plyvel
# (C++ and leveldb; its wheels are for Linux on x86_64, Python 3.11 and 3.12).
find_lacking() {
    LACKING='' PACKAGES='' PYTHON=''
    MANAGER=$(package_manager)
    if PYTHON=$(find_python); then check_python_parts "$PYTHON"; else need_python; fi
    use_homebrew_paths
    if ! cc -E -x c /dev/null >/dev/null 2>&1; then
        need "a C compiler" build-essential "gcc gcc-c++" ""
        COMPILER_LACKS=yes
    else
        COMPILER_LACKS=''
    fi
    has_header gmp.h || need "the gmp headers" libgmp-dev gmp-devel gmp
    if ! plyvel_has_wheel; then
        has_header leveldb/c.h || need "the leveldb headers" libleveldb-dev leveldb-devel leveldb
    fi
}

plyvel_has_wheel() {
    [ -n "$PYTHON" ] || return 0 # an absent Python is asked for first
    [ "$(uname -s) $(uname -m)" = "Linux x86_64" ] || return 1
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info[:2] > (3, 12))'
}

# Adds what tests with packages of npm need: node, and npm for the rest.
find_lacking_node() {
    if ! node -e 'process.exit(process.versions.node.split(".")[0] < 18 ? 1 : 0)' 2>/dev/null ||
        ! command -v npm >/dev/null 2>&1; then
        need "node 18 or newer with npm" "nodejs npm" "nodejs npm" node
    fi
}

# Adds the browser in which the tests of the page run; they look for it under the same names.
find_lacking_browser() {
    local name
    for name in ${MFCHAIN_CHROMIUM:+"$MFCHAIN_CHROMIUM"} chromium chromium-browser google-chrome \
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do
        if command -v "$name" >/dev/null 2>&1; then return 0; fi
    done
    need Chromium chromium chromium chromium
}

# The one command that installs PACKAGES on this machine.
install_command() {
    local sudo=''
    [ "$(id -u)" = 0 ] || sudo="sudo "
    case $MANAGER in
        apt-get) echo "${sudo}apt-get update && ${sudo}apt-get install -y $PACKAGES" ;;
        dnf) echo "${sudo}dnf install -y $PACKAGES" ;;
        brew)
            if [ -z "$COMPILER_LACKS" ]; then
                echo "brew install $PACKAGES"
            else # Homebrew itself waits for the compiler, so its part follows
                echo "xcode-select --install${PACKAGES:+ && brew install $PACKAGES}"
            fi
            ;;
    esac
}

# Exits with 2 and the command to run when the machine was found to lack something.
refuse_lacking() {
    local command
    [ -n "$LACKING" ] || return 0
    command=$(install_command)
    if [ -n "$command" ]; then
        say "this machine lacks $LACKING; install with:"
        printf '\n    %s\n\n' "$command" >&2
    else
        say "this machine lacks $LACKING; install that with its package manager"
    fi
    exit 2
}

# The stamps say from which lock file and project file .venv was made; they are written last, so a
# half-made environment is made again.
file_digest() { "$VENV/bin/python" -c 'import hashlib, sys
print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$1" 2>/dev/null; }
stamp_fits() {
    local now
    now=$(file_digest "$2") || return 1
    [ "$(cat "$VENV/$1" 2>/dev/null)" = "$now" ]
}

ensure_venv() {
    if ! stamp_fits .lock-stamp "$ROOT/requirements.lock"; then
        find_lacking
        refuse_lacking
        say "making .venv from requirements.lock with $("$PYTHON" --version 2>&1) (once; a minute or two)"
        "$PYTHON" -m venv --clear "$VENV" || exit 1
        "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
            -r "$ROOT/requirements.lock" || exit 1
        file_digest "$ROOT/requirements.lock" >"$VENV/.lock-stamp"
    fi
    if ! stamp_fits .project-stamp "$ROOT/pyproject.toml"; then
        "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
            --no-build-isolation -e "$ROOT" || exit 1
        file_digest "$ROOT/pyproject.toml" >"$VENV/.project-stamp"
    fi
}

# selects FOLDER ARGUMENTS...: whether these pytest arguments select the tests in tests/FOLDER: all do that name no
# file or folder of other tests.
selects() {
    local folder=$1 argument others=
    shift
    for argument in "$@"; do
        case $argument in
            tests | tests/ | "tests/$folder"*) return 0 ;;
            tests/*) others=yes ;;
        esac
    done
    [ -z "$others" ]
}

# ensure_npm_packages ARGUMENTS...: installs what the tests that these pytest arguments select take from npm.
ensure_npm_packages() {
    local lock folder
    for lock in "$ROOT"/tests/*/package-lock.json; do
        [ -f "$lock" ] || continue
        folder=$(basename "$(dirname "$lock")")
        if selects "$folder" "$@"; then ensure_npm "$folder"; fi
    done
}

# ensure_npm FOLDER: installs what the tests in tests/FOLDER take from npm, when its lock file has changed.
ensure_npm() {
    local folder="$ROOT/tests/$1"
    LACKING='' PACKAGES='' COMPILER_LACKS=''
    MANAGER=$(package_manager)
    if [ "$1" = ui ]; then find_lacking_browser; fi
    if [ -d "$folder/node_modules" ] && stamp_fits ".$1-stamp" "$folder/package-lock.json"; then
        refuse_lacking
        return 0
    fi
    find_lacking_node
    refuse_lacking
    say "installing what tests/$1 takes from npm (once; a minute or two)"
    (cd "$folder" && npm ci --silent) || exit 1
    file_digest "$folder/package-lock.json" >"$VENV/.$1-stamp"
}
