"""The page of a front, as a person has it on the screen."""

from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from passivbot.study.plot import PAGE
from passivbot.study.study import Results, Study
from tests.browser.conftest import CANDIDATES, Browser

# Middle of the first point of the front, in pixels from the middle of the plot's box.
POINT = """
const plot = document.getElementById("front-plot"), box = plot.getBoundingClientRect();
const trace = plot.data.find((t) => t.name === "front"), {xaxis, yaxis} = plot._fullLayout;
const x = xaxis._offset + xaxis.d2p(trace.x[0]), y = yaxis._offset + yaxis.d2p(trace.y[0]);
return [x - box.width / 2, y - box.height / 2];
"""


@pytest.fixture
def members(study: Study) -> Results:
    members = study.members()
    assert len(members) > 2
    assert members.feasible.all()
    return members


@pytest.fixture
def page(browser: Browser, study: Study) -> Browser:
    browser.open(study.folder / PAGE)
    return browser


def points(page: Browser) -> dict[str, dict[str, Any]]:
    """What the front plot shows now, by the name of the trace."""
    return {trace["name"]: trace for trace in page.driver.execute_script("return page.points()")}


def choose(page: Browser, control: str, value: str) -> None:
    Select(page.driver.find_element(By.ID, control)).select_by_value(value)


def eventually(page: Browser, condition: Any) -> Any:
    return WebDriverWait(page.driver, 30).until(lambda _: condition())


def test_the_page_needs_nothing_but_itself(page: Browser, study: Study) -> None:
    assert page.driver.title == f"{study.name} – passivbot"
    assert page.driver.find_element(By.ID, "study-name").text == study.name
    assert page.requests() == [(study.folder / PAGE).as_uri()]
    assert page.errors() == []


def test_every_member_is_plotted_where_it_belongs(page: Browser, members: Results) -> None:
    shown = points(page)
    names = [objective.metric for objective in members.scoring.objectives]
    assert shown["front"]["candidates"] == members.numbers.tolist()
    assert shown["front"]["x"] == members.metric(names[0]).tolist()
    assert shown["front"]["y"] == members.metric(names[1]).tolist()
    drawn = page.driver.execute_script(
        "return document.querySelectorAll('#front-plot .plot-container canvas').length"
    )
    assert drawn > 0
    rows = page.driver.find_elements(By.CSS_SELECTOR, "#front-table tbody tr")
    assert sorted(int(row.get_attribute("data-candidate") or -1) for row in rows) == members.numbers.tolist()


def test_the_others_can_be_hidden(page: Browser, members: Results) -> None:
    shown = points(page)
    others = [
        n
        for name in ("dominated", "breaks a limit")
        for n in shown.get(name, {"candidates": []})["candidates"]
    ]
    assert not set(others) & set(members.numbers.tolist())
    assert 0 < len(others) <= CANDIDATES - len(members)
    for box in ("show-others", "show-infeasible"):
        page.driver.find_element(By.ID, box).click()
    assert set(points(page)) == {"front", "picks", "chosen"}


def test_axes_can_be_switched(page: Browser, members: Results) -> None:
    first, second, third = (objective.metric for objective in members.scoring.objectives)
    choose(page, "axis-x", third)
    assert points(page)["front"]["x"] == members.metric(third).tolist()
    assert points(page)["front"]["y"] == members.metric(second).tolist()
    title = page.driver.find_element(By.CSS_SELECTOR, "#front-plot .xtitle").text
    assert title.startswith(third)
    choose(page, "axis-z", first)
    assert points(page)["front"]["z"] == members.metric(first).tolist()
    eventually(page, lambda: page.driver.find_elements(By.CSS_SELECTOR, "#front-plot .gl-container canvas"))
    assert page.errors() == []


def test_hovering_tells_the_metrics_and_a_click_the_parameters(page: Browser, members: Results) -> None:
    candidate = int(members.numbers[0])
    plot = page.driver.find_element(By.ID, "front-plot")
    page.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    x, y = (round(v) for v in page.driver.execute_script(POINT))
    mouse = ActionChains(page.driver)
    mouse.move_to_element_with_offset(plot, x + 40, y + 40).move_to_element_with_offset(plot, x, y).perform()

    def label() -> str:
        return "".join(e.text for e in page.driver.find_elements(By.CSS_SELECTOR, ".hoverlayer .hovertext"))

    eventually(page, lambda: f"candidate {candidate}" in label())
    assert all(objective.metric in label() for objective in members.scoring.objectives)
    mouse.click().perform()
    eventually(page, lambda: page.driver.find_element(By.ID, "detail-number").text == str(candidate))
    detail = page.driver.find_element(By.ID, "detail").text
    name = next(n for n in members.parameter_names if n.startswith("long_entry_grid_spacing_pct"))
    value = members.rows.parameters[0, members.parameter_names.index(name)]
    assert f"{name}\n{value:g}" in detail or f"{name} {value:g}" in detail
    assert page.driver.find_element(By.ID, "detail-file").text == f"Configuration: front/{candidate:07d}.json"


def test_an_error_in_a_page_is_seen(browser: Browser, tmp_path: Path) -> None:
    """The account that the tests above trust: a thrown error and a request are on it."""
    broken = tmp_path / "broken.html"
    broken.write_text('<img src="missing.png"><script>undefined.x</script>')
    browser.open(broken)
    assert any("Uncaught TypeError" in message for message in browser.errors())
    assert [url.rpartition("/")[2] for url in browser.requests()] == ["broken.html", "missing.png"]


def test_a_row_of_the_table_opens_its_candidate(page: Browser, members: Results) -> None:
    row = page.driver.find_elements(By.CSS_SELECTOR, "#front-table tbody tr")[-1]
    page.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", row)
    row.click()
    assert page.driver.find_element(By.ID, "detail-number").text == row.get_attribute("data-candidate")
