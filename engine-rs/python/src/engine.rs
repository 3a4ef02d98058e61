//! The engine as a Python class.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use arrow_array::Int64Array;
use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use passivbot_core::analysis::StopLimits;
use passivbot_core::error::Result as EngineResult;
use passivbot_core::grid::{Market, Warmup};
use passivbot_core::isa::Isa;
use passivbot_core::params::{BotParams, SIDE_COMPONENTS};
use passivbot_core::run::{self, Candidate};
use passivbot_core::types::MarketRules;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3_arrow::PyTable;

use crate::bots::{self, Override};
use crate::candles::Candles;
use crate::metrics::{Wanted, stop_limits};
use crate::tables::{self, Given, Tables};
use crate::{refused, results, to_py};

/// Candidates whose parameters are spread over the coins at a time.
const PIECE: usize = 64;

/// Names of the instruction sets that this processor has, worst first.
pub(crate) fn names() -> Vec<&'static str> {
    Isa::available().into_iter().map(Isa::name).collect()
}

/// Warm-up as Python gives it: arrays over candidates, and over candidates and coins; None: derived.
type GlobalWarmup<'py> = Option<PyReadonlyArray1<'py, i64>>;
type CoinWarmup<'py> = Option<PyReadonlyArray2<'py, i64>>;

