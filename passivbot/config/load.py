"""Loading a configuration in layers: built-in defaults, file, ``--set``, options (config-format §7.6, §8)."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from passivbot.config import later
from passivbot.config import values as v
from passivbot.config.coins import file_of_coins, resolve, search_folders, without_ignored
from passivbot.config.document import read_mapping
from passivbot.config.findings import Finding
from passivbot.config.migrate import RETIRED, migrate
from passivbot.config.overrides import normalise_overrides
from passivbot.config.resources import TEMPLATE, configs_dir
from passivbot.config.schema import (
    BOUNDS,
    KINDS,
    Config,
    missing_bound,
    plain,
    sections,
    suggestion,
    unknown_key,
    unknown_keys,
    validated,
)
from passivbot.config.scoring import current_limits, limit_of, objective_of, sorted_scoring
from passivbot.errors import ConfigError, located

COMMAND_LINE = "the command line"
OVERRIDE_NAMES = ("lossless_close_trailing", "example")
"""Names that ``optimize.enable_overrides`` knows (optimizer-semantics §1.5)."""
_COIN_LISTS = ("live.approved_coins", "live.ignored_coins")
_OVERRIDE_FILE = "override_config_path"


@dataclass(frozen=True)
class Loaded:
    """A configuration, where it comes from, and what in it is most likely not meant."""

    config: Config
    findings: tuple[Finding, ...]
    source: str


def load_config(
    source: Path | str | None, *, sets: Sequence[str] = (), options: Mapping[str, str] | None = None
) -> Loaded:
    """Load a configuration: built-in defaults → the file → ``sets`` → ``options``.

    Files of all layouts of config-format §7 are accepted, JSON or Hjson. Loading what
    :meth:`Config.to_dict` gave changes nothing.

    Parameters
    ----------
    source
        The file; None for the shipped template.
    sets
        ``key=value`` with dotted keys, such as ``optimize.bounds.long_ema_span_0=200,1440``.
    options
        Dotted key → text, as options of the command line give them.

    Raises
    ------
    ConfigError
        The file is missing or not readable, or has a wrong type, an unknown metric, a bound of a wrong shape;
        or the command line names an unknown key. The message names file, key, value and what is allowed.
    """
    path = configs_dir() / TEMPLATE if source is None else Path(source)
    raw = read_mapping(path)
    if source is None:
        # Where the template is installed belongs into no result.
        raw["live"]["base_config_path"] = TEMPLATE
    return load_mapping(raw, path, sets=sets, options=options)


def load_mapping(
    raw: Mapping[str, Any],
    file: Path,
    *,
    sets: Sequence[str] = (),
    options: Mapping[str, str] | None = None,
) -> Loaded:
    """Load a configuration that is already read; ``file`` is its origin. See :func:`load_config`."""
    loading = _Loading(raw=migrate(raw, file), file=file)
    loading.drop_unknown()
    loading.fill()
    loading.note_reversed_bounds(loading.raw["optimize"]["bounds"], str(file))
    for key, text in (*(split_set(entry) for entry in sets), *(options or {}).items()):
        loading.put(key, text)
    config = loading.normalised()
    return Loaded(config, tuple(loading.findings), str(file))


def named_file(key: str, text: str, source: Path | None) -> Path | None:
    """Return the file that a value of the command line names, or None if it names none.

    Those are files of coins, and configurations of single coins.

    Parameters
    ----------
    key, text
        As given to ``--set`` or as an option.
    source
        The configuration that is loaded with it; None for the shipped template.

    Raises
    ------
    ConfigError
        A file of coins is not there.
    """
    if key in _COIN_LISTS or key.rpartition(".")[0] in _COIN_LISTS:
        return file_of_coins(text, key, COMMAND_LINE, search_folders(source))
    if key.startswith("coin_overrides.") and key.endswith(f".{_OVERRIDE_FILE}"):
        path = _override_file(text, source or configs_dir() / TEMPLATE)
        return path if path.is_file() else None
    return None


def _override_file(name: str, source: Path) -> Path:
    path = Path(name)
    return path if path.is_file() else source.parent / name


def split_set(entry: str) -> tuple[str, str]:
    """Return key and text of one ``--set KEY=TEXT``.

    Raises
    ------
    ConfigError
        It has another form.
    """
    key, equals, text = entry.partition("=")
    if not equals or not key.strip():
        raise ConfigError(located(COMMAND_LINE, "--set", entry, "key=value"))
    return key.strip(), text


@dataclass
class _Loading:
    """One load in progress: the raw configuration, where its values come from, and the findings so far."""

    raw: dict[str, Any]
    file: Path
    origins: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def where(self, key: str) -> str:
        """Return where the value of a key comes from."""
        return self.origins.get(key, str(self.file))

    # ---- the file ----

    def drop_unknown(self) -> None:
        """Remove keys that the schema does not have; a finding each, except for retired names.

        Those that came after v7.4.4 and change what is traded get one a section, as there may be dozens.
        """
        rules: dict[str, dict[str, Any]] = {}
        for parent, name in unknown_keys(self.raw):
            key = f"{parent}.{name}" if parent else name
            part = self.raw
            for step in parent.split(".") if parent else ():
                part = part[step]
            value = part.pop(name)
            if later.rule_of(parent, name):
                rules.setdefault(parent, {})[name] = value
            elif name not in RETIRED.get(parent, ()):
                self.findings.append(
                    Finding(str(self.file), key, f"is unknown and left out{suggestion(key)}")
                )
        self.findings += filter(
            None, (later.rules_finding(section, names, self.file) for section, names in rules.items())
        )

    def fill(self) -> None:
        """Add missing keys from the built-in defaults."""
        defaults = Config().to_dict()
        for prefix, model in sections():
            part, default = self.raw, defaults
            for step in prefix.split(".") if prefix else ():
                part, default = part[step], default[step]
            for name in model.model_fields:
                part.setdefault(name, copy.deepcopy(default[name]))
        bounds = self.raw["optimize"]["bounds"]
        for name, bound in BOUNDS.items():
            if bounds.setdefault(name, list(bound)) is None:
                raise ConfigError(missing_bound(name, self.file))
        # Private keys among the bounds have no place in the model's mapping of names to numbers.
        self.raw["optimize"]["bounds"] = {name: bounds[name] for name in BOUNDS}
        live = self.raw["live"]
        live["base_config_path"] = live["base_config_path"] or str(self.file)

    def note_reversed_bounds(self, bounds: Mapping[str, Any], file: str) -> None:
        """Report bounds whose first end is the larger one; they are sorted when they are validated."""
        for name, bound in bounds.items():
            match bound:
                case [int() | float() as first, int() | float() as second, *_] if first > second:
                    self.findings.append(
                        Finding(
                            file,
                            f"optimize.bounds.{name}",
                            f"[{first:g}, {second:g}] is reversed and read as [{second:g}, {first:g}]",
                        )
                    )

    # ---- the command line ----

    def put(self, key: str, text: str) -> None:
        """Write one value of the command line over what the file says."""
        parent, _, name = key.rpartition(".")
        if parent == "optimize.limits":
            limits = self._part("optimize.limits")
            limits[name] = self._read(v.NUMBER, key, text)
        elif parent in _COIN_LISTS and name in ("long", "short"):
            self._part(parent)[name] = text
        elif key.startswith("coin_overrides.") and key.count(".") >= 2:
            self._put_override(key, text)
        elif key in KINDS and parent:
            section = self.raw
            for step in parent.split("."):
                section = section[step]
            section[name] = self._read(KINDS[key], key, text)
            if parent == "optimize.bounds":
                self.note_reversed_bounds({name: section[name]}, COMMAND_LINE)
        else:
            raise ConfigError(unknown_key(COMMAND_LINE, key))
        self.origins[key] = COMMAND_LINE

    def _part(self, key: str) -> dict[str, Any]:
        """Return a value that may stand in several forms as the mapping into which one entry is put."""
        section, name = key.split(".")
        value: dict[str, Any]
        if key == "optimize.limits":
            value = self._converted_limits()
        else:
            value = resolve(self.raw[section][name], key, self.where(key), search_folders(self.file))
        self.raw[section][name] = value
        return value

    def _put_override(self, key: str, text: str) -> None:
        parts = key.split(".")
        section = self.raw["coin_overrides"]
        for step in parts[1:-1]:
            section = section.setdefault(step, {})
            if not isinstance(section, dict):
                raise ConfigError(unknown_key(COMMAND_LINE, key))
        like = KINDS.get(".".join(parts[2:]), v.TEXT if parts[-1] == _OVERRIDE_FILE else v.NUMBER)
        section[parts[-1]] = self._read(like, key, text)

    def _read(self, kind: v.Kind, key: str, text: str) -> Any:
        try:
            value = kind.from_text(text)
            if kind is not v.COINS:
                kind.convert(value)
        except ValueError:
            raise ConfigError(located(COMMAND_LINE, key, text, kind.allowed)) from None
        return value

    # ---- both together ----

    def normalised(self) -> Config:
        """Validate and normalise what the layers gave."""
        raw = self.raw
        folders = search_folders(self.file)
        for key in _COIN_LISTS:
            name = key.removeprefix("live.")
            raw["live"][name] = resolve(raw["live"][name], key, self.where(key), folders)
        raw["optimize"]["limits"] = self._converted_limits()
        overrides = raw.pop("coin_overrides")
        config = validated(Config, raw, self.origins, self.file)

        data = config.to_dict()
        without_ignored(data["live"], str(self.file))
        self._normalise_scoring(data)
        self._note_enabled(config.optimize.enable_overrides)
        if not isinstance(overrides, Mapping):
            raise ConfigError(
                located(self.file, "coin_overrides", overrides, "a mapping of coin to override")
            )
        data["coin_overrides"], found = normalise_overrides(config, overrides, str(self.file), self._other)
        self.findings += found
        final = validated(Config, data, self.origins, self.file)
        prefix = "optimize.bounds."
        return final.with_command_line_bounds(
            {key.removeprefix(prefix) for key in self.origins if key.startswith(prefix)}
        )

    def _converted_limits(self) -> dict[str, float]:
        """Return the limits as mapping; a wrong number is named with its own key."""
        key = "optimize.limits"
        value = self.raw["optimize"]["limits"]
        if isinstance(value, Mapping):
            for name, limit in value.items():
                try:
                    v.finite(limit)
                except ValueError:
                    where = self.where(f"{key}.{name}")
                    raise ConfigError(
                        located(where, f"{key}.{name}", plain(limit), v.NUMBER.allowed)
                    ) from None
        try:
            return dict(v.LIMITS.convert(value))
        except ValueError:
            raise ConfigError(located(self.where(key), key, plain(value), v.LIMITS.allowed)) from None

    def _normalise_scoring(self, data: dict[str, Any]) -> None:
        """Sort and check scoring and limits; without BTC collateral their leading ``btc_`` goes."""
        optimize, btc = data["optimize"], data["backtest"]["use_btc_collateral"]
        where = self.where("optimize.scoring")
        names = optimize["scoring"] if btc else [name.removeprefix("btc_") for name in optimize["scoring"]]
        optimize["scoring"] = list(sorted_scoring(names, where))
        for name in optimize["scoring"]:
            objective_of(name, where)
        optimize["limits"] = current_limits(optimize["limits"], btc=btc)
        for key, value in optimize["limits"].items():
            where = self.where(f"optimize.limits.{key}")
            where = self.where("optimize.limits") if where == str(self.file) else where
            if limit_of(key, value, where).metric.startswith("btc_") and not btc:
                self.findings.append(
                    Finding(
                        where, f"optimize.limits.{key}", "has no effect: backtest.use_btc_collateral is off"
                    )
                )

    def _note_enabled(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in OVERRIDE_NAMES:
                self.findings.append(
                    Finding(
                        self.where("optimize.enable_overrides"),
                        "optimize.enable_overrides",
                        f"{name!r} is unknown; it and the names after it have no effect "
                        f"(known: {v.known(OVERRIDE_NAMES)})",
                    )
                )
                return

    def _other(self, name: str) -> Config:
        """Load the configuration that a coin's ``override_config_path`` names (config-format §6, rule 1)."""
        path = _override_file(name, self.file)
        # Its own overrides are not followed: nothing is taken of them, and a file that names itself would
        # never end.
        other = _Loading(raw=migrate(read_mapping(path), path), file=path)
        other.drop_unknown()
        other.fill()
        other.raw["coin_overrides"] = {}
        return other.normalised()
