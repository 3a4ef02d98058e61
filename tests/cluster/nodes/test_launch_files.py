"""The files by which clusters are launched: valid for Ray, and with the settings that make faults visible."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray import __version__ as ray_version
from ray.autoscaler._private.util import prepare_config, validate_config

from cluster.launch import FAULT_SETTINGS

ROOT = Path(__file__).resolve().parent.parent.parent.parent
LAUNCHED = ("ray-cluster.yaml", "deploy/ray-cluster-aws.yaml", "deploy/ray-cluster-gcp.yaml")
PODS = ("deploy/kuberay/raycluster.yaml", "deploy/kuberay/rayjob.yaml")
SETTINGS = {**FAULT_SETTINGS, "RAY_USAGE_STATS_ENABLED": "0"}


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((ROOT / name).read_text()))


@pytest.mark.parametrize("name", LAUNCHED)
def test_ray_accepts_the_file(name: str) -> None:
    validate_config(prepare_config(documents(name)[0]))


@pytest.mark.parametrize("name", LAUNCHED)
def test_every_node_runs_under_the_script_and_asks_for_the_token(name: str) -> None:
    (config,) = documents(name)
    for role in ("head", "worker"):
        commands = config[f"{role}_start_ray_commands"]
        assert sum("/scripts/node --" in command for command in commands) == 1, role
        # A node started beside the script would have other settings.
        assert not [command for command in commands if re.search(r"\bray start\b", command)]
    assert "~/.ray/auth_token" in config["file_mounts"]
    assert "chmod 600 ~/.ray/auth_token" in config["setup_commands"]


def test_script_has_the_settings_of_the_driver() -> None:
    text = (ROOT / "scripts" / "node").read_text()
    exported = dict(re.findall(r"^export (RAY_\w+)=(\S+)$", text, re.MULTILINE))
    assert exported.pop("RAY_AUTH_MODE") == "${RAY_AUTH_MODE:-token}"
    assert exported == SETTINGS


def test_script_refuses_to_run_without_options() -> None:
    done = subprocess.run([ROOT / "scripts" / "node"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "scripts/node --address=HEAD:6379" in done.stderr


def pods(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    spec = document["spec"]
    spec = spec.get("rayClusterSpec", spec)
    yield "head", spec["headGroupSpec"]["template"]["spec"]
    for group in spec["workerGroupSpecs"]:
        yield group["groupName"], group["template"]["spec"]


@pytest.mark.parametrize("name", PODS)
def test_every_pod_has_the_settings(name: str) -> None:
    cluster, claim = documents(name)
    spec = cluster["spec"].get("rayClusterSpec", cluster["spec"])
    assert spec["rayVersion"] == ray_version
    assert spec["authOptions"] == {"mode": "token"}
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    found = dict(pods(cluster))
    assert len(found) == 2
    for role, pod in found.items():
        (container,) = pod["containers"]
        assert {one["name"]: one["value"] for one in container["env"]} == SETTINGS, role
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounts["shm"] == "/dev/shm"
        assert {volume["name"] for volume in pod["volumes"]} == set(mounts)
        assert container["resources"]["requests"] == container["resources"]["limits"]
    claimed = [v["persistentVolumeClaim"] for v in found["head"]["volumes"] if "persistentVolumeClaim" in v]
    assert claimed == [{"claimName": claim["metadata"]["name"]}]


def test_both_manifests_describe_the_same_cluster() -> None:
    alone, job = (documents(name)[0]["spec"] for name in PODS)
    assert alone == job["rayClusterSpec"]
    assert job["shutdownAfterJobFinishes"] is True


def test_image_has_the_program_that_the_manifests_start() -> None:
    text = (ROOT / "deploy" / "cluster.Dockerfile").read_text()
    assert "COPY scripts/node /usr/local/bin/passivbot-node" in text
    assert "PASSIVBOT_CACHE=/cache" in text
    # Which the builder would not see if it were left out of what it is given.
    ignored = (ROOT / "deploy" / "cluster.Dockerfile.dockerignore").read_text().splitlines()
    assert "!scripts/node" in ignored
