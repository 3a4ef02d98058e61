"""What the scripts say on a machine that lacks something, and that they do nothing twice."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import needed
from tests.packaging.conftest import ROOT

TOOLS = (
    "bash",
    "cat",
    "cut",
    "dirname",
    "env",
    "grep",
    "head",
    "mktemp",
    "rm",
    "sed",
    "sort",
    "tee",
    "uname",
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the scripts read, without an environment."""
    copy = tmp_path / "checkout"
    shutil.copytree(ROOT / "scripts", copy / "scripts")
    shutil.copy(ROOT / "pyproject.toml", copy)
    (copy / "engine-rs").mkdir()
    shutil.copy(ROOT / "engine-rs" / "Cargo.toml", copy / "engine-rs")
    return copy


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A search path with the usual small tools, and neither Python nor Rust nor a C compiler."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        (folder / name).symlink_to(needed(name))
    return folder


def program(path: Path, text: str) -> None:
    path.write_text(f"#!{shutil.which('bash')}\n{text}\n")
    path.chmod(0o755)


def call(checkout: Path, tools: Path, script: str = "build", **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(checkout / "scripts" / script)],
        env={"PATH": str(tools), "HOME": str(checkout), **more},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("script", ["quickstart", "build", "test", "lint"])
def test_no_python(checkout: Path, tools: Path, script: str) -> None:
    done = call(checkout, tools, script)
    assert done.returncode == 2
    assert "error: no CPython 3.11 or newer found" in done.stderr
    assert "python3-venv" in done.stderr


def test_an_old_python_is_named(checkout: Path, tools: Path) -> None:
    program(tools / "python3", 'cat >/dev/null; echo "is version 3.9"; exit 3')
    done = call(checkout, tools)
    assert done.returncode == 2
    assert "python3 is version 3.9" in done.stderr


def test_a_python_that_is_only_a_shim_is_passed_over(checkout: Path, tools: Path) -> None:
    program(tools / "python3.13", "echo 'no such version' >&2; exit 127")
    (tools / "python3").symlink_to(Path(sys.executable).resolve())
    done = call(checkout, tools)
    assert "Making .venv with Python 3." in done.stderr
    assert "python3.13" not in done.stderr


def test_no_rust(checkout: Path, tools: Path) -> None:
    (tools / "python3").symlink_to(Path(sys.executable).resolve())
    done = call(checkout, tools)
    assert done.returncode == 2
    assert "error: no Rust toolchain found" in done.stderr
    assert "rustup" in done.stderr
    assert (checkout / ".venv" / "bin" / "python").exists()


def test_old_rust(checkout: Path, tools: Path) -> None:
    (tools / "python3").symlink_to(Path(sys.executable).resolve())
    program(tools / "cargo", "exit 0")
    program(tools / "rustc", 'echo "rustc 1.60.0 (7737e0b5c 2022-04-04)"')
    done = call(checkout, tools)
    assert done.returncode == 2
    assert "error: Rust 1.60.0 is too old" in done.stderr
    assert "rustup update" in done.stderr


def test_no_linker(checkout: Path, tools: Path) -> None:
    (tools / "python3").symlink_to(Path(sys.executable).resolve())
    home = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True).stdout
    for name in ("cargo", "rustc"):
        (tools / name).symlink_to(Path(home.strip()) / "bin" / name)
    done = call(checkout, tools)
    assert done.returncode == 2
    assert "Rust can't link a program" in done.stderr
    assert "build-essential" in done.stderr


def test_an_unknown_check_is_refused(checkout: Path, tools: Path) -> None:
    done = subprocess.run(
        [str(checkout / "scripts" / "lint"), "mypi"], capture_output=True, text=True, env={"PATH": str(tools)}
    )
    assert done.returncode == 2
    assert "error: there is no check mypi" in done.stderr
    assert "mypy" in done.stderr
    assert not (checkout / ".venv").exists()
