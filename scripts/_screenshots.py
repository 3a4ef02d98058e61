"""Pictures of the page for the documentation: ``.venv/bin/python scripts/_screenshots.py [FOLDER]``.

Runs a small search on the demo candles, serves its page, and takes ``page-*.png`` with the system's Chromium,
by default into ``docs/``. With Ray's dashboard it is the same page in another frame.
"""

import base64
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from selenium.webdriver import Chrome, ChromeOptions, ChromeService  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

from passivbot.study.study import study_id  # noqa: E402
from tests.ray_head import ray_head  # noqa: E402

CANDIDATES = 6000
READY = "return page.study && page.points().length"


@contextmanager
def chromium(folder: Path) -> Iterator[Chrome]:
    """Start the system's Chromium with its own driver."""
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for switch in (
        *("--headless", "--no-sandbox", "--disable-dev-shm-usage", "--enable-unsafe-swiftshader"),
        *("--hide-scrollbars", "--disable-background-networking", f"--user-data-dir={folder}"),
    ):
        options.add_argument(switch)
    driver = Chrome(options=options, service=ChromeService(shutil.which("chromedriver") or "chromedriver"))
    try:
        yield driver
    finally:
        driver.quit()


def picture(
    driver: Chrome,
    address: str,
    path: Path,
    width: int,
    height: int,
    *,
    dark: bool = False,
    scale: float = 1.0,
    prepare: Callable[[Chrome], None] | None = None,
) -> None:
    """Open an address on a screen of that size and save what is seen."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    driver.get("about:blank")
    driver.get(address)
    if prepare:
        prepare(driver)
    time.sleep(3)
    clip = {"x": 0, "y": driver.execute_script("return scrollY"), "width": width, "height": height}
    shot = driver.execute_cdp_cmd(
        "Page.captureScreenshot", {"format": "png", "clip": {**clip, "scale": scale}}
    )
    path.write_bytes(base64.b64decode(shot["data"]))
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def until(driver: Chrome, script: str) -> None:
    """Wait until a script returns something true."""
    WebDriverWait(driver, 60).until(lambda _: driver.execute_script(script))


def with_equity(driver: Chrome) -> None:
    """Let the chosen candidate be run again, and have its curve in view."""
    until(driver, READY)
    time.sleep(2)  # the server's facts replace the first ones; a curve is remembered
    driver.execute_script("document.getElementById('run-equity')?.click()")
    until(driver, "return document.querySelector('#equity-plot .plot-container')")


def brushed(driver: Chrome) -> None:
    """Keep some members by a range, and have the parallel coordinates in view."""
    with_equity(driver)
    driver.execute_script(
        "const m = page.study.objectives[0], v = page.study.front.metrics[m], top = Math.max(...v);"
        "page.filters.set(m, [[0.8 * top, top]]); filtered();"
        "document.getElementById('parallel-title').scrollIntoView()"
    )


def in_ray(driver: Chrome) -> None:
    """Open the page by Ray's bar."""
    until(driver, "return document.getElementById('passivbot-pareto')")
    driver.execute_script("document.getElementById('passivbot-pareto').click()")
    until(driver, "return document.getElementById('passivbot-frame')")
    driver.switch_to.frame("passivbot-frame")
    until(driver, READY)
    driver.switch_to.default_content()


def main() -> int:
    """Make all pictures."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        place = Path(name)
        study = place / "studies" / "first"
        command = [sys.executable, "-m", "passivbot", "optimize", str(ROOT / "configs" / "quickstart.json")]
        command += ["--candles", "demo", "--iters", str(CANDIDATES), "--seed", "1", "--holdout", "7"]
        command += ["--study", "studies/first"]
        # Commands on the page then begin with ~, as a person's do.
        home = {**os.environ, "HOME": name}
        subprocess.run(command, cwd=place, env=home, check=True, stdout=subprocess.DEVNULL)
        serve = [sys.executable, "-m", "passivbot", "pareto", "studies/first", "--serve", "--port", "0"]
        server = subprocess.Popen(serve, cwd=place, env=home, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        address = server.stdout.readline().split()[1]
        try:
            with chromium(place / "profile") as driver:
                page = f"{address}#{study_id(study)}"
                picture(driver, page, target / "page-study.png", 1280, 900, prepare=with_equity)
                picture(
                    driver,
                    page,
                    target / "page-brushed.png",
                    1280,
                    440,
                    dark=True,
                    scale=0.8,
                    prepare=brushed,
                )
                picture(driver, page, target / "page-narrow.png", 400, 860, prepare=with_equity)
                about = {"HOME": name, "PASSIVBOT_STUDIES": str(place / "studies")}
                with ray_head(RAY_AUTH_MODE="disabled", **about) as head:
                    picture(driver, f"{head.dashboard}/", target / "page-ray.png", 1280, 800, prepare=in_ray)
        finally:
            server.terminate()
            server.wait()
            server.stdout.close()
    return 0


if __name__ == "__main__":
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    sys.exit(main())
