"""What a bot says of itself: endpoint, figures, status file, and what is left of one that was killed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import typer
from prometheus_client.parser import text_string_to_metric_families

from passivbot.cli.live_status import status
from passivbot.errors import LiveError
from passivbot.ops.health import Health, serving
from passivbot.ops.metrics import Metrics
from passivbot.ops.run import Settings, operating
from passivbot.ops.status import bots
from tests.ops.test_alerts import Clock, webhook


async def ask(port: int, path: str) -> tuple[int, str]:
    def get() -> tuple[int, str]:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    return await asyncio.to_thread(get)


def test_the_endpoint_answers_to_this_machines_names_alone() -> None:
    """Any web page can have its own name point here, and would read balance and positions."""

    async def run() -> list[int]:
        async with serving(Health(Metrics("a", "n")), 0) as port, aiohttp.ClientSession() as session:
            seen = []
            for host in (f"127.0.0.1:{port}", "localhost", f"evil.example:{port}", "127.0.0.1.evil.example"):
                async with session.get(f"http://127.0.0.1:{port}/status", headers={"Host": host}) as answer:
                    seen.append(answer.status)
        return seen

    assert asyncio.run(run()) == [200, 200, 403, 403]


def test_health_turns_with_late_cycles_and_stops() -> None:
    async def run() -> list[tuple[int, Any]]:
        clock = Clock()
        health = Health(Metrics("a", "n"), late_seconds=180.0, clock=clock)
        seen = []
        async with serving(health, 0) as port:
            for step in ("start", "late", "beat", "stop"):
                if step == "late":
                    clock.now += 181
                elif step == "beat":
                    health.beat(balance=1000.0)
                elif step == "stop":
                    health.stop("the loss stop tripped")
                code, text = await ask(port, "/health")
                seen.append((code, json.loads(text)["problem"]))
        return seen

    assert asyncio.run(run()) == [
        (200, None),
        (503, "no cycle ended for 181 s"),
        (200, None),
        (503, "the loss stop tripped"),
    ]


def test_a_port_that_is_taken_is_an_error() -> None:
    async def run() -> None:
        async with serving(Health(Metrics("a", "n")), 0) as port:
            with pytest.raises(LiveError, match=rf"127\.0\.0\.1:{port}: can't listen .*choose another port"):
                async with serving(Health(Metrics("b", "n")), port):
                    pass

    asyncio.run(run())


def test_prometheus_can_read_the_figures() -> None:
    async def run() -> str:
        metrics = Metrics("bybit_01", "main")
        metrics.orders.labels("create", "ok").inc(3)
        metrics.exposure.labels("BTC", "long").set(0.25)
        metrics.own_seconds.observe(0.003)
        async with serving(Health(metrics), 0) as port:
            return (await ask(port, "/metrics"))[1]

    families = {f.name: f for f in text_string_to_metric_families(asyncio.run(run()))}
    assert families["passivbot_bot_info"].samples[0].labels == {"account": "bybit_01", "name": "main"}
    orders = families["passivbot_orders"].samples[0]
    assert (orders.labels, orders.value) == ({"action": "create", "outcome": "ok"}, 3.0)
    assert families["passivbot_exposure"].samples[0].value == 0.25
    assert {"passivbot_cycle_own_seconds", "passivbot_websocket_up", "passivbot_guard_trips"} <= set(families)


def test_everything_around_a_bot_at_once(tmp_path: Path) -> None:
    async def run() -> tuple[Any, Any, list[Any]]:
        async with webhook() as (url, taken):
            settings = Settings(root=tmp_path, webhook=url, console=None)
            async with operating("bybit_01", "main", settings) as ops:
                ops.health.beat(version=3, balance=1000.0, positions=["BTC long 0.1"])
                ops.tripped("exposure", "the entry would exceed the cap", coin="BTC")
                found = await asyncio.to_thread(bots, tmp_path)
        return found[0], bots(tmp_path)[0], taken

    during, after, alerts = asyncio.run(run())
    assert (during.state, during.well) == ("running", True)
    assert during.document["balance"] == 1000.0
    assert (after.state, after.well) == ("ended", True)
    assert after.document["positions"] == ["BTC long 0.1"]
    assert [alert["kind"] for alert in alerts] == ["guard"]
    log = (tmp_path / "bots" / "bybit_01" / "bot.log").read_text()
    assert json.loads(log.splitlines()[0])["guard"] == "exposure"


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSIVBOT_WEBHOOK", "https://x/y")
    monkeypatch.setenv("PASSIVBOT_PORT", "9100")
    settings = Settings.from_environment(level=2)
    assert (settings.webhook, settings.port, settings.level, settings.log_remote) == (
        "https://x/y",
        9100,
        2,
        None,
    )
    monkeypatch.setenv("PASSIVBOT_PORT", "70000")
    with pytest.raises(LiveError, match="PASSIVBOT_PORT is '70000'; allowed is a number from 0 to 65535"):
        Settings.from_environment()


BOT = """
    import asyncio, sys
    from pathlib import Path
    from passivbot.ops.run import Settings, operating

    async def main():
        async with operating("okx_01", "main", Settings(root=Path(sys.argv[1]), console=None)) as ops:
            ops.health.beat(configuration="main version 2", balance=54321.0, positions=["ETH short -2"])
            ops.health.status["guards"] = ["balance: it fell to 0, not believed yet"]
            ops.health.beat(max_exposure=1.75, loss_stop=True, mode="tp_only")
            ops.health.beat(idle=[f"{coin} long: too dear" for coin in "ABCDEFGH"])
            print("ready", flush=True)
            await asyncio.sleep(600)

    asyncio.run(main())
"""


def test_a_bot_of_another_process_is_seen_alive_and_dead(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-c", textwrap.dedent(BOT), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        status(None, False, tmp_path)
        shown = capsys.readouterr().out
        assert "okx_01" in shown
        assert "main version 2" in shown
        assert "ETH short -2" in shown
        assert "okx_01: balance: it fell to 0, not believed yet" in shown
        assert "okx_01: a loss stop holds: no entries, until --clear-loss-stop" in shown
        assert "okx_01: mode tp_only on every coin and side, by --mode" in shown
        assert "1.75" in shown, "the cap"
        assert "54,321.00" in shown
        assert "okx_01: not entered: F long: too dear\n" in shown
        assert "okx_01: not entered: 2 more, which --json names\n" in shown
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    (bot,) = bots(tmp_path)
    assert (bot.state, bot.well) == ("died", False)
    path = tmp_path / "bots" / "okx_01" / "status.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"at": document["at"] - 7200.0}))
    (later,) = bots(tmp_path)
    assert later.document["seconds_since_cycle"] >= bot.document["seconds_since_cycle"] + 7200.0
    with pytest.raises(typer.Exit):
        status(None, False, tmp_path)
    assert "2 h 00 min ago" in capsys.readouterr().out
    with pytest.raises(LiveError, match="no bot has run on bybit_01 from this folder"):
        bots(tmp_path, "bybit_01")


def test_a_damaged_status_is_shown_as_such(tmp_path: Path) -> None:
    folder = tmp_path / "bots" / "x"
    folder.mkdir(parents=True)
    (folder / "status.json").write_text("{")
    (bot,) = bots(tmp_path)
    assert not bot.well
    assert "can't be read" in bot.state
