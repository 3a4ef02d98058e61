"""A headless Chromium, and a small study of real evaluations to show in it."""

import json
import os
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from passivbot.backtest import Scenario
from passivbot.config import ParameterSpace, Scoring, WarmupRule, load_config
from passivbot.config.resources import configs_dir
from passivbot.study import Definition, Evaluation, Space, StudyLog
from passivbot.study.publish import publish
from passivbot.study.study import Study

CANDIDATES = 96
# As root, without a display or a graphics card; and without calling home.
SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--enable-unsafe-swiftshader",
    "--window-size=1400,1600",
    "--no-first-run",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
)


class Browser:
    """A browser that keeps an account of the console and the network."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def open(self, page: Path) -> None:
        """Show a file, with an empty account."""
        self.driver.get("about:blank")
        self.errors()
        self.requests()
        self.driver.get(page.as_uri())

    def errors(self) -> list[str]:
        """Errors since the last call; plotly's WebGL on a processor causes warnings about speed."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def requests(self) -> list[str]:
        """Addresses asked for since the last call; what stands in the page itself is none."""
        messages = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        urls = (m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent")
        return [url for url in urls if not url.startswith(("data:", "blob:", "about:"))]


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The system's Chromium with its own driver; without them the test is skipped, in CI it fails."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    chromedriver = shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        message = "needs Chromium and ChromeDriver (Debian: apt install chromium chromium-driver)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    options = ChromeOptions()
    options.binary_location = chromium
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=ChromeService(executable_path=chromedriver))
    try:
        yield Browser(driver)
    finally:
        driver.quit()


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    """Random candidates of the quickstart, evaluated on the demo candles, published as a run does it."""
    config = load_config(configs_dir() / "quickstart.json").config
    scenario = Scenario.prepare(config)
    space, scoring = ParameterSpace.from_config(config), Scoring.from_config(config)
    raw = np.random.default_rng(7).uniform(space.low, space.high, (CANDIDATES, len(space.names)))
    vectors = space.enforce(raw)
    evaluated = space.evaluated(vectors)
    warmup, coin_warmup = WarmupRule.from_config(config, scenario.coins).for_matrix(evaluated)
    metrics = scenario.engine().evaluate_matrix(
        evaluated,
        config.bot.to_engine(),
        scoring.metrics,
        warmup_minutes=warmup,
        coin_warmup_minutes=coin_warmup,
    )
    definition = Definition(
        config=config.to_dict(),
        scenario=scenario.describe(),
        search="random",
        seed=7,
        lag=8,
        population=CANDIDATES,
        sobol=0,
        block=1,
        metrics=scoring.metrics,
        seeds=(),
        space=Space(names=space.names, low=tuple(space.low), high=tuple(space.high), digits=space.digits),
        engine=version("passivbot-cluster"),
        created="2026-01-01T00:00:00Z",
    )
    folder = tmp_path_factory.mktemp("studies") / 'demo <b>&amp; "x"'
    with StudyLog.create(folder, definition) as log:
        log.append([Evaluation(n, vectors[n], metrics[n], worker="w") for n in range(CANDIDATES)])
    with Study.open(folder) as opened:
        front = opened.front()
        publish(opened, front, opened.members(front))
        yield opened
