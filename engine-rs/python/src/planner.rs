//! The live planner as a Python class.

use numpy::ndarray::{Array2, Array3};
use numpy::{IntoPyArray, PyArray2, PyArray3, PyReadonlyArray2};
use passivbot_core::grid::live::{AccountNow, CoinNow, Live, Mode, SideNow};
use passivbot_core::types::{MarketRules, OrderType, Position};
use pyo3::prelude::*;

use crate::bots;
use crate::{refused, to_py};

/// Columns that describe a coin: bid, ask, then those of each side.
const COIN_COLUMNS: usize = 2;
/// Columns of a side: mode, preferred, tradeable, size, price, time of the last fill.
const SIDE_COLUMNS: usize = 6;
/// Columns of the whole.
const COLUMNS: usize = COIN_COLUMNS + 2 * SIDE_COLUMNS;

/// Rules as Python gives them, in the order of the class's fields.
type Rules = (f64, f64, f64, f64, f64);
/// Coin number, order type, quantity, price.
type PlannedRow = (usize, &'static str, f64, f64);
type PlanParts<'py> = (Vec<PlannedRow>, Bound<'py, PyArray2<f64>>, Bound<'py, PyArray2<bool>>);

/// The strategy over a set of coins that candles are fed to.
#[pyclass(module = "passivbot._engine")]
pub(crate) struct Planner {
    coins: Vec<String>,
    live: Live,
}

#[pymethods]
impl Planner {
    #[new]
    #[pyo3(signature = (coins, markets, bot, coin_overrides, first_ms, kept))]
    fn new(
        coins: Vec<String>,
        markets: Vec<Rules>,
        bot: &Bound<'_, PyAny>,
        coin_overrides: Option<&Bound<'_, PyAny>>,
        first_ms: i64,
        kept: usize,
    ) -> PyResult<Self> {
        if markets.len() != coins.len() {
            return Err(refused(format!("rules are given for {} of {} coins", markets.len(), coins.len())));
        }
        let bot = bots::bot(bot)?;
        let overrides = bots::overrides(coin_overrides, &coins)?;
        let params = bots::per_coin(&bot, &overrides, coins.len());
        let rules = coins.iter().zip(markets).map(|(coin, rules)| checked(coin, rules));
        let known = rules.zip(params).map(|(rules, bot)| Ok((rules?, bot))).collect::<PyResult<_>>()?;
        Ok(Self { live: Live::new(bot, known, first_ms, kept), coins })
    }

    /// Start of the minute that a coin needs next; None before its first candle.
    fn next_ms(&self, coin: usize) -> PyResult<Option<i64>> {
        self.known(coin)?;
        Ok(self.live.next_ms(coin))
    }

    /// Replace the rules of a coin.
    fn set_rules(&mut self, coin: usize, rules: Rules) -> PyResult<()> {
        self.known(coin)?;
        self.live.set_rules(coin, checked(&self.coins[coin], rules)?);
        Ok(())
    }

    /// Take in consecutive minutes of a coin: high, low, close, quote volume.
    fn absorb(&mut self, coin: usize, start_ms: i64, candles: PyReadonlyArray2<'_, f64>) -> PyResult<()> {
        self.known(coin)?;
        let rows = columns(&candles, 4, "candles")?;
        self.live
            .absorb(coin, start_ms, rows.into_iter().map(|row| [row[0], row[1], row[2], row[3]]))
            .map_err(to_py)
    }

    /// Upper and lower band, volume, log range and hourly log range of each coin and side.
    fn indicators<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray3<f64>>> {
        let values = self.live.indicators().into_iter().flatten().flatten().collect();
        let array = Array3::from_shape_vec((self.coins.len(), 2, 5), values);
        Ok(array.map_err(|error| refused(error.to_string()))?.into_pyarray(py))
    }

    /// The orders that should rest now.
    #[expect(clippy::too_many_arguments, reason = "the arguments of the Python method")]
    fn plan<'py>(
        &mut self,
        py: Python<'py>,
        balance: f64,
        realised_sum: f64,
        realised_peak: f64,
        may_unstuck: bool,
        now: PyReadonlyArray2<'py, f64>,
        ladder: usize,
    ) -> PyResult<PlanParts<'py>> {
        let rows = columns(&now, COLUMNS, "now")?;
        let coins = rows.iter().map(|row| coin_now(row)).collect::<PyResult<Vec<_>>>()?;
        let account = AccountNow { balance, realised_sum, realised_peak, may_unstuck };
        let plan = self.live.plan(&account, &coins, ladder).map_err(to_py)?;
        let orders = plan
            .orders
            .iter()
            .map(|planned| {
                let order = planned.order;
                (planned.coin, OrderType::name(order.kind), order.qty, order.price)
            })
            .collect();
        let count = self.coins.len();
        let shaped = |values: Vec<f64>| {
            Array2::from_shape_vec((count, 2), values).map_err(|error| refused(error.to_string()))
        };
        let limits = shaped(plan.limits.into_iter().flatten().collect())?;
        let active = Array2::from_shape_vec((count, 2), plan.active.into_iter().flatten().collect())
            .map_err(|error| refused(error.to_string()))?;
        Ok((orders, limits.into_pyarray(py), active.into_pyarray(py)))
    }
}

impl Planner {
    fn known(&self, coin: usize) -> PyResult<()> {
        if coin < self.live.count() {
            return Ok(());
        }
        Err(refused(format!("coin number {coin}; allowed are 0 … {}", self.live.count().saturating_sub(1))))
    }
}

fn checked(coin: &str, (qty_step, price_step, min_qty, min_cost, c_mult): Rules) -> PyResult<MarketRules> {
    let rules = MarketRules { qty_step, price_step, min_qty, min_cost, c_mult };
    rules.check(coin).map_err(to_py)?;
    Ok(rules)
}

/// Rows of a matrix that has that many columns.
fn columns(matrix: &PyReadonlyArray2<'_, f64>, count: usize, name: &str) -> PyResult<Vec<Vec<f64>>> {
    let matrix = matrix.as_array();
    if matrix.ncols() != count {
        return Err(refused(format!("{name} has {} columns; allowed are {count}", matrix.ncols())));
    }
    Ok(matrix.rows().into_iter().map(|row| row.to_vec()).collect())
}

fn coin_now(row: &[f64]) -> PyResult<CoinNow> {
    let side = |s: usize| -> PyResult<SideNow> {
        let at = COIN_COLUMNS + s * SIDE_COLUMNS;
        let [mode, preferred, tradeable, size, price, changed] = std::array::from_fn(|n| row[at + n]);
        let mode = Mode::ALL
            .get(mode as usize)
            .copied()
            .ok_or_else(|| refused(format!("mode number {mode}; allowed are 0 … {}", Mode::ALL.len() - 1)))?;
        Ok(SideNow {
            mode,
            preferred: preferred != 0.0,
            tradeable: tradeable != 0.0,
            position: Position { size, price },
            // Saturates at both ends: no fill known is minus infinity.
            changed_ms: changed as i64,
        })
    };
    Ok(CoinNow { bid: row[0], ask: row[1], sides: [side(0)?, side(1)?] })
}
