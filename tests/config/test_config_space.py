"""The searched vector: bounds, rounding, fine-tuning, overrides, and its way into a configuration."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from passivbot.config import Config, ParameterSpace, load_config
from passivbot.config.load import load_mapping
from passivbot.config.schema import BOUNDS, SIDES
from passivbot.config.space import NAMES
from passivbot.engine import round_significant
from passivbot.errors import ConfigError

INDEX = {name: i for i, name in enumerate(NAMES)}
FREE = {f"{side}_{cap}": [1, 5] for side in SIDES for cap in ("n_positions", "total_wallet_exposure_limit")}


def load(bounds: dict[str, Any] | None = None, *, sets: tuple[str, ...] = (), **optimize: Any) -> Config:
    raw = {"bot": {}, "live": {}, "optimize": {"bounds": FREE | (bounds or {})} | optimize}
    return load_mapping(raw, Path("c.json"), sets=sets).config


def ends(space: ParameterSpace, name: str) -> tuple[float, float]:
    return float(space.low[INDEX[name]]), float(space.high[INDEX[name]])


def test_order_and_bounds() -> None:
    space = ParameterSpace.from_config(load({"long_ema_span_0": 7, "short_ema_span_1": [9, 8]}))
    assert space.names == NAMES
    assert NAMES[0] == "long_close_grid_markup_end"
    assert NAMES[29] == "short_close_grid_markup_end"
    assert ends(space, "long_ema_span_0") == (7.0, 7.0)
    assert ends(space, "short_ema_span_1") == (8.0, 9.0)
    assert space.free.sum() == 57
    assert (space.digits, space.low.dtype, space.low.shape) == (5, np.float64, (58,))


@pytest.mark.parametrize("cap", ["n_positions", "total_wallet_exposure_limit"])
@pytest.mark.parametrize("upper", [0, -1])
def test_a_disabled_side_is_fixed_at_its_lower_bounds(cap: str, upper: float) -> None:
    space = ParameterSpace.from_config(load({f"short_{cap}": [-2, upper]}))
    assert space.free.tolist() == [True] * 29 + [False] * 29
    assert ends(space, "short_ema_span_0") == (200.0, 200.0)
    assert ends(space, f"short_{cap}") == (-2.0, -2.0)


def test_rounding_comes_before_clamping() -> None:
    config = load(
        {"long_ema_span_0": [200.123456, 1440.98765], "long_unstuck_threshold": [0, 1]},
        round_to_n_significant_digits=3,
    )
    space = ParameterSpace.from_config(config)
    row = space.vector(config)
    spans = ((100.0, 200.123456), (3000.0, 1440.98765), (1234.5678, 1230.0), (200.2, 200.123456))
    for value, expected in spans:
        row[INDEX["long_ema_span_0"]] = value
        assert space.enforce(row)[INDEX["long_ema_span_0"]] == expected
    for value, expected in (
        (0.12345, 0.123),
        (0.9996, 1.0),
        (1.2345e-7, 1.23e-7),
        (-1e-12, 0.0),
        (5e-324, 0.0),
    ):
        row[INDEX["long_unstuck_threshold"]] = value
        found = space.enforce(row)[INDEX["long_unstuck_threshold"]]
        assert found == expected
        assert not np.signbit(found)


def test_steps_are_kept() -> None:
    """``[low, high, step]``: low + k × step within the bounds, and exactly that decimal."""
    config = load(
        {
            "long_ema_span_0": [200, 1444, 10],
            "long_n_positions": [1, 7, 1],
            "long_entry_grid_spacing_pct": [0.0015, 0.012, 0.00001],
            "long_unstuck_ema_dist": [0.01, -0.2, 0.0001],
            "long_entry_initial_ema_dist": [-0.1, 0.002, 0],
            "long_unstuck_threshold": [0.4, 0.95, None],
        }
    )
    assert config.optimize.bounds["long_ema_span_0"] == (200.0, 1444.0, 10.0)
    assert config.optimize.bounds["long_unstuck_ema_dist"] == (-0.2, 0.01, 0.0001)
    assert config.optimize.bounds["long_entry_initial_ema_dist"] == (-0.1, 0.002)
    assert config.optimize.bounds["long_unstuck_threshold"] == (0.4, 0.95)
    space = ParameterSpace.from_config(Config.from_dict(config.to_dict()))
    assert ends(space, "long_ema_span_0") == (200.0, 1444.0)
    for name, value, expected in (
        ("long_ema_span_0", 204.9, 200.0),
        ("long_ema_span_0", 205.1, 210.0),
        ("long_ema_span_0", 9e9, 1440.0),
        ("long_ema_span_0", -5.0, 200.0),
        ("long_n_positions", 3.51, 4.0),
        ("long_entry_grid_spacing_pct", 0.00765432, 0.00765),
        ("long_entry_grid_spacing_pct", 1.0, 0.012),
        ("long_unstuck_ema_dist", -0.12344, -0.1234),
        ("long_unstuck_ema_dist", 0.00001, 0.0),
        ("long_entry_initial_ema_dist", -0.0123456, -0.012346),
    ):
        row = space.vector(config)
        row[INDEX[name]] = value
        found = space.enforce(row)[INDEX[name]]
        assert found == expected, name
        assert not np.signbit(found) or expected < 0.0
    raw = np.random.default_rng(1).uniform(space.low, space.high, (300, 58))
    once = space.enforce(raw)
    assert space.enforce(once).tobytes() == once.tobytes()
    assert space.enforce(raw[17]).tobytes() == once[17].tobytes()
    assert ((once >= space.low) & (once <= space.high)).all()
    assert len(np.unique(once[:, INDEX["long_n_positions"]])) == 7


def test_a_side_that_is_off_and_a_fixed_parameter_have_no_steps_to_take() -> None:
    bounds = {
        "short_n_positions": [0, 0],
        "short_ema_span_0": [200, 1440, 10],
        "long_ema_span_0": [300, 900, 10],
    }
    config = load(bounds, sets=("bot.long.ema_span_0=333",))
    row = ParameterSpace.from_config(config).enforce(np.full(58, 333.0))
    assert (row[INDEX["long_ema_span_0"]], row[INDEX["short_ema_span_0"]]) == (330.0, 200.0)
    fine = ParameterSpace.from_config(config, ["long_ema_span_1"])
    assert fine.enforce(fine.vector(config))[INDEX["long_ema_span_0"]] == 333.0


wide = arrays(np.float64, (5, 58), elements=st.floats(-3000, 3000))


@settings(max_examples=60, deadline=None)
@given(matrix=wide)
def test_enforced_vectors_lie_within_bounds_and_stay(matrix: np.ndarray) -> None:
    # Ends with no more digits than a component has: then enforcing twice is enforcing once.
    space = ParameterSpace.from_config(load())
    once = space.enforce(matrix)
    assert ((once >= space.low) & (once <= space.high)).all()
    assert space.enforce(once).tobytes() == once.tobytes()
    inside = (once != space.low) & (once != space.high)
    # NaN: 10^e of the formula overflows for the smallest numbers.
    assert (once == np.nan_to_num(round_significant(matrix, space.digits)))[inside].all()
    assert space.enforce(matrix[2]).tobytes() == once[2].tobytes()


@settings(max_examples=40, deadline=None)
@given(matrix=wide)
def test_what_is_evaluated_is_what_the_configuration_holds(matrix: np.ndarray) -> None:
    config = load(enable_overrides=["example", "lossless_close_trailing", "unknown"])
    space = ParameterSpace.from_config(config)
    enforced = space.enforce(matrix)
    evaluated = space.evaluated(enforced)
    for row, expected in zip(enforced, evaluated, strict=True):
        applied = space.apply(config, row)
        # n_positions is the one that a configuration rounds, as the engine does.
        slots = [INDEX[f"{side}_n_positions"] for side in SIDES]
        found = space.vector(applied)
        assert (found[slots] == np.floor(expected[slots] + 0.5)).all()
        found[slots] = expected[slots]
        assert found.tobytes() == expected.tobytes()
        text = json.dumps(applied.to_dict())
        assert load_mapping(json.loads(text), Path("front.json")).config.bot == applied.bot


def test_lossless_close_trailing() -> None:
    config = load(enable_overrides=["lossless_close_trailing"])
    space = ParameterSpace.from_config(config)
    rows = np.stack([space.vector(config)] * 2)
    threshold = [INDEX[f"{side}_close_trailing_threshold_pct"] for side in SIDES]
    retracement = [INDEX[f"{side}_close_trailing_retracement_pct"] for side in SIDES]
    rows[:, threshold] = [[0.01, -0.02], [0.03, 0.0]]
    rows[:, retracement] = [[0.02, 0.001], [0.02, 0.0]]
    before = rows.copy()
    assert space.evaluated(rows)[:, threshold].tolist() == [[0.02, 0.001], [0.03, 0.0]]
    assert (rows == before).all()
    skipped = ParameterSpace.from_config(load(enable_overrides=["typo", "lossless_close_trailing"]))
    assert (skipped.evaluated(rows) == before).all()


def test_applying_changes_nothing_else() -> None:
    sets = ["bot.long.enforce_exposure_limit=no", "coin_overrides.BTC.bot.long.ema_span_0=9"]
    config = load_config(None, sets=sets).config
    space = ParameterSpace.from_config(config)
    applied = space.apply(config, space.enforce(space.vector(config)))
    one, other = applied.to_dict(), config.to_dict()
    assert one.pop("bot") != other.pop("bot")
    assert one == other
    assert applied.bot.long.enforce_exposure_limit is False


class TestFineTuning:
    """Optimizer-semantics §1.6, with the manual's intent for ordinary bounds."""

    def test_forms_of_a_bound(self) -> None:
        long = {"ema_span_0": 50, "ema_span_1": 60, "unstuck_threshold": 0.5, "n_positions": 2}
        config = load_mapping(
            {
                "bot": {"long": long},
                "live": {},
                "optimize": {
                    "bounds": FREE
                    | {
                        "long_ema_span_0": 7,
                        "long_ema_span_1": [8],
                        "long_unstuck_threshold": [0.4, 0.9],
                        "long_unstuck_close_pct": [0.1, 0.2],
                    }
                },
            },
            Path("c.json"),
            sets=(
                "optimize.bounds.long_entry_initial_qty_pct=0.01,0.02",
                "optimize.bounds.long_unstuck_ema_dist=-1",
            ),
        ).config
        space = ParameterSpace.from_config(config, ["long_unstuck_close_pct"])
        assert ends(space, "long_unstuck_close_pct") == (0.1, 0.2)
        assert ends(space, "long_ema_span_0") == (50.0, 50.0)
        assert ends(space, "long_ema_span_1") == (8.0, 8.0)
        assert ends(space, "long_unstuck_threshold") == (0.5, 0.5)
        assert ends(space, "long_entry_initial_qty_pct") == (0.01, 0.02)
        assert ends(space, "long_unstuck_ema_dist") == (-1.0, -1.0)
        assert ends(space, "long_n_positions") == (2.0, 2.0)
        assert [NAMES[i] for i in np.flatnonzero(space.free)] == [
            "long_entry_initial_qty_pct",
            "long_unstuck_close_pct",
        ]
        assert ends(ParameterSpace.from_config(config), "long_ema_span_0") == (7.0, 7.0)

    def test_options_count_as_command_line(self, tmp_path: Path) -> None:
        path = tmp_path / "c.json"
        path.write_text('{"bot": {}, "live": {}}')
        config = load_config(path, options={"optimize.bounds.long_ema_span_1": "300,400"}).config
        assert config.command_line_bounds == {"long_ema_span_1"}
        space = ParameterSpace.from_config(config, ["long_ema_span_0"])
        assert [NAMES[i] for i in np.flatnonzero(space.free)] == ["long_ema_span_0", "long_ema_span_1"]

    def test_a_side_that_is_configured_off_stays_off(self) -> None:
        off = {"bot": {"short": {"total_wallet_exposure_limit": 0}}, "live": {}, "optimize": {"bounds": FREE}}
        config = load_mapping(off, Path("c.json")).config
        with pytest.raises(
            ConfigError, match=r"^--fine-tune short_ema_span_0 leaves no parameter free; allow"
        ):
            ParameterSpace.from_config(config, ["short_ema_span_0"])

    def test_a_name_without_a_bound_is_reported(self) -> None:
        space = ParameterSpace.from_config(load(), ["long_ema_span0", "long_ema_span_1"])
        assert [str(f) for f in space.findings] == [
            "--fine-tune: long_ema_span0: has no bound and is left out (nearest known key: long_ema_span_0)"
        ]
        assert space.free.sum() == 1


