//! The strategy as a live bot runs it: candles come one after another, the account is what an exchange says.
//!
//! Indicators, slots, coin selection, orders and unstucking are those of the minute loop beside this file; what a live bot
//! has and a backtest has not are modes, coin lists by side, and a book with two prices. Where nothing of that is used,
//! the orders are those that the backtest tests against the coming candle.

mod coin;
mod draft;

use coin::LiveCoin;
use draft::Draft;

use crate::error::{EngineError, Result};
use crate::interval::MINUTE_MS;
use crate::params::BotParams;
use crate::planner::{Long, Short};
use crate::types::{MarketRules, Order, Position};

/// What the bot does on one side of a coin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing: no order is planned, and the position takes no slot.
    Manual,
    /// Trade if selected.
    Normal,
    /// Manage the position to its end, open no other.
    GracefulStop,
    /// Take profits, enter no more.
    TpOnly,
    /// Close at the book.
    Panic,
}

impl Mode {
    /// Every mode; its place is its number.
    pub const ALL: [Self; 5] = [Self::Manual, Self::Normal, Self::GracefulStop, Self::TpOnly, Self::Panic];
}

/// One side of a coin as it is now.
#[derive(Clone, Copy, Debug)]
pub struct SideNow {
    /// What to do.
    pub mode: Mode,
    /// Takes a slot before any coin that is ranked.
    pub preferred: bool,
    /// Orders may be placed; false: still warming up, too young, or nothing known.
    pub tradeable: bool,
    /// Position at the exchange.
    pub position: Position,
    /// Time of the last fill (UTC milliseconds); earlier than all candles if none is known.
    pub changed_ms: i64,
}

/// A coin as it is now.
#[derive(Clone, Copy, Debug)]
pub struct CoinNow {
    /// Best bid.
    pub bid: f64,
    /// Best ask.
    pub ask: f64,
    /// Long, short.
    pub sides: [SideNow; 2],
}

/// The account as it is now.
#[derive(Clone, Copy, Debug)]
pub struct AccountNow {
    /// Balance that orders are sized by.
    pub balance: f64,
    /// Realised profit before fees, from the start of the known history.
    pub realised_sum: f64,
    /// Its peak, at least 0.
    pub realised_peak: f64,
    /// False: no unstuck close, whatever the allowance.
    pub may_unstuck: bool,
}

/// An order of the plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Planned {
    /// Coin index.
    pub coin: usize,
    /// The order.
    pub order: Order,
}

/// What should rest at the exchange, and why.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Orders, by side and coin; closes before entries, each list in the order in which it fills.
    pub orders: Vec<Planned>,
    /// Exposure limit of each coin's positions.
    pub limits: Vec<[f64; 2]>,
    /// Coins that hold a slot.
    pub active: Vec<[bool; 2]>,
}

/// The strategy over a set of coins that candles are fed to.
pub struct Live {
    first_ms: i64,
    kept: usize,
    bot: BotParams,
    coins: Vec<LiveCoin>,
}

impl Live {
    /// No candle known yet.
    ///
    /// `bot` gives the side-wide values, `coins` the rules and parameters of each coin, overrides applied. Nothing
    /// before `first_ms` is absorbed; at least `kept` minutes stay known for trailing.
    pub fn new(bot: BotParams, coins: Vec<(MarketRules, BotParams)>, first_ms: i64, kept: usize) -> Self {
        let coins = coins.into_iter().map(|(rules, bot)| LiveCoin::new(rules, bot)).collect();
        Self { first_ms, kept: kept.max(1), bot, coins }
    }

    /// Number of coins.
    pub fn count(&self) -> usize {
        self.coins.len()
    }

    /// Start of the minute that coin `i` needs next; None before its first candle.
    pub fn next_ms(&self, i: usize) -> Option<i64> {
        self.coins[i].next_ms()
    }

    /// Replace the rules of coin `i`.
    pub fn set_rules(&mut self, i: usize, rules: MarketRules) {
        self.coins[i].rules = rules;
    }

    /// Take in consecutive minutes of coin `i`, each high, low, close and quote volume, from `start_ms` on.
    ///
    /// # Errors
    /// Minutes that do not follow those that are known, or lie before the start.
    pub fn absorb(
        &mut self,
        i: usize,
        start_ms: i64,
        rows: impl IntoIterator<Item = [f64; 4]>,
    ) -> Result<()> {
        let (first_ms, coin) = (self.first_ms, &mut self.coins[i]);
        let wanted = coin.next_ms().unwrap_or(start_ms.max(first_ms));
        if start_ms != wanted || start_ms.rem_euclid(MINUTE_MS) != 0 {
            return Err(EngineError::Candles(format!(
                "coin number {i}: candles from {start_ms} do not follow; allowed is {wanted}"
            )));
        }
        for (now, row) in (start_ms..).step_by(MINUTE_MS as usize).zip(rows) {
            coin.absorb(first_ms, now, row);
        }
        coin.forget(self.kept);
        Ok(())
    }

    /// Upper and lower band, volume, log range and hourly log range of each coin and side; NaN before the first candle.
    pub fn indicators(&self) -> Vec<[[f64; 5]; 2]> {
        self.coins
            .iter()
            .map(|coin| match &coin.indicators {
                None => [[f64::NAN; 5]; 2],
                Some(sides) => sides.map(|side| {
                    let bands = side.bands();
                    [
                        bands.upper,
                        bands.lower,
                        side.volume.value,
                        side.log_range.value,
                        side.hourly_log_range.value,
                    ]
                }),
            })
            .collect()
    }

    /// The orders that should rest now, at most `ladder` in one list.
    ///
    /// # Errors
    /// `now` has not one entry a coin.
    pub fn plan(&mut self, account: &AccountNow, now: &[CoinNow], ladder: usize) -> Result<Plan> {
        if now.len() != self.coins.len() {
            return Err(EngineError::Parameter(format!(
                "{} coins are described; allowed are {}",
                now.len(),
                self.coins.len()
            )));
        }
        let mut draft = Draft::new(self, account, now, ladder);
        draft.side::<Long>();
        draft.side::<Short>();
        draft.unstuck();
        Ok(draft.finish())
    }
}
