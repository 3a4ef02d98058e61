"""The page of studies without a cluster, served as a person does it, in a real browser."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from passivbot.study.select import METHODS, pick
from passivbot.study.study import Results, Study, study_id
from tests.browser.conftest import CANDIDATES, Browser
from tests.demo_study import demo, write_demo

READY = (
    "return page.study && document.querySelector('#front-plot .plot-container') && page.study.front.candidate"
)
# From the middle of the plot's box to the first point of the front.
POINT = """
const plot = document.getElementById("front-plot"), box = plot.getBoundingClientRect();
const trace = plot.data.find((t) => t.name === "front"), {xaxis, yaxis} = plot._fullLayout;
const x = xaxis._offset + xaxis.d2p(trace.x[0]), y = yaxis._offset + yaxis.d2p(trace.y[0]);
return [x - box.width / 2, y - box.height / 2];
"""
RANGE = "return [...document.getElementById('front-plot').layout.xaxis.range]"
SHOWN = "return page.points().find((trace) => trace.name === 'front').candidates"


def serve(*arguments: str, cwd: Path | None = None) -> tuple[subprocess.Popen[str], str]:
    """Start ``passivbot pareto … --serve`` and return it with its address."""
    command = [sys.executable, "-m", "passivbot", "pareto", *arguments, "--serve", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=cwd)
    assert server.stdout is not None
    line = server.stdout.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+/", line)
    assert found, line
    return server, found[0]


@pytest.fixture(scope="module")
def address(study: Study) -> Iterator[str]:
    server, found = serve(str(study.folder))
    yield found
    server.terminate()
    server.wait(10)
    assert server.stdout is not None
    server.stdout.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Browser]:
    browser.open(address)
    browser.until(READY)
    yield browser
    browser.plain()


@pytest.fixture
def members(study: Study) -> Results:
    return study.members()


def test_points_are_the_front_of_the_log(page: Browser, study: Study, address: str, members: Results) -> None:
    x, y = (objective.metric for objective in members.scoring.objectives[:2])
    shown = {trace["name"]: trace for trace in page.run("return page.points()")}
    assert shown["front"]["candidates"] == members.numbers.tolist()
    assert shown["front"]["x"] == members.metric(x).tolist()
    assert shown["front"]["y"] == members.metric(y).tolist()
    others = {
        n
        for name in ("dominated", "breaks a limit")
        for n in shown.get(name, {"candidates": []})["candidates"]
    }
    assert others == set(range(CANDIDATES)) - set(members.numbers.tolist())
    assert page.text("study-name") == study.name
    assert all(url.startswith(address) for url in page.requests())
    assert page.errors() == []


def test_a_click_tells_all_of_a_candidate(page: Browser, study: Study, members: Results) -> None:
    candidate = int(members.numbers[0])
    plot = page.driver.find_element(By.ID, "front-plot")
    page.run("arguments[0].scrollIntoView({block: 'center'})", plot)
    x, y = (round(v) for v in page.run(POINT))
    mouse = ActionChains(page.driver)
    mouse.move_to_element_with_offset(plot, x + 30, y + 30).move_to_element_with_offset(
        plot, x, y
    ).click().perform()
    page.until("return document.getElementById('detail-number').textContent === arguments[0]", str(candidate))
    page.until(
        "return document.getElementById('detail').innerText.includes('in the engine')"
    )  # the server's part
    text = page.text("detail")
    assert "on the front" in text
    assert f"--candidate {candidate} --to" in page.text("promote")
    for method in METHODS:
        if method != "min":
            assert method in text
    page.click("copy")
    page.until("return document.getElementById('copy').textContent !== 'Copy'")
    # Its equity, run again here, and the comparison with the log.
    page.click("run-equity")
    page.until("return document.querySelector('#equity-plot .plot-container')")
    assert "metrics equal to the log, to the bit" in page.text("detail")
    equity = page.run("return document.getElementById('equity-plot').data[1].y")
    assert equity[0] == study.config.backtest.starting_balance
    page.run("document.getElementById('configuration').open = true")
    page.until("return document.querySelector('#configuration pre').textContent.includes('_provenance')")
    assert page.errors() == []


def test_the_front_over_time(page: Browser, tmp_path: Path) -> None:
    """The slider shows the front as it was when fewer candidates were known."""
    write_demo(tmp_path / "first", CANDIDATES, only=range(32)).close()
    with Study.open(tmp_path / "first") as study:
        earlier = study.members().numbers.tolist()
    slider = page.driver.find_element(By.ID, "time")
    page.run("arguments[0].scrollIntoView({block: 'center'})", slider)
    slider.send_keys(Keys.HOME)
    page.until("return page.points().some((trace) => trace.name === 'front after 32')")
    shown = {trace["name"]: trace["candidates"] for trace in page.run("return page.points()")}
    assert shown["front after 32"] == earlier
    slider.send_keys(Keys.END)
    page.until("return !page.points().some((trace) => trace.name.startsWith('front after'))")
    assert page.errors() == []


def test_ranks_agree_with_the_choice(page: Browser, members: Results) -> None:
    for method in ("knee", "ideal", "midrange"):
        best = page.run(
            "return page.study.front.candidate[page.study.front.ranks[arguments[0]].indexOf(1)]", method
        )
        assert best == members.numbers[pick(members, method)]


def test_brushing_an_axis_filters_the_front(page: Browser, members: Results) -> None:
    """A real drag along the first axis of the parallel coordinates."""
    plot = page.driver.find_element(By.ID, "parallel-plot")
    page.run("arguments[0].scrollIntoView({block: 'center'})", plot)
    page.until("return document.querySelector('#parallel-plot .axis-brush')")
    box = page.run(
        "const a = document.querySelector('#parallel-plot .axis-brush').getBoundingClientRect();"
        "const p = arguments[0].getBoundingClientRect();"
        "return [a.left + a.width / 2 - p.left - p.width / 2, a.top - p.top - p.height / 2, a.height]",
        plot,
    )
    x, top, height = box
    mouse = ActionChains(page.driver)
    mouse.move_to_element_with_offset(plot, round(x), round(top + height * 0.05)).click_and_hold()
    mouse.move_to_element_with_offset(plot, round(x), round(top + height * 0.3))
    mouse.move_to_element_with_offset(plot, round(x), round(top + height * 0.55)).release().perform()
    name = members.scoring.objectives[0].metric
    low, high = page.until("return page.filters.has(arguments[0]) && page.filters.get(arguments[0])[0]", name)
    values = members.metric(name)
    wanted = members.numbers[(values >= low) & (values <= high)].tolist()
    assert 0 < len(wanted) < len(members)
    assert page.run(SHOWN) == wanted
    assert len(page.driver.find_elements(By.CSS_SELECTOR, "#front-table tbody tr")) == len(wanted)
    page.driver.find_element(By.CSS_SELECTOR, "#filters button").click()
    assert page.run(SHOWN) == members.numbers.tolist()


def test_a_box_in_the_front_brushes_the_axes(page: Browser, members: Results) -> None:
    first, second = (objective.metric for objective in members.scoring.objectives[:2])
    page.run("return Plotly.relayout('front-plot', {dragmode: 'select'})")
    plot = page.driver.find_element(By.ID, "front-plot")
    page.run("arguments[0].scrollIntoView({block: 'center'})", plot)
    x, y = (round(v) for v in page.run(POINT))
    mouse = ActionChains(page.driver)
    mouse.move_to_element_with_offset(plot, x - 25, y - 25).click_and_hold()
    mouse.move_to_element_with_offset(plot, x, y).move_to_element_with_offset(
        plot, x + 25, y + 25
    ).release().perform()
    page.until("return page.filters.size === 2")
    brushed = page.run(
        "return document.getElementById('parallel-plot').data[0].dimensions"
        ".filter((d) => d.constraintrange).map((d) => d.name)"
    )
    assert brushed == [first, second]
    assert int(members.numbers[0]) in page.run(SHOWN)


def test_the_keyboard_is_enough(page: Browser, members: Results) -> None:
    """Without a mouse: a filter by the form, a member by the table, the theme."""
    name = members.scoring.objectives[1].metric
    values = members.metric(name)
    middle = float(sorted(values)[len(values) // 2])
    Select(page.driver.find_element(By.ID, "filter-name")).select_by_value(name)
    page.driver.find_element(By.ID, "filter-high").send_keys(repr(middle), Keys.ENTER)
    assert page.run(SHOWN) == members.numbers[values <= middle].tolist()
    row = page.driver.find_element(By.CSS_SELECTOR, "#front-table tbody tr")
    row.send_keys(Keys.ARROW_DOWN)
    focused = page.driver.switch_to.active_element
    focused.send_keys(Keys.ENTER)
    page.until("return String(page.chosen) === arguments[0]", focused.get_attribute("data-candidate"))
    reached = page.run(
        "return [...document.querySelectorAll('button, select, input, a[href], tr[data-candidate], summary')]"
        ".filter((e) => e.offsetParent && e.tabIndex < 0).length"
    )
    assert reached == 0


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (400, False), (400, True)])
def test_wide_and_narrow_light_and_dark(browser: Browser, address: str, width: int, dark: bool) -> None:
    page = browser
    page.screen(width, 900, dark=dark)
    page.open(address)
    page.until(READY)
    ground = page.run("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (sum(ground) < 200) == dark
    # Nothing hangs over the edge, and no text is cut by its box.
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")
    over = page.run(
        "return [...document.querySelectorAll('.card, .tiles > div, .top, h1')]"
        ".filter((e) => e.getBoundingClientRect().right > innerWidth + 1"
        " || e.scrollWidth > e.clientWidth + 1)"
        ".map((e) => e.id || e.className)"
    )
    assert over == []
    page.click("theme")
    page.click("theme")
    assert page.run("return document.documentElement.dataset.theme") == "dark"
    page.click("theme")
    assert page.errors() == []
    page.plain()


def test_a_list_of_studies(browser: Browser, tmp_path: Path) -> None:
    """One of the studies is damaged: it does not hide the others. An unknown address is told."""
    for name in ("first", "second"):
        write_demo(tmp_path / name, CANDIDATES).close()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "study.sqlite").write_bytes(b"no log")
    server, address = serve(".", cwd=tmp_path)
    try:
        browser.open(address)
        browser.until("return document.querySelectorAll('#list a').length === 3")
        assert "damaged" in browser.text("list")
        browser.driver.find_element(
            By.CSS_SELECTOR, f"#list a[data-study='{study_id(tmp_path / 'second')}']"
        ).click()
        browser.until(READY)
        assert browser.text("study-name") == "second"
        browser.click("to-list")
        browser.until("return !document.getElementById('list-view').hidden")
        browser.run("location.hash = 'nothing-00000000'")
        browser.until("return document.getElementById('notice').innerText.includes('no such study')")
    finally:
        server.terminate()
        server.wait(10)
        assert server.stdout is not None
        server.stdout.close()
    browser.until("return document.getElementById('state').innerText === 'no connection'")


def test_live_while_rows_come(browser: Browser, tmp_path: Path) -> None:
    """New rows appear by themselves, the zoom and the chosen candidate stay, and the front is the log's."""
    _, rows = demo(CANDIDATES)
    with write_demo(tmp_path / "live", CANDIDATES, only=range(40)) as log:
        server, address = serve(str(tmp_path / "live"))
        try:
            browser.open(address)
            browser.until(READY)
            browser.until("return document.getElementById('state').innerText === 'running'")
            before = browser.run(RANGE)
            plot = browser.driver.find_element(By.ID, "front-plot")
            browser.run("arguments[0].scrollIntoView({block: 'center'})", plot)
            mouse = ActionChains(browser.driver)
            mouse.move_to_element_with_offset(plot, -60, -60).click_and_hold().move_by_offset(50, 60)
            mouse.move_by_offset(50, 60).release().perform()
            zoomed = browser.run(RANGE)
            assert zoomed != before
            browser.run("step(1)")
            chosen = browser.run("return page.chosen")
            # Out of order and with a gap: 40 is missing until the last.
            log.append(rows[41:70])
            browser.until("return page.study.progress.logged === 69")
            log.append([rows[40], *rows[70:]])
            browser.until("return page.study.told === 96")
            with Study.open(tmp_path / "live") as study:
                assert browser.run("return page.study.front.candidate") == study.members().numbers.tolist()
            assert browser.run(RANGE) == zoomed
            assert browser.run("return page.chosen") == chosen
            others = browser.run("return page.study.others.candidate.concat(page.study.front.candidate)")
            assert sorted(others) == list(range(CANDIDATES))
            assert browser.errors() == []
        finally:
            server.terminate()
            server.wait(10)
            assert server.stdout is not None
            server.stdout.close()