def test_a_missing_bound_of_a_programmatic_configuration() -> None:
    config = Config()
    bounds = {name: bound for name, bound in BOUNDS.items() if name != "short_unstuck_threshold"}
    config = config.model_copy(update={"optimize": config.optimize.model_copy(update={"bounds": bounds})})
    with pytest.raises(ConfigError) as caught:
        ParameterSpace.from_config(config)
    assert str(caught.value) == (
        "configuration: optimize.bounds.short_unstuck_threshold is missing; allowed is a number, [x], "
        "[low, high] or [low, high, step]"
    )


class TestSeeds:
    """Starting configurations (optimizer-semantics §5)."""

    space = ParameterSpace.from_config(load({"long_total_wallet_exposure_limit": [0, 3]}))

    @staticmethod
    def document(**long: Any) -> str:
        side = {"total_wallet_exposure_limit": 2} | long
        return json.dumps({"bot": {"long": side, "short": {}}, "live": {}})

    def column(self, vectors: np.ndarray, name: str) -> list[float]:
        return [float(value) for value in vectors[:, INDEX[name]]]

    def test_a_file_gives_its_vector_and_one_with_less_exposure(self, tmp_path: Path) -> None:
        file = tmp_path / "a.json"
        file.write_text(self.document(ema_span_0=300.123456, n_positions=2.5))
        vectors = self.space.seeds([file])
        assert vectors.shape == (2, 58)
        assert self.column(vectors, "long_total_wallet_exposure_limit") == [2.0, 1.5]
        # 1.7 × 0.75 = 1.275
        assert self.column(vectors, "short_total_wallet_exposure_limit") == [1.7, 1.275]
        assert self.column(vectors, "long_ema_span_0") == [300.12, 300.12]
        assert self.column(vectors, "long_n_positions") == [3.0, 3.0]
        assert vectors.tobytes() == self.space.enforce(vectors).tobytes()

    def test_folders_lines_and_repetitions(self, tmp_path: Path) -> None:
        (tmp_path / "deep" / "er").mkdir(parents=True)
        (tmp_path / "deep" / "er" / "a.json").write_text(self.document(ema_span_0=300))
        (tmp_path / "deep" / "b.hjson").write_text("{bot: {long: {ema_span_0: 400}}\n live: {}}")
        lines = [
            self.document(ema_span_0=300),
            "",
            self.document(ema_span_0=500, total_wallet_exposure_limit=0),
        ]
        (tmp_path / "x_pareto.txt").write_text("\n".join(lines))
        (tmp_path / "analysis.json").write_text('{"adg": 1}')
        (tmp_path / "notes.txt").write_text("nothing")
        vectors = self.space.seeds([tmp_path])
        assert self.column(vectors, "long_ema_span_0") == [400.0, 400.0, 300.0, 300.0, 500.0, 500.0]
        again = self.space.seeds([tmp_path / "x_pareto.txt", tmp_path / "deep"])
        assert sorted(map(bytes, again)) == sorted(map(bytes, vectors))

    def test_what_holds_no_configuration(self, tmp_path: Path) -> None:
        from passivbot.config.seeds import read_seeds

        def of(path: Path) -> str:
            with pytest.raises(ConfigError) as caught:
                self.space.seeds([path])
            return str(caught.value)

        assert of(tmp_path) == f"{tmp_path}: the folder holds no configuration to start from"
        assert of(tmp_path / "none.json") == f"{tmp_path / 'none.json'}: there is no such file"
        file = tmp_path / "a_pareto.txt"
        file.write_text("{]")
        assert of(file).startswith(f"{file} line 1: is neither JSON nor Hjson")
        file.write_text("[]")
        assert of(file) == f"{file} line 1: holds no configuration"
        (tmp_path / "good.json").write_text(self.document())
        seeds = read_seeds(self.space, [tmp_path])
        assert len(seeds.vectors) == 2
        assert [f.file for f in seeds.findings] == [str(file)]

    def test_what_lies_outside_the_bounds_is_said(self, tmp_path: Path) -> None:
        from passivbot.config.seeds import read_seeds

        wide = {"long_n_positions": [1, 20], "short_n_positions": [1, 20]}
        space = ParameterSpace.from_config(load(wide))
        file = tmp_path / "a.json"
        file.write_text(self.document(ema_span_0=300, entry_grid_spacing_pct=0.05))
        (counted,) = read_seeds(space, [file]).notes
        assert counted == "starts: 1 configuration, 2 different candidates of them"
        (tmp_path / "b.json").write_text(self.document(ema_span_0=5000, entry_grid_spacing_pct=0.9))
        (tmp_path / "c.json").write_text(self.document(ema_span_0=5000))
        _, outside = read_seeds(space, [tmp_path]).notes
        assert "of long_ema_span_0 (2), long_entry_grid_spacing_pct (1); wider bounds" in outside
        # Of a parameter that is not searched the configured value counts, whatever the start has.
        fixed = ParameterSpace.from_config(load(wide | {"long_ema_span_0": [200, 200]}))
        (tmp_path / "b.json").unlink()
        assert len(read_seeds(fixed, [tmp_path]).notes) == 1
