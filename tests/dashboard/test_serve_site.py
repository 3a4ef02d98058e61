"""What the page's addresses answer, by the server as it runs, on a real socket."""

import asyncio
import http.client
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from passivbot.config import Config
from passivbot.errors import ResourceError
from passivbot.study.definition import Definition
from passivbot.study.select import METHODS, pick, ranking
from passivbot.study.serve.desk import Desk
from passivbot.study.serve.server import address, listen, serve
from passivbot.study.serve.site import Site
from passivbot.study.study import Study, study_id
from tests.demo_study import demo, write_demo

COUNT = 96


@contextmanager
def served(desk: Desk) -> Iterator[str]:
    """Serve a desk from a thread, at the address that comes."""
    listener = listen(0)
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def until() -> None:
        await ended.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve(Site(desk), listener, until)))
    thread.start()
    try:
        yield address(listener)
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(20)
        loop.close()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    write_demo(folder / "one", COUNT).close()
    write_demo(folder / "gone candles", COUNT, scenario=_elsewhere()).close()
    return folder


def _elsewhere() -> dict[str, Any]:
    definition: Definition = demo(COUNT)[0]
    return {**definition.scenario, "candles": "/nowhere/candles"}


@pytest.fixture(scope="module")
def page(root: Path) -> Iterator[str]:
    with served(Desk(roots=[root])) as found:
        yield found


def ask(page: str, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    place = urlsplit(page)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
    try:
        connection.request(method, f"/{path}", headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def data(page: str, path: str) -> Any:
    status, _, body = ask(page, path)
    assert status == 200, body
    return json.loads(body)


def test_the_page_asks_nobody_else(page: str) -> None:
    status, headers, body = ask(page, "")
    assert status == 200
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    text = body.decode()
    assert set(re.findall(r'(?:src|href)="([^"#][^"]*)"', text)) == {
        "data:,",
        *re.findall(r"plotly\.js\?v=[\d.]+", text),
    }
    status, headers, body = ask(page, "plotly.js?v=1")
    assert status == 200
    assert headers["Content-Type"].startswith("text/javascript")
    assert len(body) > 1_000_000


def test_a_study_and_its_candidates(page: str, root: Path) -> None:
    cards = data(page, "api/studies")["studies"]
    assert {card["name"]: card["candidates"] for card in cards} == {"one": COUNT, "gone candles": COUNT}
    key = study_id(root / "one")
    shown = data(page, f"api/studies/{key}")
    with Study.open(root / "one") as study:
        members = study.members()
        numbers = members.numbers.tolist()
        assert shown["front"]["candidate"] == numbers
        candidate = numbers[1]
        facts = data(page, f"api/studies/{key}/candidates/{candidate}")
        one = study.results(study.row(candidate))
    assert facts["metrics"]["adg"] == one.metric("adg")[0]
    assert facts["member"]
    assert facts["replay"] is None
    assert (
        facts["promote"] == f"passivbot promote {root / 'one'} --candidate {candidate} --to one-{candidate}"
    )
    assert {**facts["parameters"], **facts["fixed"]} == dict(
        zip(one.parameter_names, one.rows.parameters[0].tolist(), strict=True)
    )
    for limit in facts["limits"]:
        assert limit["kept"] == (limit["margin"] >= 0)
        assert limit["margin"] == pytest.approx((limit["limit"] - limit["value"]) / limit["limit"])
    config = data(page, f"api/studies/{key}/candidates/{candidate}/config")
    assert Config.from_dict(config).bot
    assert config["_provenance"]["candidate"] == candidate


def test_ranks_are_those_of_the_methods(root: Path) -> None:
    with Study.open(root / "one") as study:
        members = study.members()
        ranks = ranking(members)
    assert set(ranks) == set(METHODS) - {"min"}
    for method, places in ranks.items():
        assert sorted(places) == list(range(1, len(members) + 1))
        assert places[pick(members, method)] == 1


def test_equity_is_run_again_and_compared(page: str, root: Path) -> None:
    key = study_id(root / "one")
    candidate = data(page, f"api/studies/{key}")["front"]["candidate"][0]
    curve = data(page, f"api/studies/{key}/candidates/{candidate}/equity")
    assert curve["deviations"] == []
    assert curve["metrics"] == len(demo(COUNT)[0].metrics)
    assert len(curve["time_ms"]) == len(curve["equity"]) == len(curve["balance"]) > 10
    assert curve["time_ms"] == sorted(curve["time_ms"])
    assert curve["equity"][0] == curve["balance"][0]
    facts = data(page, f"api/studies/{key}/candidates/{candidate}")
    assert facts["replay"]["deviations"] == []


def test_without_candles_the_page_says_so(page: str, root: Path) -> None:
    key = study_id(root / "gone candles")
    facts = data(page, f"api/studies/{key}/candidates/0")
    assert facts["candles"] == {**facts["candles"], "here": False, "place": "/nowhere/candles"}
    status, _, body = ask(page, f"api/studies/{key}/candidates/0/equity")
    assert status == 409
    assert "not on the machine of this page" in json.loads(body)["error"]


def test_a_wrong_metric_in_the_log_is_told(tmp_path: Path) -> None:
    """The log says 1 more than the engine: the replay finds it."""
    definition, rows = demo(COUNT)
    with write_demo(tmp_path / "wrong", COUNT, only=[]) as log:
        changed = rows[0].metrics.copy()
        changed[definition.metrics.index("adg")] += 1.0
        log.append([type(rows[0])(0, rows[0].parameters, changed)])
    with served(Desk(folders=[tmp_path / "wrong"])) as page:
        key = study_id(tmp_path / "wrong")
        curve = data(page, f"api/studies/{key}/candidates/0/equity")
    assert [text.split(":")[0] for text in curve["deviations"]] == ["adg"]


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [
        ("api/studies/nothing", 404, "no such study"),
        ("api/studies/KEY/candidates/99999", 404, "not in the log"),
        ("api/studies/KEY/fronts/7", 404, "not kept"),
        ("api/studies/KEY/candidates/x", 404, "no such address"),
        ("api/studies/../../etc/passwd", 404, "no such"),
        ("page.css", 404, "no such address"),
    ],
)
def test_what_is_not_there_is_one_line(page: str, root: Path, path: str, status: int, word: str) -> None:
    found, _, body = ask(page, path.replace("KEY", study_id(root / "one")))
    assert found == status
    assert word in json.loads(body)["error"]


def test_nothing_is_changed_and_no_other_name_is_answered(page: str) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert ask(page, "api/studies", method)[0] == 405
    assert ask(page, "api/studies", Host="evil.example:80")[0] == 403
    assert ask(page, "api/studies", Host="127.0.0.1.evil.example")[0] == 403
    assert ask(page, "api/studies", Host="localhost:1")[0] == 200
    assert ask(page, "", "HEAD")[0] == 200


def test_it_listens_on_this_machine_alone() -> None:
    with listen(0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
        port = listener.getsockname()[1]
        with pytest.raises(ResourceError, match=f"--port {port}"):
            listen(port)


def test_a_taken_port_is_passed_over() -> None:
    with listen(None) as first, listen(None) as second:
        assert first.getsockname()[1] != second.getsockname()[1]


def test_many_readers_at_once(page: str, root: Path) -> None:
    key = study_id(root / "one")
    answers: list[int] = []

    def read() -> None:
        for path in ("", f"/candidates/{len(answers) % COUNT}", "/candidates/1/equity"):
            answers.append(ask(page, f"api/studies/{key}{path}")[0])

    threads = [threading.Thread(target=read) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 36
