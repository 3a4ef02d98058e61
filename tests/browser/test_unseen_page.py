"""What the page says of candles that the search has not seen, before and after somebody asked."""

from pathlib import Path

from passivbot.cli.main import main
from passivbot.study.plot import PAGE
from passivbot.study.study import Study
from passivbot.study.unseen import holds, needed
from tests.browser.conftest import Browser
from tests.browser.test_study_page import READY, serve
from tests.short_study import write_short


def trust(page: Browser, candidate: int) -> str:
    page.run("choose(arguments[0])", candidate)
    return str(
        page.until(
            "const shown = document.getElementById('detail').innerText;"
            "return document.getElementById('detail-number').textContent === arguments[0]"
            " && shown.includes('nseen') || shown.includes('not known') ? shown : null",
            str(candidate),
        )
    )


def test_the_page_tells_how_a_candidate_did_there(browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "short"
    write_short(folder, 60)
    assert main(["pareto", str(folder)]) == 0
    browser.open(folder / PAGE)
    with Study.open(folder) as study:
        members = study.members()
        first = int(members.numbers[0])
        assert "not known: passivbot study unseen short" in trust(browser, first)
        assert main(["study", "unseen", str(folder)]) == 0
        _, there = needed(study).of(members)
        kept = holds(there)
    assert kept.any()
    assert not kept.all()
    server, address = serve(str(folder))
    try:
        # The file by itself, and the page of the server, say the same.
        for where in (folder / PAGE, address):
            browser.open(where)
            browser.until(READY)
            for index in (int(kept.argmax()), int((~kept).argmax())):
                text = trust(browser, int(members.numbers[index]))
                assert "unseen candles, 2025-03-09 to 2025-03-16, 8 days: " in text
                assert ("days: holds;" in text) == bool(kept[index])
            assert browser.errors() == []
    finally:
        server.terminate()
        server.wait(10)
        assert server.stdout is not None
        server.stdout.close()
