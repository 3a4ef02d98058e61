"""What machines compare depends on the program alone, not on where somebody stands."""

from pathlib import Path

import pytest

from cluster.check import Report, misfits, own_facts
from cluster.fingerprint import fingerprint
from cluster.nodes import Machine
from passivbot.market import generate
from passivbot.market.store import VARIABLE, Store


def test_a_store_that_lies_there_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint()
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    store = Store.open("candles", create=True)
    tables, _ = generate({"BTC": "calm", "ETH": "trend"}, seed=3, minutes=20 * 1440)
    for coin, table in tables.items():
        store.write("binance", coin, table, source="test", spans=None, date="2025-04-01")
    assert fingerprint() == before
    assert own_facts()["wheel_fault"] is None


def test_a_wheel_that_does_not_work_here_is_not_blamed_on_the_others() -> None:
    own = own_facts()
    broken = {**own, "engine": None, "result": None, "sources": None, "wheel_fault": "OSError: damaged"}
    report = Report(Machine(id="n1", address="192.0.2.1", host="other", cpus=2, object_store=0), own)
    assert misfits(report, own) == []
    assert misfits(report, broken) == [
        "can't be compared: the wheel does not work on this machine (OSError: damaged)"
    ]