/// A backtest engine over one set of candles.
#[pyclass(frozen, module = "passivbot._engine")]
pub(crate) struct Engine {
    coins: Vec<String>,
    rules: Vec<MarketRules>,
    candles: Candles,
    tables: Tables,
    starting_balance: f64,
    maker_fee: f64,
    requested_start_ms: i64,
    isa: Isa,
    /// Minutes of the equity tables; all share them.
    bar_minutes: OnceLock<Int64Array>,
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (candles, markets, starting_balance, maker_fee, btc_usd, requested_start_ms, prepared, instructions))]
    #[expect(clippy::too_many_arguments, reason = "the arguments of the Python class")]
    fn new(
        candles: PyTable,
        markets: BTreeMap<String, (f64, f64, f64, f64, f64)>,
        starting_balance: f64,
        maker_fee: f64,
        btc_usd: Option<PyReadonlyArray1<'_, f64>>,
        requested_start_ms: Option<i64>,
        prepared: Option<PyTable>,
        instructions: Option<&str>,
    ) -> PyResult<Self> {
        if markets.is_empty() {
            return Err(refused("markets is empty; the rules of at least one coin are needed"));
        }
        let isa = match instructions {
            None => Isa::detect(),
            Some(name) => Isa::named(name).ok_or_else(|| {
                refused(format!(
                    "instructions is {name:?}; allowed on this machine are {}",
                    names().join(", ")
                ))
            })?,
        };
        let (coins, rules): (Vec<_>, Vec<_>) = markets
            .into_iter()
            .map(|(coin, (qty_step, price_step, min_qty, min_cost, c_mult))| {
                (coin, MarketRules { qty_step, price_step, min_qty, min_cost, c_mult })
            })
            .unzip();
        let btc_usd = btc_usd.map(|prices| prices.as_array().to_vec());
        let candles = Candles::new(candles, &coins, btc_usd)?;
        let requested_start_ms = requested_start_ms.unwrap_or(candles.first_ms);
        let tables = Tables::new(prepared.map(|table| Given::new(table, &coins)).transpose()?);
        let engine = Self {
            coins,
            rules,
            candles,
            tables,
            starting_balance,
            maker_fee,
            requested_start_ms,
            isa,
            bar_minutes: OnceLock::new(),
        };
        engine.with_market(|market| market.check(&engine.coins))?.map_err(to_py)?;
        engine.tables.check(&engine.candles.panel()?)?;
        Ok(engine)
    }

    /// Coins of the run, ascending.
    #[getter]
    fn coins(&self) -> Vec<String> {
        self.coins.clone()
    }

    /// Bars of the panel.
    #[getter]
    fn bars(&self) -> usize {
        self.candles.bars
    }

    /// Minutes of a bar.
    #[getter]
    fn interval_minutes(&self) -> usize {
        self.candles.interval.minutes()
    }

    /// Tables that all runs over these candles share, for the engines of other processes.
    fn prepare(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let panel = self.candles.panel()?;
        let tables = py.detach(|| self.tables.prepared(&panel));
        tables::to_arrow(py, tables.as_ref(), &self.coins)
    }

    /// First and last bar of each coin's life.
    fn lives(&self) -> PyResult<Vec<(usize, usize)>> {
        let panel = self.candles.panel()?;
        Ok((0..self.coins.len()).map(|coin| panel.life(coin)).collect())
    }

    /// One run with everything kept: fills, equity, metrics, and the minute at which it was stopped early.
    #[expect(clippy::type_complexity, reason = "the fields of the Python result")]
    fn backtest<'py>(
        &self,
        py: Python<'py>,
        bot: &Bound<'py, PyAny>,
        coin_overrides: Option<&Bound<'py, PyAny>>,
        warmup: GlobalWarmup<'py>,
        coin_warmup: CoinWarmup<'py>,
        limits: Option<BTreeMap<String, f64>>,
    ) -> PyResult<(Py<PyAny>, Py<PyAny>, Bound<'py, PyDict>, Option<usize>)> {
        let overrides = bots::overrides(coin_overrides, &self.coins)?;
        let warmups = Warmups::new(warmup, coin_warmup, 1, self.coins.len())?;
        let stop = stop_limits(limits)?;
        let candidate = self.candidate(&bots::bot(bot)?, &overrides, &warmups, 0, stop);
        let result = py
            .detach(|| {
                self.with_market(|market| {
                    run::backtest(market, self.tables.prepared(market.panel).as_ref(), &candidate, self.isa)
                })
            })?
            .map_err(to_py)?;
        let analysis = PyDict::new(py);
        analysis.set_item("usd", results::metrics(py, &result.analysis.usd)?)?;
        analysis.set_item("btc", results::metrics(py, &result.analysis.btc)?)?;
        let minutes =
            self.bar_minutes.get_or_init(|| results::bar_minutes(self.candles.bars, self.candles.interval));
        Ok((
            results::fills(py, &result.fills, &self.coins)?,
            results::equity(py, minutes, result.usd, result.btc)?,
            analysis,
            result.analysis.stopped,
        ))
    }

    /// Metrics of many candidates given as dictionaries.
    #[expect(clippy::too_many_arguments, reason = "the arguments of the Python method")]
    fn evaluate<'py>(
        &self,
        py: Python<'py>,
        bots: Vec<Bound<'py, PyAny>>,
        metrics: Vec<String>,
        coin_overrides: Option<&Bound<'py, PyAny>>,
        warmup: GlobalWarmup<'py>,
        coin_warmup: CoinWarmup<'py>,
        limits: Option<BTreeMap<String, f64>>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let bots = bots.iter().map(bots::bot).collect::<PyResult<Vec<_>>>()?;
        let warmups = Warmups::new(warmup, coin_warmup, bots.len(), self.coins.len())?;
        self.evaluate_bots(py, &bots, &metrics, coin_overrides, &warmups, stop_limits(limits)?)
    }

    /// Metrics of many candidates given as rows of a matrix.
    #[expect(clippy::too_many_arguments, reason = "the arguments of the Python method")]
    fn evaluate_matrix<'py>(
        &self,
        py: Python<'py>,
        parameters: PyReadonlyArray2<'py, f64>,
        template: &Bound<'py, PyAny>,
        metrics: Vec<String>,
        coin_overrides: Option<&Bound<'py, PyAny>>,
        warmup: GlobalWarmup<'py>,
        coin_warmup: CoinWarmup<'py>,
        limits: Option<BTreeMap<String, f64>>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let parameters = parameters.as_array();
        if parameters.ncols() != 2 * SIDE_COMPONENTS {
            return Err(refused(format!(
                "parameters has {} columns; allowed are {}",
                parameters.ncols(),
                2 * SIDE_COMPONENTS
            )));
        }
        let template = bots::bot(template)?;
        let bots = parameters
            .rows()
            .into_iter()
            .enumerate()
            .map(|(i, row)| bots::bot_from_vector(&row.to_vec(), &template, i))
            .collect::<PyResult<Vec<_>>>()?;
        let warmups = Warmups::new(warmup, coin_warmup, bots.len(), self.coins.len())?;
        self.evaluate_bots(py, &bots, &metrics, coin_overrides, &warmups, stop_limits(limits)?)
    }
}

