//! Metrics by the names that Python gives: those wanted of a run, and those limited in it.

use std::collections::BTreeMap;

use passivbot_core::analysis::{self, Analysis, METRIC_NAMES, StopLimits, WATCHED_METRICS};
use pyo3::PyResult;

use crate::refused;

/// Name of the column with the last minute of a run that was stopped early.
pub(crate) const STOPPED_MINUTE: &str = "stopped_minute";

/// One column of an evaluation.
#[derive(Clone, Copy)]
pub(crate) enum Wanted {
    Metric { btc: bool, index: usize },
    StoppedMinute,
}

impl Wanted {
    pub(crate) fn parse(name: &str) -> PyResult<Self> {
        if name == STOPPED_MINUTE {
            return Ok(Self::StoppedMinute);
        }
        match find(name) {
            Some((btc, index)) => Ok(Self::Metric { btc, index }),
            None => Err(refused(format!(
                "metric {name:?} is unknown; allowed are the names in passivbot.engine.METRICS, btc_ before them for the BTC set"
            ))),
        }
    }

    pub(crate) fn is_daily(self) -> bool {
        match self {
            Self::Metric { index, .. } => analysis::is_daily(METRIC_NAMES[index]),
            Self::StoppedMinute => true,
        }
    }

    /// The value; NaN for none.
    pub(crate) fn value(self, analysis: &Analysis) -> f64 {
        match self {
            Self::Metric { btc, index } => {
                let set = if btc { &analysis.btc } else { &analysis.usd };
                let value = set.values()[index];
                if value.is_finite() { value } else { f64::NAN }
            }
            Self::StoppedMinute => analysis.stopped.map_or(f64::NAN, |minute| minute as f64),
        }
    }
}

/// Set and index of a metric.
fn find(name: &str) -> Option<(bool, usize)> {
    let position = |name: &str| METRIC_NAMES.iter().position(|known| *known == name);
    position(name)
        .map(|index| (false, index))
        .or_else(|| name.strip_prefix("btc_").and_then(position).map(|index| (true, index)))
}

/// Limits by metric: the largest value allowed.
pub(crate) fn stop_limits(limits: Option<BTreeMap<String, f64>>) -> PyResult<Option<StopLimits>> {
    let Some(limits) = limits else { return Ok(None) };
    let mut stop = StopLimits::NONE;
    for (name, value) in limits {
        if !value.is_finite() {
            return Err(refused(format!("the limit of {name} is {value}; allowed is a finite number")));
        }
        let added = find(&name).is_some_and(|(btc, index)| stop.add(btc, METRIC_NAMES[index], value));
        if !added {
            return Err(refused(format!(
                "a run can't be stopped by a limit of {name:?}; allowed are {}, btc_ before them for the BTC set",
                WATCHED_METRICS.join(", ")
            )));
        }
    }
    Ok(Some(stop))
}
