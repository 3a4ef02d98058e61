"""What refuses a candidate, with which figures: real studies, real engine."""

import shutil
from pathlib import Path

import pytest

from passivbot.cli.main import main
from passivbot.config import Config
from passivbot.config.schema import SIDES, Side
from passivbot.engine import MarketRules
from passivbot.errors import CandleError, ConfigError, PromotionError, StudyError
from passivbot.exchanges.types import Market, Permissions
from passivbot.market import generate, write_folder
from passivbot.promotion.account import Account
from passivbot.promotion.checks import LEAST_DAYS, Check, check, keeps_limits, replays, unseen
from passivbot.promotion.difference import RISK, difference
from passivbot.promotion.exposure import (
    entries_possible,
    exposure_within,
    limits_of,
    too_small,
    worst_case,
)
from passivbot.promotion.freeze import chosen, digest_of, freeze
from passivbot.study.select import pick
from passivbot.study.study import Study
from passivbot.study.unseen import examine, holding, save, unseen_scenario
from tests.promotion.conftest import ACCOUNT, COINS, Made, make_study

Coins = dict[Side, list[str]]


@pytest.fixture
def study(made: Made) -> Study:
    with Study.open(made.folder) as opened:
        yield opened  # type: ignore[misc]


def frozen_config(study: Study, candidate: int) -> Config:
    return freeze(study, candidate, account=ACCOUNT).config


# ---- freeze


def test_a_frozen_candidate_is_the_logged_one(study: Study, made: Made) -> None:
    number = made.good[0]
    frozen = freeze(study, number, account="other_01", sets=["live.leverage=7"])
    values = dict(zip(study.definition.space.names, study.row(number).parameters[0].tolist(), strict=True))
    evaluated = study.space.evaluated(study.row(number).parameters)[0]
    assert frozen.config.bot.long.total_wallet_exposure_limit == pytest.approx(
        values["long_total_wallet_exposure_limit"], rel=1e-4
    )
    named = dict(zip(study.definition.space.names, evaluated.tolist(), strict=True))
    assert frozen.config.bot.long.ema_span_0 == named["long_ema_span_0"]
    assert (frozen.config.live.user, frozen.config.live.leverage) == ("other_01", 7.0)
    assert frozen.config.live.approved_coins["long"] == tuple(COINS)
    assert frozen.sha256 == digest_of(Config.from_dict(frozen.document()["config"]))
    assert frozen.origin["metrics"]["adg"] == pytest.approx(
        float(study.results(study.row(number)).metric("adg")[0])
    )
    assert "_provenance" not in frozen.document()["config"]


def test_the_strategy_can_not_be_set(study: Study, made: Made) -> None:
    with pytest.raises(
        PromotionError, match=r"--set is 'bot\.long\.n_positions=1'; allowed is a key below live"
    ):
        freeze(study, made.good[0], account=ACCOUNT, sets=["bot.long.n_positions=1"])
    with pytest.raises(ConfigError, match=r"live\.levrage"):
        freeze(study, made.good[0], account=ACCOUNT, sets=["live.levrage=1"])


def test_one_of_pick_and_candidate_is_needed(study: Study) -> None:
    for method, candidate in (("knee", 3), (None, None)):
        with pytest.raises(PromotionError, match="one of --pick METHOD and --candidate NUMBER"):
            chosen(study, method, candidate)
    with pytest.raises(PromotionError, match="--where and --holds go with --pick"):
        chosen(study, None, 3, ["adg>0"])
    assert chosen(study, None, 3) == (3, None)
    number, picked = chosen(study, "knee", None)
    assert (number in study.members().numbers, picked) == (True, "knee")


def test_a_pick_is_one_of_those_that_keep_what_was_asked(made: Made, tmp_path: Path) -> None:
    shutil.copytree(made.folder, tmp_path / "s")
    with Study.open(tmp_path / "s") as study:
        members = study.members()
        with pytest.raises(StudyError, match="were not tried on unseen candles"):
            chosen(study, "ideal", None, ["--holds"])
        found = examine(study, members, unseen_scenario(study))
        assert len(members) > 1
        first = int(members.numbers[pick(members, "ideal")])
        # It trades nothing there.
        found.metrics[found.numbers == first, found.metric_names.index("volume_pct_per_day_avg")] = 0.0
        save(study, found)
        assert chosen(study, "ideal", None)[0] == first
        number, picked = chosen(study, "ideal", None, ["adg<1000", "--holds"])
        kept = members.take(holding(found, members))
        assert number == kept.numbers[pick(kept, "ideal")] != first
        assert picked == "ideal, adg<1000, --holds"
        with pytest.raises(StudyError, match="adg>1000 leaves none"):
            chosen(study, "ideal", None, ["adg>1000"])


