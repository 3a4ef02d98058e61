//! An Arrow table of candles, taken over by the PyCapsule interface without a copy.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use arrow_buffer::ScalarBuffer;
use passivbot_core::candles::{CoinCandles, Panel};
use passivbot_core::interval::{Interval, MINUTE_MS};
use pyo3::prelude::*;
use pyo3_arrow::PyTable;

use crate::{refused, to_py};

/// Columns of one coin.
struct Columns {
    high: ScalarBuffer<f64>,
    low: ScalarBuffer<f64>,
    close: ScalarBuffer<f64>,
    volume: ScalarBuffer<f64>,
}

/// The candles of a run. The buffers stay those of the table.
pub(crate) struct Candles {
    pub(crate) first_ms: i64,
    pub(crate) interval: Interval,
    pub(crate) bars: usize,
    columns: Vec<Columns>,
    btc_usd: Option<ScalarBuffer<f64>>,
}

impl Candles {
    pub(crate) fn new(table: PyTable, coins: &[String], btc_usd: Option<Vec<f64>>) -> PyResult<Self> {
        let (batches, _) = table.into_inner();
        let batch = match batches.as_slice() {
            [batch] => batch,
            [] => return Err(refused("candles: the table has no row; at least one minute is needed")),
            several => {
                return Err(refused(format!(
                    "candles: the table has {} chunks a column; allowed is one (Table.combine_chunks makes it so)",
                    several.len()
                )));
            }
        };
        let (first_ms, interval) = axis(batch)?;
        let columns = coins
            .iter()
            .map(|coin| {
                let field = |name: &str| prices(batch, &format!("{coin}.{name}"));
                Ok(Columns {
                    high: field("high")?,
                    low: field("low")?,
                    close: field("close")?,
                    volume: field("volume")?,
                })
            })
            .collect::<PyResult<_>>()?;
        let candles = Self {
            first_ms,
            interval,
            bars: batch.num_rows(),
            columns,
            btc_usd: btc_usd.map(ScalarBuffer::from),
        };
        candles.panel()?;
        Ok(candles)
    }

    /// The panel as the engine sees it: slices of the table's buffers.
    pub(crate) fn panel(&self) -> PyResult<Panel<'_>> {
        let coins = self
            .columns
            .iter()
            .map(|c| CoinCandles { high: &c.high, low: &c.low, close: &c.close, volume: &c.volume })
            .collect();
        let panel = Panel::new(self.first_ms, coins, self.btc_usd.as_deref()).map_err(to_py)?;
        Ok(panel.with_interval(self.interval))
    }
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> PyResult<&'a dyn Array> {
    let array =
        batch.column_by_name(name).ok_or_else(|| refused(format!("candles: column {name} is missing")))?;
    if array.null_count() > 0 {
        return Err(refused(format!(
            "candles: column {name} has nulls; outside a coin's life it must be NaN"
        )));
    }
    Ok(array.as_ref())
}

/// Start of the first bar, and the length of all: the shortest distance of two timestamps. A single candle is that of
/// a minute.
fn axis(batch: &RecordBatch) -> PyResult<(i64, Interval)> {
    let array = column(batch, "timestamp")?;
    let stamps = array.as_primitive_opt::<Int64Type>().ok_or_else(|| {
        refused(format!(
            "candles: column timestamp is {}; allowed is int64 (UTC milliseconds)",
            array.data_type()
        ))
    })?;
    let stamps = stamps.values();
    let Some(&first) = stamps.first() else {
        return Err(refused("candles: the table has no row; at least one minute is needed"));
    };
    let distances = || stamps.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
    let shortest = distances().filter(|&ms| ms > 0).min().unwrap_or(MINUTE_MS);
    let interval = usize::try_from(shortest / MINUTE_MS)
        .ok()
        .filter(|_| shortest % MINUTE_MS == 0)
        .and_then(|minutes| Interval::of_minutes(minutes).ok())
        .ok_or_else(|| {
            refused(format!(
                "candles: timestamps are {shortest} milliseconds apart; allowed are bars of {} minutes",
                Interval::allowed()
            ))
        })?;
    if let Some(row) = distances().position(|ms| ms != shortest) {
        let bars = match interval.minutes() {
            1 => "minutes".to_owned(),
            minutes => format!("bars of {minutes} minutes"),
        };
        return Err(refused(format!(
            "candles: timestamp {} follows {} at row {}; allowed are consecutive {bars}",
            stamps[row + 1],
            stamps[row],
            row + 1
        )));
    }
    Ok((first, interval))
}

fn prices(batch: &RecordBatch, name: &str) -> PyResult<ScalarBuffer<f64>> {
    let array = column(batch, name)?;
    let values = array.as_primitive_opt::<Float64Type>().ok_or_else(|| {
        refused(format!("candles: column {name} is {}; allowed is float64", array.data_type()))
    })?;
    Ok(values.values().clone())
}
