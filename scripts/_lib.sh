# shellcheck shell=bash
# What the scripts share: find the tools, make .venv, install, build. Sourced, never run.
#
# The environment lies in .venv beside this folder. Two fingerprints in it say what was installed and what was
# built; while they hold, preparing costs a fraction of a second.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=$ROOT/.venv
PYTHON_MIN="3.11"

export PIP_DISABLE_PIP_VERSION_CHECK=1
export PIP_NO_INPUT=1

say() { printf '%s\n' "$*" >&2; }

die() {
    printf 'error: %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '  %s\n' "$@" >&2
    exit 2
}

# Prints nothing and succeeds if the interpreter $1 can carry the project; else prints the reason and fails.
python_fault() {
    "$1" - 2>/dev/null <<'PY' || { [ $? -eq 3 ] || echo "does not start"; return 1; }
import sys
import sysconfig

def refuse(reason):
    print(reason)
    raise SystemExit(3)

if sys.implementation.name != "cpython":
    refuse(f"is {sys.implementation.name}, not CPython")
if sys.version_info < (3, 11):
    refuse("is version {}.{}".format(*sys.version_info))
if sysconfig.get_config_var("Py_GIL_DISABLED"):
    refuse("is a free-threaded build")
try:
    import ensurepip, venv
except ImportError:
    refuse("lacks the modules venv and ensurepip (Debian and Ubuntu: apt install python3-venv)")
PY
}

# Sets PYTHON to a usable interpreter, or ends with what was tried.
find_python() {
    local name reason tried=()
    for name in ${PYTHON:+"$PYTHON"} python3.14 python3.13 python3.12 python3.11 python3; do
        command -v "$name" >/dev/null || continue
        if reason=$(python_fault "$name"); then
            PYTHON=$(command -v "$name")
            return
        fi
        tried+=("$name $reason")
    done
    die "no CPython $PYTHON_MIN or newer found" ${tried[@]+"${tried[@]}"} \
        "Install one (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python)," \
        "or name one: PYTHON=/path/to/python3 $0"
}

# Checks that Rust compiles and links here.
find_rust() {
    local wanted found scratch report
    [ -d "$HOME/.cargo/bin" ] && PATH=$PATH:$HOME/.cargo/bin
    if ! command -v cargo >/dev/null || ! command -v rustc >/dev/null; then
        die "no Rust toolchain found (cargo and rustc)" \
            "Install one from https://rustup.rs, open a new terminal and run this again."
    fi
    wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$ROOT/engine-rs/Cargo.toml")
    found=$(rustc --version | cut -d' ' -f2)
    [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] ||
        die "Rust $found is too old; the engine needs $wanted" "Update it: rustup update"
    scratch=$(mktemp -d)
    if ! report=$(echo 'fn main() {}' | rustc --crate-name probe -o "$scratch/probe" - 2>&1); then
        rm -rf "$scratch"
        die "Rust can't link a program: $(printf '%s\n' "$report" | grep -m 1 '^error' || echo "no working linker")" \
            "Install a C compiler (Debian, Ubuntu: apt install build-essential; macOS: xcode-select --install)."
    fi
    rm -rf "$scratch"
}

# Hash over the names and bytes of the given files and folders; cargo's target folders are left out.
fingerprint() {
    "$VENV/bin/python" - "$@" <<'PY'
import hashlib
import sys
from pathlib import Path

digest = hashlib.sha256()
for top in map(Path, sys.argv[1:]):
    for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
        if path.is_file() and "target" not in path.relative_to(top).parts:
            digest.update(str(path).encode() + b"\0" + path.read_bytes() + b"\0")
print(digest.hexdigest())
PY
}

# prepare [GROUP]: .venv with the project in it, editable, the engine built for release, and with a group the
# packages of that dependency group of pyproject.toml. Does only what is missing or has changed.
prepare() {
    local group=${1:-} wanted stamp

    # An environment that is broken, too old or was moved with its folder is made anew.
    if ! [ -x "$VENV/bin/python" ] || ! python_fault "$VENV/bin/python" >/dev/null ||
        [ "$(cat "$VENV/.root" 2>/dev/null || echo "$ROOT")" != "$ROOT" ]; then
        find_python
        say "Making .venv with $("$PYTHON" --version) ($PYTHON)"
        "$PYTHON" -m venv --clear "$VENV"
    fi
    printf '%s\n' "$ROOT" >"$VENV/.root"
    PATH=$VENV/bin:$PATH # pip runs the build backend by its name

    wanted=$(fingerprint "$ROOT/pyproject.toml")
    stamp=$VENV/.packages${group:+-$group}
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        find_rust
        say "Installing the Python packages and building the engine (some minutes the first time)"
        "$VENV/bin/python" -m pip install --quiet --upgrade "pip>=25.1" "$(build_requirement)"
        "$VENV/bin/python" -m pip install --quiet --no-build-isolation --editable "$ROOT" \
            ${group:+--group "$ROOT/pyproject.toml:$group"}
        engine_fingerprint >"$VENV/.engine"
        printf '%s\n' "$wanted" | tee "$stamp" >"$VENV/.packages"
    elif [ "$(cat "$VENV/.engine" 2>/dev/null)" != "$(engine_fingerprint)" ]; then
        find_rust
        say "Building the engine"
        "$VENV/bin/python" -m pip install --quiet --no-build-isolation --no-deps --editable "$ROOT"
        engine_fingerprint >"$VENV/.engine"
    fi
}

# Source and product together: a debug build put in place by hand is noticed too. Beside them what else the wheel installs.
engine_fingerprint() { fingerprint "$ROOT/engine-rs" "$ROOT/wheel-data" "$ROOT"/passivbot/_engine*.so; }

# The build backend as pyproject.toml names it, installed beside the project so that builds are incremental.
build_requirement() {
    "$VENV/bin/python" -c '
import sys, tomllib
print(*tomllib.load(open(sys.argv[1], "rb"))["build-system"]["requires"])' "$ROOT/pyproject.toml"
}
