"""A headless Chromium, and a small study of real evaluations to show in it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.common.exceptions import JavascriptException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from passivbot.study.publish import publish
from passivbot.study.study import Study
from tests.demo_study import write_demo
from tests.needs import lacking

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

    def open(self, page: Path | str) -> None:
        """Show a file or an address, with an empty account."""
        self.driver.get("about:blank")
        self.errors()
        self.requests()
        self.driver.get(page if isinstance(page, str) else page.as_uri())

    def screen(self, width: int, height: int, *, dark: bool = False) -> None:
        """Make the screen as large as that, in pixels, and let the system prefer dark pages or not."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def plain(self) -> None:
        """Give the screen back as it was."""
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page and return what it returns."""
        return self.driver.execute_script(script, *arguments)

    def until(self, script: str, *arguments: Any, seconds: float = 60) -> Any:
        """Wait until a script returns something true, and return it."""
        wait = WebDriverWait(self.driver, seconds, ignored_exceptions=(JavascriptException,))
        return wait.until(lambda _: self.run(script, *arguments), message=script)

    def text(self, element: str) -> str:
        """Return the text of an element, by its id."""
        return str(self.run("return document.getElementById(arguments[0]).innerText", element))

    def click(self, element: str) -> None:
        """Click an element, by its id, where it lies on the screen."""
        found = self.driver.find_element(By.ID, element)
        self.run("arguments[0].scrollIntoView({block: 'center'})", found)
        found.click()

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
        lacking("needs Chromium and ChromeDriver (Debian: apt install chromium chromium-driver)")
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
    folder = tmp_path_factory.mktemp("studies") / 'demo <b>&amp; "x"'
    write_demo(folder, CANDIDATES).close()
    with Study.open(folder) as opened:
        front = opened.front()
        publish(opened, front, opened.members(front))
        yield opened
