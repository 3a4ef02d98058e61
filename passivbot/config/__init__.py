"""Configuration: schema, loading, migration of older files, and what a search makes of it."""

from passivbot.config.findings import Finding
from passivbot.config.load import Loaded, load_config
from passivbot.config.schema import Config
from passivbot.config.scoring import METRIC_WEIGHTS, Limit, Objective, Scoring
from passivbot.config.space import ParameterSpace
from passivbot.config.warmup import WarmupRule, warmup_minutes

__all__ = [
    "METRIC_WEIGHTS",
    "Config",
    "Finding",
    "Limit",
    "Loaded",
    "Objective",
    "ParameterSpace",
    "Scoring",
    "WarmupRule",
    "load_config",
    "warmup_minutes",
]