@pytest.mark.parametrize("kept", [[], ["--where", "adg<1000"], ["--holds"]])
def test_who_is_refused_for_unseen_candles_hears_of_holds(
    kept: list[str],
    made: Made,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(made.folder, tmp_path / "s")
    with Study.open(tmp_path / "s") as study:
        save(study, examine(study, study.members(), unseen_scenario(study)))
    monkeypatch.setattr("passivbot.promotion.checks.unseen", lambda *_: check("unseen data", False, "bad"))
    to = ["--to", "main", "--dir", str(tmp_path / "live"), "--waive", "account=a test"]
    assert main(["promote", str(tmp_path / "s"), "--pick", "ideal", *kept, *to]) == 1
    said = capsys.readouterr().err
    assert "refused: unseen data; nothing was changed" in said
    assert ("--holds picks among" in said) is ("--holds" not in kept)


def test_a_failed_or_unknown_candidate_is_an_error(study: Study, made: Made) -> None:
    with pytest.raises(StudyError, match=rf"candidate {made.failed} failed: killed its worker twice"):
        freeze(study, made.failed, account=ACCOUNT)
    with pytest.raises(StudyError, match="999"):
        freeze(study, 999, account=ACCOUNT)


# ---- limits, replay


def test_limits_and_replay_hold_for_a_good_candidate(study: Study, made: Made) -> None:
    assert keeps_limits(study, made.good[0]).state == "holds"
    found = replays(study, made.good[0])
    assert found.state == "holds"
    assert found.figures["different"] == 0
    assert "repeated to the bit" in found.text


def test_a_stopped_candidate_is_refused(study: Study, made: Made) -> None:
    found = keeps_limits(study, made.stopped)
    assert found.fails
    assert found.text == "the candidate was stopped in the study"


def test_a_broken_limit_refuses_with_its_figure(made: Made, tmp_path: Path) -> None:
    worst = make_study(tmp_path / "s", made.candles, limit=0.004)
    with Study.open(worst.folder) as study:
        found = keeps_limits(study, worst.infeasible)
    assert found.fails
    assert "breaks drawdown_worst by " in found.text


def test_a_metric_one_bit_off_refuses(made: Made, tmp_path: Path) -> None:
    changed = make_study(tmp_path / "s", made.candles, nudged="gain")
    with Study.open(changed.folder) as study:
        found = replays(study, changed.good[0])
    assert found.fails
    assert "1 of 51 metrics differ from the log" in found.text
    assert "gain: logged" in found.text


def test_other_candles_are_an_error(study: Study, made: Made, tmp_path: Path) -> None:
    tables, rules = generate(COINS, seed=6, minutes=30 * 1440)
    write_folder(tmp_path / "others", tables, rules, maker_fee=0.0002)
    with pytest.raises(CandleError, match="these are not the candles of the recorded run"):
        replays(study, made.good[0], tmp_path / "others")


# ---- unseen data


def test_what_comes_after_the_study_is_run(study: Study, made: Made) -> None:
    found = unseen(study, frozen_config(study, made.good[1]))
    assert found.state == "holds", found.text
    last = study.definition.scenario["window"]["last_ms"]
    assert found.figures["first_ms"] > last
    assert 17 < found.figures["days"] <= 18
    assert found.figures["fills"] > 0
    assert found.figures["coins"] == list(COINS)


def test_what_comes_before_is_run_where_nothing_comes_after(made: Made, tmp_path: Path) -> None:
    late = make_study(tmp_path / "s", made.candles, start="2025-03-20", end="")
    with Study.open(late.folder) as study:
        first = study.definition.scenario["window"]["first_ms"]
        found = unseen(study, frozen_config(study, late.good[0]))
    assert found.figures["last_ms"] < first
    assert found.figures["days"] > LEAST_DAYS


def test_too_few_unseen_days_refuse(made: Made, tmp_path: Path) -> None:
    whole = make_study(tmp_path / "s", made.candles, start="2025-03-05", end="2025-03-30")
    with Study.open(whole.folder) as study:
        found = unseen(study, frozen_config(study, whole.good[0]))
        assert found.fails
        assert f"needed are {LEAST_DAYS}" in found.text
        assert "--unseen" in found.text
        # A folder with more days mends it.
        tables, rules = generate(COINS, seed=5, minutes=45 * 1440)
        write_folder(tmp_path / "more", tables, rules, maker_fee=0.0002)
        mended = unseen(study, frozen_config(study, whole.good[0]), tmp_path / "more")
    assert mended.figures["days"] > 14


def test_a_limit_that_breaks_on_unseen_candles_refuses(study: Study, made: Made, tmp_path: Path) -> None:
    config = frozen_config(study, made.good[1])
    drawdown = unseen(study, config).figures["metrics"]["drawdown_worst"]
    strict = make_study(tmp_path / "s", made.candles, limit=drawdown * 0.99)
    with Study.open(strict.folder) as again:
        found = unseen(again, config)
    assert found.fails
    assert found.text.startswith("drawdown_worst ")


def test_a_candidate_that_trades_nothing_is_refused(study: Study, made: Made) -> None:
    config = frozen_config(study, made.good[1])
    side = config.bot.long.model_copy(update={"entry_initial_ema_dist": 0.9})
    still = config.model_copy(update={"bot": config.bot.model_copy(update={"long": side})})
    found = unseen(study, still)
    assert found.fails
    assert "nothing is traded" in found.text


def test_a_loss_within_the_limits_is_said(study: Study, made: Made) -> None:
    config = frozen_config(study, made.good[1])
    below_cost = {"close_grid_markup_start": -0.01, "close_grid_markup_end": -0.01}
    side = config.bot.long.model_copy(update=below_cost)
    losing = config.model_copy(update={"bot": config.bot.model_copy(update={"long": side})})
    for tried in (config, losing):
        found = unseen(study, tried)
        assert found.state == "holds", found.text
        assert ("the limits hold, but it loses" in found.text) is (found.figures["metrics"]["gain"] < 1)
    assert found.figures["metrics"]["gain"] < 1


# ---- exposure and cost


def test_no_candidate_ever_exceeded_its_worst_case(study: Study) -> None:
    results = next(study.all())
    ratios = []
    for place, number in enumerate(results.numbers.tolist()):
        if results.rows.status[place] == "failed":
            continue
        config = frozen_config(study, number)
        worst = worst_case(
            config,
            {side: sorted(config.live.approved(side)) for side in SIDES},
            dict.fromkeys(COINS, 10.0),
            study.definition.scenario["starting_balance"],
        )
        ratios.append(float(results.metric("total_wallet_exposure_max")[place]) / worst.total)
    # A loss makes the same position larger in proportion; the study's largest drawdown is 2 %.
    assert max(ratios) <= 1.03
    assert max(ratios) > 0.8, "the worst case is near enough to say something"


def config_with(**long: float) -> Config:
    config = Config()
    sides = {
        "long": config.bot.long.model_copy(update=long),
        "short": config.bot.short.model_copy(update={"n_positions": 0, "total_wallet_exposure_limit": 0.0}),
    }
    live = config.live.model_copy(
        update={"approved_coins": {"long": ("A", "B", "C"), "short": ("A",)}, "leverage": 10.0}
    )
    return config.model_copy(update={"bot": config.bot.model_copy(update=sides), "live": live})


def test_exposure_counts_full_slots_own_limits_and_smallest_orders() -> None:
    config = config_with(n_positions=2, total_wallet_exposure_limit=1.0)
    coins: Coins = {"long": ["A", "B", "C"], "short": ["A"]}
    assert limits_of(config, "long", coins["long"]) == dict.fromkeys("ABC", 0.5)
    assert worst_case(config, coins).total == pytest.approx(2 * 0.505)
    # Fewer coins than slots: the side's limit is divided by the coins.
    assert limits_of(config, "long", ["A"]) == {"A": 1.0}
    own = config.model_copy(
        update={"coin_overrides": {"B": {"bot": {"long": {"wallet_exposure_limit": 1.2}}}}}
    )
    assert worst_case(own, coins).total == pytest.approx(1.01 * (1.2 + 0.5))
    # The smallest order of B is 0.3 of the balance: one of them may come on top.
    assert worst_case(config, coins, {"B": 300.0}, 1000.0).total == pytest.approx(0.505 + 0.4995 + 0.3)


def test_the_cap_the_leverage_and_nothing_at_all_refuse() -> None:
    config = config_with(n_positions=2, total_wallet_exposure_limit=1.0)
    worst = worst_case(config, {"long": ["A", "B"], "short": []})
    assert exposure_within(config, worst, 2.0).state == "holds"
    # Limits that add up to the cap keep it, as the bot's guard sees it too.
    assert exposure_within(config, worst, 1.0).state == "holds"
    capped = exposure_within(config, worst, 0.99)
    assert capped.fails
    assert "at worst 1.01 × balance (long 1.01, short 0), cap 0.99" in capped.text
    low = config.model_copy(update={"live": config.live.model_copy(update={"leverage": 1.0})})
    assert "the margin does not suffice" in exposure_within(low, worst, 2.0).text
    none = worst_case(config, {"long": [], "short": []})
    assert "no side may enter anything" in exposure_within(config, none, 2.0).text


def possible(config: Config, coins: Coins, least: dict[str, float], balance: float) -> Check:
    return entries_possible(config, coins, too_small(config, coins, least, balance), balance)


def test_a_balance_too_small_for_first_entries_refuses() -> None:
    config = config_with(n_positions=2, total_wallet_exposure_limit=1.0, entry_initial_qty_pct=0.01)
    coins: Coins = {"long": ["A", "B"], "short": []}
    # A first entry is balance × 0.5 × 0.01.
    assert possible(config, coins, {"A": 5.0, "B": 5.0}, 1000.0).state == "holds"
    some = possible(config, coins, {"A": 5.0, "B": 20.0}, 1000.0)
    assert some.state == "holds"
    assert "B long" in some.text
    assert "from a balance of 4,000.00 on" in some.text
    assert possible(config, coins, {"A": 5.0, "B": 5.0}, 999.0).fails
    live = config.live.model_copy(update={"filter_by_min_effective_cost": False})
    unfiltered = config.model_copy(update={"live": live})
    assert possible(unfiltered, coins, {"A": 5.0, "B": 20.0}, 1000.0).fails


# ---- difference


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--pick", "knee"], "need --study"),
        (["--holds"], "need --study"),
        (["1", "--candidate", "0"], "need --study"),
        (["1", "--study", "s", "--pick", "knee"], "name no versions with it"),
    ],
)
def test_what_a_comparison_would_not_heed_is_refused(
    args: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["promote", "diff", "main", *args]) == 2
    assert said in capsys.readouterr().err


