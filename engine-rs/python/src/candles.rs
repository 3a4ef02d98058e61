//! An Arrow table of candles, taken over by the PyCapsule interface without a copy.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use arrow_buffer::ScalarBuffer;
use passivbot_core::candles::{CoinCandles, MINUTE_MS, Panel};
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
    pub(crate) minutes: usize,
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
        let first_ms = first_minute(batch)?;
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
        let candles =
            Self { first_ms, minutes: batch.num_rows(), columns, btc_usd: btc_usd.map(ScalarBuffer::from) };
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
        Panel::new(self.first_ms, coins, self.btc_usd.as_deref()).map_err(to_py)
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

fn first_minute(batch: &RecordBatch) -> PyResult<i64> {
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
    if let Some(row) = stamps.windows(2).position(|pair| pair[1].wrapping_sub(pair[0]) != MINUTE_MS) {
        return Err(refused(format!(
            "candles: timestamp {} follows {} at row {}; allowed are consecutive minutes",
            stamps[row + 1],
            stamps[row],
            row + 1
        )));
    }
    Ok(first)
}

fn prices(batch: &RecordBatch, name: &str) -> PyResult<ScalarBuffer<f64>> {
    let array = column(batch, name)?;
    let values = array.as_primitive_opt::<Float64Type>().ok_or_else(|| {
        refused(format!("candles: column {name} is {}; allowed is float64", array.data_type()))
    })?;
    Ok(values.values().clone())
}
