//! The trailing-flip strategy as a Python function.

use std::collections::BTreeMap;

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use passivbot_core::trailing_flip::{FlipInput, FlipParams, trailing_flip as run};
use pyo3::prelude::*;

use crate::{refused, results, to_py};

const NAMES: [&str; 11] = [
    "initial_qty_pct",
    "double_down_factor",
    "wallet_exposure_limit",
    "trailing_threshold_pct_profit",
    "trailing_retracement_pct_profit",
    "trailing_threshold_pct_loss",
    "trailing_retracement_pct_loss",
    "fee_rate",
    "adx_scale_higher_width",
    "adx_scale_lower_width",
    "max_flips_per_cycle",
];

/// Fills and equity of the trailing-flip strategy on one coin.
#[pyfunction]
pub(crate) fn trailing_flip<'py>(
    py: Python<'py>,
    high: PyReadonlyArray1<'py, f64>,
    low: PyReadonlyArray1<'py, f64>,
    close: PyReadonlyArray1<'py, f64>,
    adx_1: PyReadonlyArray1<'py, f64>,
    adx_2: PyReadonlyArray1<'py, f64>,
    parameters: BTreeMap<String, f64>,
) -> PyResult<(Py<PyAny>, Bound<'py, PyArray1<f64>>)> {
    let params = params(&parameters)?;
    let series = [&high, &low, &close, &adx_1, &adx_2].map(|array| array.as_array().to_vec());
    let [high, low, close, adx_1, adx_2] = &series;
    let input = FlipInput { high, low, close, adx_1, adx_2 };
    let result = py.detach(|| run(input, params)).map_err(to_py)?;
    Ok((results::flip_fills(py, &result.fills)?, result.equity.into_pyarray(py)))
}

fn params(values: &BTreeMap<String, f64>) -> PyResult<FlipParams> {
    if let Some(unknown) = values.keys().find(|name| !NAMES.contains(&name.as_str())) {
        return Err(refused(format!("parameter {unknown} is unknown; allowed are {}", NAMES.join(", "))));
    }
    let get = |name: &str| match values.get(name) {
        Some(value) if value.is_finite() => Ok(*value),
        Some(value) => Err(refused(format!("parameter {name} is {value}; allowed is a finite number"))),
        None => Err(refused(format!("parameter {name} is missing"))),
    };
    let flips = get("max_flips_per_cycle")?;
    if flips < 0.0 || flips.fract() != 0.0 {
        return Err(refused(format!(
            "parameter max_flips_per_cycle is {flips}; allowed is a whole number >= 0"
        )));
    }
    Ok(FlipParams {
        initial_qty_pct: get("initial_qty_pct")?,
        double_down_factor: get("double_down_factor")?,
        wallet_exposure_limit: get("wallet_exposure_limit")?,
        trailing_threshold_pct_profit: get("trailing_threshold_pct_profit")?,
        trailing_retracement_pct_profit: get("trailing_retracement_pct_profit")?,
        trailing_threshold_pct_loss: get("trailing_threshold_pct_loss")?,
        trailing_retracement_pct_loss: get("trailing_retracement_pct_loss")?,
        fee_rate: get("fee_rate")?,
        adx_scale_higher_width: get("adx_scale_higher_width")?,
        adx_scale_lower_width: get("adx_scale_lower_width")?,
        max_flips_per_cycle: flips as u64,
    })
}
