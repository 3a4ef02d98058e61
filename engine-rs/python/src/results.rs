//! Fills, equity and metrics as Arrow tables and dictionaries.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use passivbot_core::analysis::{METRIC_NAMES, Metrics};
use passivbot_core::grid::Fill;
use passivbot_core::interval::Interval;
use passivbot_core::trailing_flip::FlipFill;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3_arrow::PyTable;

use crate::refused;

/// A pyarrow table of one chunk.
pub(crate) fn table(py: Python<'_>, columns: Vec<(&str, ArrayRef)>) -> PyResult<Py<PyAny>> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(|error| refused(error.to_string()))?;
    Ok(PyTable::try_new(vec![batch], schema)?.into_pyarrow(py)?.unbind())
}

pub(crate) fn floats(values: impl IntoIterator<Item = f64>) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(values))
}

pub(crate) fn minutes(values: impl IntoIterator<Item = usize>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values.into_iter().map(|k| k as i64)))
}

fn strings<'a>(values: impl IntoIterator<Item = &'a str>) -> ArrayRef {
    let array: ArrayRef = Arc::new(StringArray::from_iter_values(values));
    debug_assert_eq!(array.data_type(), &DataType::Utf8);
    array
}

/// The fill table (trading-semantics §12.5).
pub(crate) fn fills(py: Python<'_>, fills: &[Fill], coins: &[String]) -> PyResult<Py<PyAny>> {
    let number = |get: fn(&Fill) -> f64| floats(fills.iter().map(get));
    table(
        py,
        vec![
            ("minute", minutes(fills.iter().map(|f| f.minute))),
            ("coin", strings(fills.iter().map(|f| coins[f.coin].as_str()))),
            ("pnl", number(|f| f.pnl)),
            ("fee_paid", number(|f| f.fee)),
            ("balance", number(|f| f.balance)),
            ("balance_btc", number(|f| f.balance_btc)),
            ("balance_usd", number(|f| f.balance_usd)),
            ("btc_price", number(|f| f.btc_price)),
            ("qty", number(|f| f.qty)),
            ("price", number(|f| f.price)),
            ("position_size", number(|f| f.position_size)),
            ("position_price", number(|f| f.position_price)),
            ("order_type", strings(fills.iter().map(|f| f.kind.name()))),
            ("wallet_exposure", number(|f| f.wallet_exposure)),
            ("total_wallet_exposure", number(|f| f.total_wallet_exposure)),
        ],
    )
}

/// Minute at which each bar begins.
pub(crate) fn bar_minutes(bars: usize, interval: Interval) -> Int64Array {
    Int64Array::from_iter_values((0..bars).map(|bar| (bar * interval.minutes()) as i64))
}

/// The equity table: one row a bar, of which `minutes` has at least as many. The series are taken over as they lie.
pub(crate) fn equity(
    py: Python<'_>,
    minutes: &Int64Array,
    usd: Vec<f64>,
    btc: Vec<f64>,
) -> PyResult<Py<PyAny>> {
    let minutes = minutes.slice(0, usd.len());
    table(
        py,
        vec![
            ("minute", Arc::new(minutes)),
            ("usd", Arc::new(Float64Array::from(usd))),
            ("btc", Arc::new(Float64Array::from(btc))),
        ],
    )
}

/// The fill table of the trailing-flip strategy (trailing-flip §4).
pub(crate) fn flip_fills(py: Python<'_>, fills: &[FlipFill]) -> PyResult<Py<PyAny>> {
    let number = |get: fn(&FlipFill) -> f64| floats(fills.iter().map(get));
    table(
        py,
        vec![
            ("minute", minutes(fills.iter().map(|f| f.minute))),
            ("pnl", number(|f| f.pnl)),
            ("fee_paid", number(|f| f.fee)),
            ("balance", number(|f| f.balance)),
            ("qty", number(|f| f.qty)),
            ("price", number(|f| f.price)),
            ("position_size", number(|f| f.position.size)),
            ("position_price", number(|f| f.position.price)),
            ("upnl", number(|f| f.upnl)),
            ("order_type", strings(fills.iter().map(|f| f.kind.name()))),
        ],
    )
}

/// Metrics by name; what is not finite is None (analysis-metrics §8).
pub(crate) fn metrics<'py>(py: Python<'py>, metrics: &Metrics) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in METRIC_NAMES.iter().zip(metrics.values()) {
        dict.set_item(name, Some(value).filter(|v| v.is_finite()))?;
    }
    Ok(dict)
}
