"""What is said before a search begins."""

import json
from pathlib import Path

import pytest

from cluster.prepare import Request, plan_new
from passivbot.config.resources import configs_dir

LISTS = {"long": ["BTC", "ETH"], "short": ["ETH"]}


@pytest.mark.parametrize(("shares", "warned"), [({}, False), ({"crossover_probability": 0.6}, True)])
def test_shares_that_add_up_to_more_are_said_where_a_person_chose_them(
    shares: dict[str, float], warned: bool, tmp_path: Path
) -> None:
    document = json.loads((configs_dir() / "quickstart.json").read_text())
    del document["optimize"]["crossover_probability"], document["optimize"]["mutation_probability"]
    document["optimize"] |= shares
    (tmp_path / "c.json").write_text(json.dumps(document))
    plan = plan_new(
        Request(config=tmp_path / "c.json", candles=Path("demo"), study=str(tmp_path / "s"), iters=10)
    )
    assert any("add up to more than 1" in warning for warning in plan.warnings) == warned


@pytest.mark.parametrize(("short", "said"), [([1, 2], ["the short side trades BTC"]), ([0, 0], [])])
def test_coins_that_the_bot_trades_on_one_side_only(
    short: list[int], said: list[str], tmp_path: Path
) -> None:
    document = json.loads((configs_dir() / "quickstart.json").read_text())
    document["live"]["approved_coins"] = LISTS
    document["optimize"]["bounds"] |= {
        "short_n_positions": short,
        "short_total_wallet_exposure_limit": short,
    }
    (tmp_path / "c.json").write_text(json.dumps(document))
    plan = plan_new(
        Request(config=tmp_path / "c.json", candles=Path("demo"), study=str(tmp_path / "s"), iters=10)
    )
    assert [note.partition(" as well")[0] for note in plan.notes if "side trades" in note] == said
