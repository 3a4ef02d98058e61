//! The trailing-grid strategy, minute by minute: the plain statement of trading-semantics §5 – §16.
//!
//! One step of [`TrailingGrid`] is the minute loop of §8; each of its parts is a file here. Whatever runs faster is
//! tested against this. Minutes `k` are bars of the panel, whatever their length.

mod account;
mod balance;
mod fills;
mod indicators;
pub mod live;
mod orders;
mod slots;
mod state;

use std::ops::Range;

pub(crate) use account::{Account, Booked};
pub use balance::Balance;
pub use fills::Fill;
pub(crate) use indicators::{HOUR_MS, finite_or_zero};
pub(crate) use state::uses_trailing;

use crate::candles::Panel;
use crate::error::{EngineError, Result};
use crate::interval::Interval;
use crate::params::{BotParams, SideParams};
use crate::planner::{Long, Short};
use crate::strategy::Strategy;
use crate::types::MarketRules;
use state::CoinState;

/// What a run needs besides the candidate.
#[derive(Clone, Copy, Debug)]
pub struct Market<'a> {
    /// Candles.
    pub panel: &'a Panel<'a>,
    /// Market rules, one a coin of the panel.
    pub rules: &'a [MarketRules],
    /// Balance at minute 0, in USD.
    pub starting_balance: f64,
    /// Fee rate of every fill.
    pub maker_fee: f64,
    /// No order is placed before this time (UTC milliseconds).
    pub requested_start_ms: i64,
}

impl Market<'_> {
    /// Check rules and amounts.
    ///
    /// # Errors
    /// A rule that no order can satisfy, a balance that is not positive, a fee that is not finite.
    pub fn check(&self, coins: &[String]) -> Result<()> {
        for (coin, rules) in coins.iter().zip(self.rules) {
            rules.check(coin)?;
        }
        if !self.starting_balance.is_finite() || self.starting_balance <= 0.0 {
            return Err(EngineError::Parameter(format!(
                "starting_balance is {}; allowed is a finite number > 0",
                self.starting_balance
            )));
        }
        if !self.maker_fee.is_finite() {
            return Err(EngineError::Parameter(format!(
                "maker_fee is {}; allowed is a finite number",
                self.maker_fee
            )));
        }
        Ok(())
    }
}

/// Warm-up of one run, in minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warmup {
    /// No order is placed until more than this has passed; 0: derived from the parameters (§7.3).
    pub global: usize,
    /// Each coin's own warm-up after its first candle.
    pub coins: Vec<usize>,
}

impl Warmup {
    /// The first bar that orders may be placed at, as far as the warm-up decides (§7.2).
    pub(crate) fn first_order_bar(&self, params: &[BotParams], interval: Interval) -> usize {
        let minutes = if self.global > 0 { self.global } else { longest_span(params) };
        interval.bars(minutes).max(1).saturating_add(1)
    }

    /// §7.3: the longest span of any indicator, for all coins alike.
    pub fn from_spans(params: &[BotParams]) -> Self {
        let minutes = longest_span(params);
        Self { global: minutes, coins: vec![minutes; params.len()] }
    }
}

/// §7.3.
fn longest_span(params: &[BotParams]) -> usize {
    let longest = params
        .iter()
        .flat_map(|bot| [bot.long.longest_span_minutes(), bot.short.longest_span_minutes()])
        .fold(0.0, f64::max);
    longest.ceil() as usize
}

/// Figures of one side that do not belong to a coin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SideWide {
    /// The side places and fills orders.
    pub(crate) enabled: bool,
    /// Some coin has a trailing switch on.
    pub(crate) any_trailing: bool,
    /// Most positions, by configuration and number of coins: `N`.
    pub(crate) slots: usize,
    /// Coins that survive the volume filter: `E`.
    pub(crate) by_volume: usize,
    /// Effective number of slots: `n_eff`.
    pub(crate) effective_slots: usize,
    /// Unstuck allowance as a fraction of the peak balance; None: the side is not unstuck.
    pub(crate) unstuck_pct: Option<f64>,
    /// Exposure limit of the side.
    pub(crate) exposure_limit: f64,
}

impl SideWide {
    /// §11: as many slots as coins trade, at most; returns the dynamic exposure limit of a position.
    pub(crate) fn limit_slots(&mut self, tradeable: usize) -> f64 {
        self.effective_slots = self.slots.min(tradeable);
        if self.effective_slots > 0 { self.exposure_limit / self.effective_slots as f64 } else { 0.0 }
    }

    /// §16.2: loss that unstucking this side may still realise.
    pub(crate) fn allowance(&self, account: &Account<'_>) -> f64 {
        self.unstuck_pct.map_or(0.0, |pct| {
            let (balance, realised) = (account.balance.usd_total_rounded, account.realised);
            crate::num::unstuck_allowance(balance, pct, realised.peak, realised.sum)
        })
    }
}

