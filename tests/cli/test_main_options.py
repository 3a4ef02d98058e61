"""Keys of the configuration as options (config-format §8)."""

from typing import Annotated

import pytest
import typer

from passivbot.cli import options
from passivbot.cli.options import CommandName, option_table, take_options
from passivbot.config.schema import KINDS
from passivbot.errors import ConfigError

UNSTUCK = "optimize.bounds.long_unstuck_ema_dist"
DECLARED = {"--out": True, "--json": False, "-t": True, "-ft": True, "--start": True}


def take(*args: str, command: CommandName = "optimize") -> tuple[dict[str, str], list[str]]:
    return take_options(args, option_table(command), DECLARED)


@pytest.mark.parametrize(
    ("args", "taken"),
    [
        (["--backtest.start_date", "2024-01-01"], {"backtest.start_date": "2024-01-01"}),
        (["--backtest_start_date", "2024-01-01"], {"backtest.start_date": "2024-01-01"}),
        (["--backtest.start_date=2024-01-01"], {"backtest.start_date": "2024-01-01"}),
        (["--backtest_start_date=a=b"], {"backtest.start_date": "a=b"}),
        (["--backtest.end_date="], {"backtest.end_date": ""}),
        (["-sd", "2024"], {"backtest.start_date": "2024"}),
        (["-s", "BTC,ETH", "-i", "3"], {"live.approved_coins": "BTC,ETH", "optimize.iters": "3"}),
        (["-os", "adg", "-c", "2"], {"optimize.scoring": "adg", "optimize.n_cpus": "2"}),
        (["--optimize.bounds.long_unstuck_ema_dist", "-0.1,0.1"], {UNSTUCK: "-0.1,0.1"}),
        (["--optimize.bounds.long_unstuck_ema_dist", "-.1"], {UNSTUCK: "-.1"}),
        (["-lued", "-0.1,0.1"], {UNSTUCK: "-0.1,0.1"}),
        (["--optimize.limits", "--gain 1 --adg: 0"], {"optimize.limits": "--gain 1 --adg: 0"}),
        (["--optimize.limits.gain", "1.1"], {"optimize.limits.gain": "1.1"}),
        (["--optimize_limits_gain=1"], {"optimize.limits.gain": "1"}),
        (["--optimize.limits.lower_bound_gain=1"], {"optimize.limits.lower_bound_gain": "1"}),
        (["-sd", "2023", "-sd", "2024"], {"backtest.start_date": "2024"}),
    ],
)
def test_spellings(args: list[str], taken: dict[str, str]) -> None:
    assert take("c.json", *args, "--json") == (taken, ["c.json", "--json"])


def test_the_commands_own_options_come_first_and_keep_their_values() -> None:
    args = ["--start", "-sd", "-t", "x", "-ft=y", "--out=-sd", "-", "-5", "--", "-sd", "--bogus"]
    assert take(*args) == ({}, args)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--qqqq"], "--qqqq is not an option of passivbot optimize"),
        (
            ["--backtest.strat_date", "3"],
            "--backtest.strat_date is not an option of passivbot optimize (nearest known option: "
            "--backtest.start_date)",
        ),
        (["--strat", "3"], "--strat is not an option of passivbot optimize (nearest known option: --start)"),
        (
            ["--live.warmup_ratio=3"],
            "--live.warmup_ratio is not an option of passivbot optimize; allowed is --set "
            "live.warmup_ratio=VALUE",
        ),
        (["-sd"], "-sd (backtest.start_date) needs a value"),
        (["-sd", "--json"], "-sd (backtest.start_date) needs a value"),
        (["--optimize.limits", "--gain"], "--optimize.limits (optimize.limits) needs a value"),
    ],
)
def test_wrong_options(args: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        take(*args)
    assert str(caught.value) == f"the command line: {message}"


def test_what_each_command_offers() -> None:
    backtest, optimize = option_table("backtest").keys, option_table("optimize").keys
    assert "--bot.long.ema_span_0" in backtest
    assert "--bot.long.ema_span_0" not in optimize
    assert "--optimize.iters" not in backtest
    assert option_table("backtest").key_of("--optimize.limits.gain") is None
    live = {key for key in set(backtest.values()) if key.startswith("live.")}
    assert live == {"live.approved_coins", "live.ignored_coins", "live.minimum_coin_age_days"}
    live = {key for key in set(optimize.values()) if key.startswith("live.")}
    assert live == {"live.approved_coins", "live.minimum_coin_age_days"}
    assert set(option_table("config").keys.values()) == set(KINDS)


@pytest.mark.parametrize("command", ["backtest", "optimize"])
def test_every_key_has_a_short_form_of_its_own(command: CommandName) -> None:
    table = option_table(command)
    short = [key for option, key in table.keys.items() if not option.startswith("--")]
    assert sorted(short) == sorted(set(table.keys.values()))


def test_config_has_no_short_forms() -> None:
    assert all(option.startswith("--") for option in option_table("config").keys)


@pytest.mark.parametrize(
    ("command", "short", "key"),
    [
        ("backtest", "-bd", "backtest.base_dir"),
        ("backtest", "-sb", "backtest.starting_balance"),
        ("backtest", "-les0", "bot.long.ema_span_0"),
        ("backtest", "-seel", "bot.short.enforce_exposure_limit"),
        ("backtest", "-mcad", "live.minimum_coin_age_days"),
        ("backtest", "-i", "live.ignored_coins"),
        ("optimize", "-ps", "optimize.population_size"),
        ("optimize", "-ltwel", "optimize.bounds.long_total_wallet_exposure_limit"),
        ("optimize", "-cp", "optimize.crossover_probability"),
        ("optimize", "-i", "optimize.iters"),
        ("optimize", "-ll", "logging.level"),
    ],
)
def test_acronyms(command: CommandName, short: str, key: str) -> None:
    assert option_table(command).keys[short] == key


def test_collisions_get_a_number() -> None:
    assert options._acronym("backtest.start_date", {"-s"}) == "-sd"
    assert options._acronym("backtest.start_date", {"-sd"}) == "-sd2"
    assert options._acronym("backtest.start_date", {"-sd", "-sd2"}) == "-sd3"


def test_a_command_reads_them_from_its_context() -> None:
    app = typer.Typer()
    seen: list[tuple[dict[str, str], str, str | None]] = []

    @app.command(cls=options.config_command("backtest"))
    def backtest(
        context: typer.Context, config: str, out: Annotated[str | None, typer.Option()] = None
    ) -> None:
        seen.append((options.given_options(context), config, out))

    app(["c.json", "-sd", "2024", "--out", "x", "--bot_long_ema_span_0=5"], standalone_mode=False)
    app(["c.json"], standalone_mode=False)
    assert seen == [
        ({"backtest.start_date": "2024", "bot.long.ema_span_0": "5"}, "c.json", "x"),
        ({}, "c.json", None),
    ]