impl Engine {
    fn with_market<T>(&self, act: impl FnOnce(Market<'_>) -> T) -> PyResult<T> {
        let panel = self.candles.panel()?;
        Ok(act(Market {
            panel: &panel,
            rules: &self.rules,
            starting_balance: self.starting_balance,
            maker_fee: self.maker_fee,
            requested_start_ms: self.requested_start_ms,
        }))
    }

    fn candidate(
        &self,
        bot: &BotParams,
        overrides: &[Override],
        warmups: &Warmups,
        row: usize,
        stop: Option<StopLimits>,
    ) -> Candidate {
        let params = bots::per_coin(bot, overrides, self.coins.len());
        Candidate {
            warmup: warmups.of(row, &params),
            params,
            exposure_limits: [bot.long.total_wallet_exposure_limit, bot.short.total_wallet_exposure_limit],
            stop,
        }
    }

    fn evaluate_bots<'py>(
        &self,
        py: Python<'py>,
        bots: &[BotParams],
        metrics: &[String],
        coin_overrides: Option<&Bound<'py, PyAny>>,
        warmups: &Warmups,
        stop: Option<StopLimits>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let wanted = metrics.iter().map(|name| Wanted::parse(name)).collect::<PyResult<Vec<_>>>()?;
        let daily_only = wanted.iter().all(|metric| metric.is_daily());
        let overrides = bots::overrides(coin_overrides, &self.coins)?;
        let values = py
            .detach(|| {
                self.with_market(|market| -> EngineResult<Vec<f64>> {
                    let prepared = self.tables.prepared(market.panel);
                    let mut values = Vec::with_capacity(bots.len() * wanted.len());
                    // In pieces, so that memory does not grow with the batch.
                    for (piece, rows) in bots.chunks(PIECE).zip((0..).step_by(PIECE)) {
                        let candidates: Vec<_> = piece
                            .iter()
                            .zip(rows..)
                            .map(|(bot, row)| self.candidate(bot, &overrides, warmups, row, stop))
                            .collect();
                        let results = run::evaluate_batch(
                            market,
                            prepared.as_ref(),
                            &candidates,
                            daily_only,
                            self.isa,
                        )?;
                        for analysis in results {
                            values.extend(wanted.iter().map(|metric| metric.value(&analysis)));
                        }
                    }
                    Ok(values)
                })
            })?
            .map_err(to_py)?;
        let matrix = Array2::from_shape_vec((bots.len(), wanted.len()), values)
            .map_err(|error| refused(error.to_string()))?;
        Ok(matrix.into_pyarray(py))
    }
}

/// Warm-ups of a batch, copied out of the arrays.
struct Warmups {
    global: Option<Vec<usize>>,
    coins: Option<Vec<Vec<usize>>>,
}

impl Warmups {
    fn new(
        global: GlobalWarmup<'_>,
        coins: CoinWarmup<'_>,
        candidates: usize,
        count: usize,
    ) -> PyResult<Self> {
        let minutes = |value: i64| {
            usize::try_from(value)
                .map_err(|_| refused(format!("a warm-up is {value} minutes; allowed is a whole number >= 0")))
        };
        let global = global
            .map(|array| array.as_array().iter().map(|&v| minutes(v)).collect::<PyResult<Vec<_>>>())
            .transpose()?;
        let coins = coins
            .map(|array| {
                array
                    .as_array()
                    .rows()
                    .into_iter()
                    .map(|row| row.iter().map(|&v| minutes(v)).collect())
                    .collect::<PyResult<Vec<Vec<_>>>>()
            })
            .transpose()?;
        if global.as_ref().is_some_and(|rows| rows.len() != candidates)
            || coins
                .as_ref()
                .is_some_and(|rows| rows.len() != candidates || rows.iter().any(|row| row.len() != count))
        {
            return Err(refused(format!(
                "warm-up arrays do not fit; allowed are {candidates} values, and {candidates} × {count} for coins"
            )));
        }
        Ok(Self { global, coins })
    }

    /// The warm-up of one candidate: what is given, else derived from its spans (trading-semantics §7.3).
    fn of(&self, row: usize, params: &[BotParams]) -> Warmup {
        let derived = Warmup::from_spans(params);
        match (&self.global, &self.coins) {
            (None, None) => derived,
            (Some(global), None) => Warmup { global: global[row], coins: vec![global[row]; params.len()] },
            (None, Some(coins)) => Warmup { global: derived.global, coins: coins[row].clone() },
            (Some(global), Some(coins)) => Warmup { global: global[row], coins: coins[row].clone() },
        }
    }
}
