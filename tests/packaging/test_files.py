"""Files at the top of the project that other programs read."""

import copy
from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.packaging.conftest import ROOT


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text())


def test_the_cluster_file_passes_rays_validation() -> None:
    prepared = prepare_config(read(ROOT / "ray-cluster.yaml"))
    validate_config(prepared)
    assert prepared["provider"]["type"] == "local"


def test_rays_validation_finds_a_wrong_key() -> None:
    wrong = copy.deepcopy(read(ROOT / "ray-cluster.yaml"))
    wrong["head_start_commands"] = wrong.pop("head_start_ray_commands")
    with pytest.raises(Exception, match="head_start_commands"):
        validate_config(prepare_config(wrong))


def test_hooks_run_checks_that_exist() -> None:
    (repository,) = read(ROOT / ".pre-commit-config.yaml")["repos"]
    lint = (ROOT / "scripts" / "lint").read_text()
    assert repository["hooks"]
    for hook in repository["hooks"]:
        script, check = hook["entry"].split()
        assert script == "scripts/lint"
        assert f"\n{check}() {{" in lint