def test_differences_show_risk_first_and_coins_by_name() -> None:
    before = config_with(n_positions=2, total_wallet_exposure_limit=1.0)
    after = config_with(n_positions=3, total_wallet_exposure_limit=1.5, ema_span_0=100.0)
    live = after.live.model_copy(update={"approved_coins": {"long": ("A", "D"), "short": ("A",)}})
    changes = difference(before, after.model_copy(update={"live": live}))
    assert [(c.key, c.risk) for c in changes] == [
        ("bot.long.total_wallet_exposure_limit", True),
        ("bot.long.n_positions", True),
        ("live.approved_coins.long", True),
        ("bot.long.ema_span_0", False),
    ]
    assert (changes[0].before, changes[0].after) == ("1", "1.5")
    assert changes[2].after == "2 entries: +D -B -C"
    assert difference(before, before) == []


def test_a_coin_override_is_a_risk_too() -> None:
    before = config_with(n_positions=2)
    overrides = {"A": {"bot": {"long": {"wallet_exposure_limit": 1.0, "ema_span_0": 10.0}}}}
    changes = difference(before, before.model_copy(update={"coin_overrides": overrides}))
    assert [(c.key.rpartition(".")[2], c.before, c.after, c.risk) for c in changes] == [
        ("wallet_exposure_limit", "–", "1", True),
        ("ema_span_0", "–", "10", False),
    ]


def test_without_anything_live_only_risk_is_told() -> None:
    changes = difference(None, config_with(n_positions=2))
    assert all(change.risk for change in changes)
    assert [change.key for change in changes] == [key for key in RISK]


def test_the_smallest_order_is_a_whole_step() -> None:
    """As the bot reckons it: a step above the least quantity, or above the least cost, decides."""
    rules = MarketRules(qty_step=0.5, price_step=0.1, min_qty=0.1, min_cost=5.0, c_mult=2.0)
    market = Market("A", "A/USDT:USDT", rules, 0.0002, 0.0005, active=True)
    account = Account("x", 1000.0, (), 0, {"A": market}, {"A": 30.0}, Permissions(True, False))
    assert account.least() == {"A": 0.5 * 30.0 * 2.0}
