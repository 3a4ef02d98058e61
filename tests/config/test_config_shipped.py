"""The shipped configurations are clean and say what they promise."""

from pathlib import Path

import pytest

from passivbot.config import ParameterSpace, Scoring, load_config, warmup_minutes
from passivbot.config.document import dump_document, parse_document, read_mapping
from passivbot.config.resources import configs_dir

SHIPPED = sorted({path.name for path in configs_dir().glob("*.json")} - {"approved_coins_top23mcap.json"})
DAY = 1440


def test_there_are_some() -> None:
    assert {"template.json", "quickstart.json", "long_short.json", "btc_collateral.json"} <= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_no_findings_and_a_search_can_start(name: str) -> None:
    loaded = load_config(configs_dir() / name)
    optimize = loaded.config.optimize
    assert loaded.findings == ()
    assert optimize.crossover_probability + optimize.mutation_probability <= 1
    space = ParameterSpace.from_config(loaded.config)
    assert space.free.any()
    assert Scoring.from_config(loaded.config).limits
    start = space.enforce(space.vector(loaded.config))
    if name != "template.json":
        free = space.free
        assert (start == space.vector(loaded.config))[free].all(), "the bot lies within its own bounds"


@pytest.mark.parametrize("name", ["quickstart.json", "long_short.json", "btc_collateral.json"])
def test_examples_run_on_any_folder_of_some_days(name: str) -> None:
    config = load_config(configs_dir() / name).config
    assert (config.backtest.start_ms, config.backtest.end_ms) == (None, None)
    assert config.live.empty_means_all_approved
    assert config.live.approved_coins == {"long": (), "short": ()}
    assert config.live.minimum_coin_age_days == 0
    assert warmup_minutes(config, ["BTC"])[0] < DAY / 2


def test_the_quickstart_is_small() -> None:
    optimize = load_config(configs_dir() / "quickstart.json").config.optimize
    assert optimize.population_size <= 60
    assert optimize.iters <= 3000
    assert len(optimize.scoring) == 3


@pytest.mark.parametrize("name", SHIPPED)
def test_documents_are_written_as_they_are_read(name: str) -> None:
    data = read_mapping(configs_dir() / name)
    assert parse_document(dump_document(data), Path(name)) == data
    assert max(map(len, dump_document(data).splitlines())) < 110