/// Index of a side in per-side arrays.
pub(crate) trait SideIndex: crate::planner::Side {
    const INDEX: usize;
}

impl SideIndex for Long {
    const INDEX: usize = 0;
}

impl SideIndex for Short {
    const INDEX: usize = 1;
}

/// State of the account after a minute (§15).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Equity in USD.
    pub usd: f64,
    /// Equity in BTC; without BTC collateral only the unrealised profit, which means nothing.
    pub btc: f64,
    /// Exposure of all positions.
    pub exposure: f64,
}

/// One run of the trailing-grid strategy.
pub struct TrailingGrid<'a> {
    account: Account<'a>,
    coins: Vec<CoinState<'a>>,
    sides: [SideWide; 2],
    hour_ms: i64,
    first_order_bar: usize,
    /// Scratch lists, kept to save allocations.
    active: Vec<usize>,
    ranking: Vec<usize>,
}

impl<'a> TrailingGrid<'a> {
    /// State at minute 0 (§5).
    ///
    /// `params` holds one entry a coin, overrides applied; coin 0 gives the side-wide values.
    ///
    /// # Errors
    /// Lists of another length than the panel's coins.
    pub fn new(market: Market<'a>, params: &[BotParams], warmup: &Warmup) -> Result<Self> {
        Self::check(&market, params, warmup)?;
        let count = market.panel.coins().len();
        let coins: Vec<_> =
            (0..count).map(|i| CoinState::new(market.panel, i, &params[i], warmup.coins[i])).collect();
        let sides = [
            side_wide(&params[0].long, params.iter().map(|bot| &bot.long), count),
            side_wide(&params[0].short, params.iter().map(|bot| &bot.short), count),
        ];
        let hour = HOUR_MS;
        let first_ms = market.panel.first_ms();
        Ok(Self {
            account: Account::new(market),
            coins,
            sides,
            hour_ms: first_ms.div_euclid(hour) * hour,
            first_order_bar: warmup.first_order_bar(params, market.panel.interval()),
            active: Vec::with_capacity(count),
            ranking: Vec::with_capacity(count),
        })
    }

    /// Check that rules, parameters and warm-up are given for every coin.
    ///
    /// # Errors
    /// Lists of another length than the panel's coins.
    pub fn check(market: &Market<'_>, params: &[BotParams], warmup: &Warmup) -> Result<()> {
        let count = market.panel.coins().len();
        if market.rules.len() != count || params.len() != count || warmup.coins.len() != count {
            return Err(EngineError::Parameter(format!(
                "rules, parameters and warm-up are given for {}, {} and {} coins; the candles have {count}",
                market.rules.len(),
                params.len(),
                warmup.coins.len()
            )));
        }
        Ok(())
    }

    /// Equity and BTC equity of minute 0, which is not a step.
    pub fn opening_sample(&self) -> Sample {
        Sample { usd: self.account.market.starting_balance, btc: self.account.balance.btc, exposure: 0.0 }
    }

    /// §7.2.
    fn orders_allowed(&self, k: usize) -> bool {
        let market = &self.account.market;
        k >= self.first_order_bar
            && market.panel.time_ms(k) >= market.requested_start_ms.max(market.panel.first_ms())
    }
}

/// §5: slot caps, volume count and switches of one side.
pub(crate) fn side_wide<'p>(
    first: &SideParams,
    all: impl Iterator<Item = &'p SideParams> + Clone,
    count: usize,
) -> SideWide {
    let rounded = |x: f64| crate::num::nint(x).max(0.0) as usize;
    let slots = rounded(first.n_positions).min(count);
    let by_volume = rounded(count as f64 * (1.0 - first.filter_volume_drop_pct)).max(slots);
    SideWide {
        enabled: slots > 0 && all.clone().any(|side| side.wallet_exposure_limit != 0.0),
        any_trailing: all.clone().any(state::uses_trailing),
        slots,
        by_volume,
        effective_slots: by_volume,
        unstuck_pct: (first.unstuck_loss_allowance_pct > 0.0)
            .then_some(first.unstuck_loss_allowance_pct * first.total_wallet_exposure_limit),
        exposure_limit: first.total_wallet_exposure_limit,
    }
}

impl Strategy for TrailingGrid<'_> {
    type Fill = Fill;
    type Sample = Sample;

    fn minutes(&self) -> Range<usize> {
        1..self.account.market.panel.bars().saturating_sub(1).max(1)
    }

    /// §8.
    fn step(&mut self, k: usize, fills: &mut Vec<Fill>) -> Sample {
        self.fill_orders::<Long>(k, fills);
        self.fill_orders::<Short>(k, fills);
        self.update_indicators(k);
        if self.account.market.panel.btc_usd().is_some() {
            let price = self.account.btc_price(k);
            self.account.balance.revalue(price);
        }
        self.update_trailing(k);
        if self.orders_allowed(k) {
            self.update_slots(k);
            self.place_orders(k);
        }
        self.account.sample(k)
    }
}
