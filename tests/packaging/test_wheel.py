"""What the wheel carries, and that it works where the checkout is not."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program as somebody without our environment would, and return what it printed."""
    inherited = ("HOME", "PATH", "LANG", "TMPDIR", "LD_LIBRARY_PATH")
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={name: os.environ[name] for name in inherited if name in os.environ},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def environment(python: str | Path, wheel: Path, where: Path) -> Path:
    """Make a virtual environment with nothing but the wheel in it; return its interpreter."""
    run(python, "-m", "venv", where / "venv", cwd=where)
    inside = where / "venv" / "bin" / "python"
    run(inside, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=where)
    return inside


def interpreter(version: str) -> str | None:
    """A CPython of this version that starts: on the search path or among those of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [shutil.which(f"python{version}"), *pyenv.glob(f"versions/{version}.*/bin/python")]
    for candidate in map(str, filter(None, found)):
        if subprocess.run([candidate, "-c", "import venv, ensurepip"], capture_output=True).returncode == 0:
            return candidate
    return None


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Interpreter of a fresh environment outside the checkout: the wheel, over the dependencies of ours.

    A folder named in a ``.pth`` file is searched last and its own ``.pth`` files are not read, so the
    editable install of the checkout stays out.
    """
    where = tmp_path_factory.mktemp("installed")
    inside = environment(sys.executable, wheel, where)
    ours = sysconfig.get_path("purelib")
    theirs = run(inside, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=where)
    Path(theirs, "dependencies.pth").write_text(ours)
    return inside


def test_one_wheel_serves_every_python(wheel: Path) -> None:
    assert "-cp311-abi3-" in wheel.name


def test_the_wheel_carries_what_the_program_needs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        configs = {name for name in names if name.startswith("passivbot/_resources/configs/")}
        shipped = {path.name: path.read_bytes() for path in (ROOT / "configs").iterdir() if path.is_file()}
        assert {Path(name).name: archive.read(name) for name in configs} == shipped
        assert "template.json" in shipped
    assert "passivbot/_engine.abi3.so" in names
    assert {"passivbot/py.typed", "cluster/py.typed"} <= names
    demo = [name for name in names if name.startswith("passivbot/market/demo_candles/")]
    assert len([name for name in demo if name.endswith(".parquet")]) > 1
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_wheel_carries_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
        assert not [name for name in archive.namelist() if name.endswith((".pyc", ".rs"))]
        outside = [name.split("/", 1)[1] for name in archive.namelist() if ".data/" in name]
    # Beside our packages one file: by it Ray's dashboard finds our page.
    assert outside == ["purelib/ray/dashboard/modules/passivbot_page.py"]
    assert {top for top in tops if not top.endswith((".dist-info", ".data"))} == {"passivbot", "cluster"}
    assert wheel.stat().st_size < 20_000_000


def test_resources_are_found_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    program = (
        "import passivbot; from passivbot.config.resources import configs_dir; "
        "from passivbot.market import demo_folder; "
        "print(passivbot.__file__, configs_dir(), demo_folder(), sep='\\n')"
    )
    package, configs, demo = map(Path, run(installed, "-c", program, cwd=tmp_path).splitlines())
    home = installed.parent.parent
    assert package.is_relative_to(home)
    assert configs.is_relative_to(home)
    assert (configs / "template.json").is_file()
    assert demo.is_relative_to(home)
    assert list(demo.glob("*.parquet"))


def test_the_program_starts_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    passivbot = installed.parent / "passivbot"
    helped = run(passivbot, "--help", cwd=tmp_path)
    for command in ("optimize", "backtest", "pareto", "study", "config"):
        assert command in helped
    assert run(passivbot, "config", "template", cwd=tmp_path).startswith("{")


@pytest.mark.parametrize("version", ["3.12", "3.13", "3.14"])
def test_the_engine_loads_in_other_pythons(version: str, wheel: Path, tmp_path: Path) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"CPython {version} is not on this machine")
    inside = environment(python, wheel, tmp_path)
    program = "import sys, passivbot._engine as e; print(*sys.version_info[:2], sep='.'); print(e.__file__)"
    said, where = run(inside, "-c", program, cwd=tmp_path).splitlines()
    assert said == version
    assert where.endswith("_engine.abi3.so")
