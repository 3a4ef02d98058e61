"""Joining and starting Ray: what is said where that is not possible, and who may read the token."""

import os
import socket
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from cluster.launch import FAULT_SETTINGS, attached_cluster, prepare_environment, secure_token
from passivbot.errors import ClusterError


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.usefixtures("ray_cluster")
def test_a_ray_of_our_own_keeps_nothing_for_onlookers() -> None:
    lines = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            lines.append(" ".join(process.cmdline()))
    assert any("gcs_server" in line for line in lines)
    needless = ("log_monitor.py", "autoscaler", "dashboard.py")
    assert not [line for line in lines if any(name in line for name in needless)]
    assert "RAY_task_events_report_interval_ms" not in os.environ, "a cluster's nodes start with their own"


def test_head_that_is_not_there_is_one_line() -> None:
    started = time.monotonic()
    port = closed_port()
    with (
        pytest.raises(ClusterError, match=rf"--address 127\.0\.0\.1:{port}: no Ray head answers there"),
        attached_cluster(f"127.0.0.1:{port}"),
    ):
        pass
    assert time.monotonic() - started < 20


def test_address_of_another_form_is_refused() -> None:
    for address in ("somewhere", "host:99999999", ":1", "ray://host"):
        with (
            pytest.raises(ClusterError, match="allowed is HOST:PORT of a Ray head, or auto"),
            attached_cluster(address),
        ):
            pass


def test_something_else_that_listens_is_refused() -> None:
    """Ray would end the whole process there."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with (
            pytest.raises(ClusterError, match=f"--address {address}: no Ray head"),
            attached_cluster(address),
        ):
            pass


def test_faults_are_seen_quickly_unless_somebody_decided_otherwise() -> None:
    environment = {"RAY_health_check_period_ms": "7"}
    prepare_environment(environment)
    assert environment["RAY_health_check_period_ms"] == "7"
    assert environment["RAY_grpc_client_keepalive_time_ms"] == "2000"
    assert set(FAULT_SETTINGS) <= set(environment)
    assert environment["RAY_USAGE_STATS_ENABLED"] == "0"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_token_is_made_for_its_owner_alone(home: Path) -> None:
    secure_token()
    path = home / ".ray" / "auth_token"
    assert path.stat().st_mode & 0o777 == 0o600
    token = path.read_text()
    assert len(token) == 64
    secure_token()
    assert path.read_text() == token


def test_token_that_others_can_read_is_closed(home: Path) -> None:
    path = home / ".ray" / "auth_token"
    path.parent.mkdir()
    path.write_text("abc")
    path.chmod(0o644)
    secure_token()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == "abc"


def test_no_token_where_none_is_asked_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    secure_token()
    assert list(home.iterdir()) == []
