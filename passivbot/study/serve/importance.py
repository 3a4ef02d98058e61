"""Which parameters the objectives depended on, over the candidates of a study."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from passivbot.study.study import Results

BINS = 10
LEAST = 50  # scored candidates; with fewer the shares are noise
MEASURE = (
    "share of the variance of the objective's ranks that the parameter alone explains: analysis of variance "
    f"over {BINS} bins of equally many candidates, corrected for chance (ε², Kelley 1935)"
)


def importance(results: Results, free: tuple[str, ...]) -> dict[str, Any] | None:
    """Return how much each free parameter explains of each objective; JSON-able, None if too few are scored.

    The objective's values are replaced by their ranks, so that a few very bad candidates do not decide. The
    candidates are cut into bins of equal number by the parameter. With SSB and SSW the sums of squares
    between and within b bins of n candidates, ε² = (SSB − (b − 1) SSW ÷ (n − b)) ÷ (SSB + SSW), not below 0:
    T. L. Kelley, An unbiased correlation ratio measure (1935), applied to ranks as in the test of Kruskal and
    Wallis (1952). It sees any shape of dependence on one parameter, and none that only a pair of them has.
    Beside it stands Spearman's rank correlation: whether a larger parameter goes with a larger metric.

    A search tries where it expects good candidates: this describes the candidates of the study, not the whole
    space.

    Parameters
    ----------
    results
        Candidates, a sample or all; those without finite objectives are left out.
    free
        Names of the parameters.

    Returns
    -------
    ``measure`` (text), ``candidates`` (number of them), ``parameters`` (p names), ``share`` and
    ``correlation`` (objective → p numbers).
    """
    from scipy.stats import rankdata  # half a second, which most commands need not wait

    scored = np.isfinite(results.objectives).all(axis=1)
    count = int(scored.sum())
    if count < LEAST or not free:
        return None
    columns = [results.parameter_names.index(name) for name in free]
    parameters = results.rows.parameters[scored][:, columns]
    share, correlation = {}, {}
    ranked = np.apply_along_axis(rankdata, 0, parameters)
    bins = [_bins(column) for column in ranked.T]
    for index, objective in enumerate(results.scoring.objectives):
        # Ranks of the metric itself: an objective that is maximised is minimised with its sign turned.
        ranks = rankdata(results.objectives[scored][:, index] * objective.weight)
        share[objective.metric] = [round(_explained(ranks, number), 4) for number in bins]
        correlation[objective.metric] = [round(_correlation(ranks, column), 4) for column in ranked.T]
    return {
        "measure": MEASURE,
        "candidates": count,
        "parameters": list(free),
        "share": share,
        "correlation": correlation,
    }


def _bins(ranks: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin (n,) of each candidate; equal values share one."""
    return np.minimum((ranks - 1) * BINS // len(ranks), BINS - 1).astype(np.int64)


def _explained(ranks: NDArray[np.float64], bins: NDArray[np.int64]) -> float:
    count = np.bincount(bins, minlength=BINS)
    used = int((count > 0).sum())
    total = float(((ranks - ranks.mean()) ** 2).sum())
    if used < 2 or total == 0.0:
        return 0.0
    mean = np.divide(np.bincount(bins, ranks, BINS), count, out=np.zeros(BINS), where=count > 0)
    between = float((count * (mean - ranks.mean()) ** 2).sum())
    within = max(0.0, total - between)
    return max(0.0, (between - (used - 1) * within / max(1, len(ranks) - used)) / total)


def _correlation(ranks: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    spread = float(ranks.std() * other.std())
    if spread == 0.0:
        return 0.0
    return float(((ranks - ranks.mean()) * (other - other.mean())).mean() / spread)
