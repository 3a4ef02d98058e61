"""Pages of lists: an exchange that gives the same one again and again is not asked for ever."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from passivbot.exchanges import connect

ROWS = [{"ordId": "7", "id": "7"}] * 100
ANSWERS: Mapping[str, tuple[Any, list[Any]]] = {
    "bybit": ({"result": {"list": ROWS, "nextPageCursor": "c"}}, [{}]),
    "okx": ({"data": ROWS}, [{}, "ordId"]),
    "bitget": ({"data": {"entrustedList": ROWS, "endId": "7"}}, [{}, "entrustedList"]),
    "gate": (ROWS, [{}]),
    "kucoinfutures": ({"data": {"items": ROWS, "totalPage": 2}}, [{}]),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_same_page_again_ends_the_list(name: str) -> None:
    answer, arguments = ANSWERS[name]
    asked = 0

    async def endpoint(_: Mapping[str, Any]) -> Any:
        nonlocal asked
        asked += 1
        assert asked < 5, "asked for ever"
        return answer

    async def scene() -> None:
        exchange = connect(name)
        try:
            rows = await exchange._pages(endpoint, *arguments)  # type: ignore[attr-defined]
        finally:
            await exchange.close()
        assert len(rows) >= len(ROWS)

    asyncio.run(scene())
