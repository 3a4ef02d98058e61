//! The tables that all runs over a panel share: made here when first needed, or given by another process as an Arrow
//! table and read where they lie.
//!
//! The Arrow form has one row: `regular` says whether there are tables at all, and `COIN.extremes`, `COIN.turns`,
//! `COIN.hour_ranges`, `COIN.log_ranges` are lists of float64.

use std::sync::{Arc, OnceLock};

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, BooleanArray, Float64Array, ListArray, RecordBatch};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};
use passivbot_core::candles::Panel;
use passivbot_core::fast::{Blocks, CoinTables, CoinView, Prepared};
use pyo3::prelude::*;
use pyo3_arrow::PyTable;

use crate::{refused, results, to_py};

const REGULAR: &str = "regular";

/// Tables of one coin in Arrow's buffers.
struct GivenCoin {
    extremes: ScalarBuffer<f64>,
    turns: ScalarBuffer<f64>,
    hour_ranges: ScalarBuffer<f64>,
    log_ranges: ScalarBuffer<f64>,
}

/// Tables that another engine made; None: it found that no run could use them.
pub(crate) struct Given(Option<Vec<GivenCoin>>);

impl Given {
    pub(crate) fn new(table: PyTable, coins: &[String]) -> PyResult<Self> {
        let (batches, _) = table.into_inner();
        let batch = match batches.as_slice() {
            [batch] if batch.num_rows() == 1 => batch,
            _ => return Err(refused("prepared: allowed is what Engine.prepare returned")),
        };
        let regular = batch
            .column_by_name(REGULAR)
            .and_then(|column| column.as_boolean_opt())
            .ok_or_else(|| refused("prepared: allowed is what Engine.prepare returned"))?;
        if !regular.value(0) {
            return Ok(Self(None));
        }
        let coin = |coin: &String| {
            Ok(GivenCoin {
                extremes: list(batch, &format!("{coin}.extremes"))?,
                turns: list(batch, &format!("{coin}.turns"))?,
                hour_ranges: list(batch, &format!("{coin}.hour_ranges"))?,
                log_ranges: list(batch, &format!("{coin}.log_ranges"))?,
            })
        };
        Ok(Self(Some(coins.iter().map(coin).collect::<PyResult<_>>()?)))
    }
}

fn list(batch: &RecordBatch, name: &str) -> PyResult<ScalarBuffer<f64>> {
    batch
        .column_by_name(name)
        .and_then(|column| column.as_list_opt::<i32>())
        .and_then(|lists| lists.value(0).as_primitive_opt::<Float64Type>().map(|list| list.values().clone()))
        .ok_or_else(|| {
            refused(format!("prepared: column {name} is missing; allowed is what Engine.prepare returned"))
        })
}

/// The tables of an engine.
pub(crate) struct Tables {
    blocks: OnceLock<Option<Blocks>>,
    own: OnceLock<Vec<CoinTables>>,
    given: Option<Given>,
}

impl Tables {
    pub(crate) fn new(given: Option<Given>) -> Self {
        Self { blocks: OnceLock::new(), own: OnceLock::new(), given }
    }

    /// Refuse given tables of another size than the panel.
    pub(crate) fn check(&self, panel: &Panel<'_>) -> PyResult<()> {
        let Some(Given(given)) = &self.given else { return Ok(()) };
        match (given, self.blocks(panel)) {
            (None, None) => Ok(()),
            (Some(coins), Some(blocks)) => {
                Prepared::new(panel, blocks, views(coins)).map(|_| ()).map_err(to_py)
            }
            _ => Err(refused("the prepared tables are not those of these candles")),
        }
    }

    fn blocks(&self, panel: &Panel<'_>) -> Option<&Blocks> {
        self.blocks.get_or_init(|| Blocks::of(panel)).as_ref()
    }

    /// The tables, made now if nobody did; None: no run over these candles could use them.
    pub(crate) fn prepared(&self, panel: &Panel<'_>) -> Option<Prepared<'_>> {
        let blocks = self.blocks(panel)?;
        let coins = match &self.given {
            Some(Given(given)) => views(given.as_ref()?),
            None => {
                let make = || {
                    let coins = 0..panel.coins().len();
                    coins.map(|i| CoinTables::compute(panel, blocks, i)).collect()
                };
                self.own.get_or_init(make).iter().map(CoinTables::view).collect()
            }
        };
        // Given tables were checked when the engine was made, own ones fit.
        Prepared::new(panel, blocks, coins).ok()
    }
}

fn views(coins: &[GivenCoin]) -> Vec<CoinView<'_>> {
    coins
        .iter()
        .map(|coin| CoinView {
            extremes: &coin.extremes,
            turns: &coin.turns,
            hour_ranges: &coin.hour_ranges,
            log_ranges: &coin.log_ranges,
        })
        .collect()
}

/// The tables as Python passes them on.
pub(crate) fn to_arrow(
    py: Python<'_>,
    prepared: Option<&Prepared<'_>>,
    coins: &[String],
) -> PyResult<Py<PyAny>> {
    let regular: ArrayRef = Arc::new(BooleanArray::from(vec![prepared.is_some()]));
    let mut columns = vec![(REGULAR.to_owned(), regular)];
    for (coin, view) in coins.iter().zip(prepared.map(Prepared::coins).unwrap_or_default()) {
        for (name, values) in [
            ("extremes", view.extremes),
            ("turns", view.turns),
            ("hour_ranges", view.hour_ranges),
            ("log_ranges", view.log_ranges),
        ] {
            columns.push((format!("{coin}.{name}"), one_list(values)?));
        }
    }
    results::table(py, columns.iter().map(|(name, array)| (name.as_str(), array.clone())).collect())
}

fn one_list(values: &[f64]) -> PyResult<ArrayRef> {
    let field = Arc::new(Field::new("item", DataType::Float64, true));
    let offsets = OffsetBuffer::from_lengths([values.len()]);
    let list = ListArray::try_new(field, offsets, Arc::new(Float64Array::from(values.to_vec())), None)
        .map_err(|error| refused(error.to_string()))?;
    Ok(Arc::new(list))
}
