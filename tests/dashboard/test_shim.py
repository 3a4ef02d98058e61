"""The file by which Ray's dashboard finds the page: whatever it meets, Ray goes on."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from aiohttp import web

import cluster.dashboard
from cluster.dashboard.bar import with_script
from tests.ray_head import ray_head

ROOT = Path(__file__).resolve().parent.parent.parent
SHIM = ROOT / "wheel-data" / "purelib" / "ray" / "dashboard" / "modules" / "passivbot_page.py"


def test_the_installed_shim_is_that_of_the_checkout() -> None:
    """`scripts/build` installs it, as every wheel does."""
    found = importlib.util.find_spec("ray.dashboard.modules.passivbot_page")
    assert found is not None, "run scripts/build"
    assert found.origin is not None
    assert Path(found.origin).read_text() == SHIM.read_text(), "run scripts/build"


@pytest.mark.parametrize(
    "module", ["raise RuntimeError('broken')", "raise SystemExit(3)", "import no_such_thing", "syntax error"]
)
def test_a_broken_page_is_logged_and_left_out(tmp_path: Path, module: str) -> None:
    _break(tmp_path, module)
    text = "import runpy, sys, types; sys.modules['ray.dashboard.head'] = types.ModuleType('head')"
    ran = subprocess.run(
        [sys.executable, "-c", f"{text}; runpy.run_path(sys.argv[1])", str(SHIM)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "the page of passivbot-cluster is left out" in ran.stderr


def test_the_agents_of_nodes_import_nothing_of_it(tmp_path: Path) -> None:
    _break(tmp_path, "raise RuntimeError('imported')")
    ran = subprocess.run(
        [sys.executable, str(SHIM)], env={"PYTHONPATH": str(tmp_path)}, capture_output=True, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")


def test_ray_starts_with_a_page_that_fails_to_import(tmp_path: Path) -> None:
    """A real head: its dashboard answers, without the page and with its own index."""
    _break(tmp_path, "raise RuntimeError('broken on purpose')")
    with ray_head(RAY_AUTH_MODE="disabled", PYTHONPATH=str(tmp_path)) as head:
        status, text = head.get("/")
        assert status == 200
        assert "passivbot" not in text
        assert head.get("/pareto/")[0] == 404
        assert head.get("/api/version")[0] == 200
        log = "".join(path.read_text() for path in head.logs.glob("dashboard*"))
        assert "broken on purpose" in log


def test_ray_is_capped_at_the_version_that_was_tried() -> None:
    """Raising the cap fails here, until the tests of the dashboard were run with that Ray.

    ``tests/browser/test_ray_dashboard.py`` tells whether the page works; then ``TRIED_RAY`` may be raised.
    """
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (ray,) = [need for need in needs if need.startswith("ray[")]
    low, high = re.fullmatch(r"ray\[default\]>=(\d+\.\d+),<(\d+\.\d+)", ray).groups()  # type: ignore[union-attr]
    assert low == cluster.dashboard.TRIED_RAY
    major, minor = map(int, low.split("."))
    assert high == f"{major}.{minor + 1}"
    assert version("ray").startswith(f"{low}.")


def test_ray_has_what_the_page_builds_on() -> None:
    """Each private part by name, so that a newer Ray says which one went."""
    from ray.dashboard.optional_utils import DashboardHeadRouteTable
    from ray.dashboard.subprocesses.module import SubprocessModule
    from ray.dashboard.subprocesses.routes import SubprocessRouteTable
    from ray.experimental import internal_kv

    from cluster.dashboard.bar import _ray_index

    assert isinstance(DashboardHeadRouteTable._routes, web.RouteTableDef)
    assert isinstance(DashboardHeadRouteTable._routes._items, list)
    assert callable(SubprocessRouteTable.get)
    assert isinstance(SubprocessModule.gcs_client, property)
    for name in ("_internal_kv_get", "_internal_kv_put", "_internal_kv_list", "_internal_kv_del"):
        assert callable(getattr(internal_kv, name))
    index = _ray_index().read_text()
    assert with_script(index).count("passivbot-pareto") == 1
    with pytest.raises(ValueError, match="head"):
        with_script("<html></html>")


def _break(folder: Path, module: str) -> None:
    """Write a package that is imported in place of ours."""
    place = folder / "cluster" / "dashboard"
    place.mkdir(parents=True)
    for package in (place.parent, place):
        (package / "__init__.py").touch()
    (place / "module.py").write_text(module)
