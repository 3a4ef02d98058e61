//! What no candidate changes: computed once a panel, shared by all runs over it.

use std::ops::RangeInclusive;

use super::prefetch::prefetch;
use crate::candles::{CoinCandles, Panel};
use crate::error::{EngineError, Result};
use crate::grid::HOUR_MS;
use crate::math;
use crate::types::{Trailing, higher, lower};

/// Minutes of a clock hour, or a part of one where a day or a coin begins or ends inside.
///
/// At minute `k` of a block orders are placed that the candle of `k + 1` may fill.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) start: usize,
    pub(super) end: usize,
    /// The block's first minute is the first of an hour that the hourly averages see: the index of its log ranges.
    pub(super) hour: Option<usize>,
}

/// Price extremes of a coin in a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extremes {
    /// Lowest low of the candles that the block's orders meet, `start + 1 ..= end`.
    pub(super) next_low: f64,
    /// Highest high of the same candles.
    pub(super) next_high: f64,
    /// Lowest and highest close of the block.
    pub(super) close: (f64, f64),
    /// What the block's candles do to trailing extremes (§10).
    pub(super) swing: Swing,
}

/// A stretch of candles, as far as trailing extremes can see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Swing {
    pub(super) low: f64,
    pub(super) high: f64,
    /// Highest high after the lowest low, the close of its minute included.
    pub(super) max_after_low: f64,
    /// Lowest low after the highest high, the close of its minute included.
    pub(super) min_after_high: f64,
}

/// How far the prices of a block turn back inside it, as bounds: in any part of the block they do no more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turns {
    /// Greatest ratio of a high, or of a close of the same minute, to a low before it.
    pub(super) rise: f64,
    /// Least ratio of a low, or of a close of the same minute, to a high before it.
    pub(super) fall: f64,
}

/// Numbers that hold the extremes of one coin in one block.
const EXTREMES: usize = 8;
/// Numbers that hold how far its prices turn back.
const TURNS: usize = 2;

impl Turns {
    /// Of the block `start .. end`.
    fn of(c: &CoinCandles<'_>, start: usize, end: usize) -> Self {
        let (mut lowest, mut highest) = (f64::INFINITY, 0.0);
        let (mut rise, mut fall) = (0.0, f64::INFINITY);
        for k in start..end {
            rise = higher(rise, c.high[k] / lowest);
            fall = lower(fall, c.low[k] / highest);
            lowest = lower(lowest, c.low[k]);
            highest = higher(highest, c.high[k]);
            rise = higher(rise, c.close[k] / lowest);
            fall = lower(fall, c.close[k] / highest);
        }
        Self { rise, fall }
    }
}

impl Extremes {
    fn encode(&self) -> [f64; EXTREMES] {
        let Swing { low, high, max_after_low, min_after_high } = self.swing;
        let (close_low, close_high) = self.close;
        [self.next_low, self.next_high, close_low, close_high, low, high, max_after_low, min_after_high]
    }

    /// True if a candle that the block's orders meet crosses a price.
    pub(super) fn meet(&self, by_low: bool, price: f64) -> bool {
        if by_low { self.next_low < price } else { self.next_high > price }
    }

    fn decode(numbers: &[f64; EXTREMES]) -> Self {
        let [next_low, next_high, close_low, close_high, low, high, max_after_low, min_after_high] = *numbers;
        let swing = Swing { low, high, max_after_low, min_after_high };
        Self { next_low, next_high, close: (close_low, close_high), swing }
    }

    /// Extremes of the block `start .. end`. Candles outside the coin's life are NaN and leave no trace.
    pub(super) fn of(c: &CoinCandles<'_>, start: usize, end: usize) -> Self {
        let low = |range: &[f64]| range.iter().fold(f64::INFINITY, |m, &x| m.min(x));
        let high = |range: &[f64]| range.iter().fold(f64::NEG_INFINITY, |m, &x| m.max(x));
        let mut t = Trailing::RESET;
        for k in start..end {
            t.update(c.high[k], c.low[k], c.close[k]);
        }
        Self {
            next_low: low(&c.low[start + 1..=end]),
            next_high: high(&c.high[start + 1..=end]),
            close: (low(&c.close[start..end]), high(&c.close[start..end])),
            swing: Swing {
                low: t.min_since_open,
                high: t.max_since_open,
                max_after_low: t.max_since_min,
                min_after_high: t.min_since_max,
            },
        }
    }
}

/// The cuts of a panel's axis; they follow from its minutes and the lives of its coins.
#[derive(Clone, Debug)]
pub struct Blocks {
    blocks: Vec<Block>,
    /// No high is below its low, so that no log range is negative.
    ordered: bool,
}

impl Blocks {
    /// Blocks of a panel; None if its candles are too irregular for shortcuts: fewer than three minutes, an axis that is
    /// not on the clock's bars, a hole inside a coin's life, a price outside it, a price or volume that no candle can have.
    pub fn of(panel: &Panel<'_>) -> Option<Self> {
        let coins = panel.coins();
        let regular = panel.bars() >= 3
            && panel.first_ms().rem_euclid(panel.interval().ms()) == 0
            && (0..coins.len()).all(|i| is_regular(&coins[i], panel.life(i)));
        let is_ordered = |c: &CoinCandles<'_>| !c.high.iter().zip(c.low).any(|(high, low)| high < low);
        regular.then(|| Self { blocks: blocks(panel), ordered: coins.iter().all(is_ordered) })
    }

    fn hours(&self) -> usize {
        self.blocks.iter().filter(|block| block.hour.is_some()).count()
    }
}

/// Tables of one coin, owned.
#[derive(Clone, Debug)]
pub struct CoinTables {
    /// Extremes by block, eight numbers each.
    pub extremes: Vec<f64>,
    /// How far prices turn back by block, two numbers each.
    pub turns: Vec<f64>,
    /// By hour: the log range that the hourly averages absorb; NaN: none (§6.5).
    pub hour_ranges: Vec<f64>,
    /// Log range of each minute (§6.4); empty where there is a single coin, which is never ranked.
    pub log_ranges: Vec<f64>,
}

impl CoinTables {
    /// Tables of a coin of the panel that the blocks are of.
    pub fn compute(panel: &Panel<'_>, blocks: &Blocks, coin: usize) -> Self {
        let c = &panel.coins()[coin];
        let extremes = |block: &Block| Extremes::of(c, block.start, block.end).encode();
        let turns = |block: &Block| {
            let Turns { rise, fall } = Turns::of(c, block.start, block.end);
            [rise, fall]
        };
        let log_ranges = if panel.coins().len() > 1 {
            c.high.iter().zip(c.low).map(|(high, low)| math::ln(high / low)).collect()
        } else {
            Vec::new()
        };
        Self {
            extremes: blocks.blocks.iter().flat_map(extremes).collect(),
            turns: blocks.blocks.iter().flat_map(turns).collect(),
            hour_ranges: hour_ranges(panel, coin, &blocks.blocks),
            log_ranges,
        }
    }

    /// The tables, to be read.
    pub fn view(&self) -> CoinView<'_> {
        let Self { extremes, turns, hour_ranges, log_ranges } = self;
        CoinView { extremes, turns, hour_ranges, log_ranges }
    }
}

/// Tables of one coin, wherever they lie; see [`CoinTables`].
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "those of CoinTables")]
pub struct CoinView<'a> {
    pub extremes: &'a [f64],
    pub turns: &'a [f64],
    pub hour_ranges: &'a [f64],
    pub log_ranges: &'a [f64],
}

/// Tables of one panel, shared by all runs over it.
#[derive(Clone, Debug)]
pub struct Prepared<'a> {
    blocks: &'a Blocks,
    coins: Vec<CoinView<'a>>,
}

impl<'a> Prepared<'a> {
    /// Put tables together.
    ///
    /// # Errors
    /// Tables that are not of this panel's size. That they are of its candles can't be seen.
    pub fn new(panel: &Panel<'_>, blocks: &'a Blocks, coins: Vec<CoinView<'a>>) -> Result<Self> {
        let count = panel.coins().len();
        let minutes = if count > 1 { panel.bars() } else { 0 };
        let fits = |view: &CoinView<'_>| {
            view.extremes.len() == blocks.blocks.len() * EXTREMES
                && view.turns.len() == blocks.blocks.len() * TURNS
                && view.hour_ranges.len() == blocks.hours()
                && view.log_ranges.len() == minutes
        };
        if coins.len() == count && coins.iter().all(fits) {
            Ok(Self { blocks, coins })
        } else {
            Err(EngineError::Candles("the prepared tables are not those of these candles".into()))
        }
    }

    /// The tables by coin.
    pub fn coins(&self) -> &[CoinView<'a>] {
        &self.coins
    }

    pub(super) fn blocks(&self) -> &'a [Block] {
        &self.blocks.blocks
    }

    /// True if no log range of a minute is negative.
    pub(super) fn ordered(&self) -> bool {
        self.blocks.ordered
    }

    /// Extremes of a coin in a block.
    pub(super) fn extremes(&self, coin: usize, block: usize) -> Extremes {
        let (numbers, _) = self.coins[coin].extremes.as_chunks();
        Extremes::decode(&numbers[block])
    }

    /// How far prices of a coin turn back in a block.
    pub(super) fn turns(&self, coin: usize, block: usize) -> Turns {
        let (numbers, _) = self.coins[coin].turns.as_chunks::<TURNS>();
        let [rise, fall] = numbers[block];
        Turns { rise, fall }
    }

    /// Have the extremes of a coin in a block come from memory.
    pub(super) fn foresee(&self, coin: usize, block: usize) {
        prefetch(self.coins[coin].extremes, block * EXTREMES..(block + 1) * EXTREMES);
    }

    pub(super) fn hour_range(&self, coin: usize, hour: usize) -> f64 {
        self.coins[coin].hour_ranges[hour]
    }

    pub(super) fn log_ranges(&self, coin: usize) -> &'a [f64] {
        self.coins[coin].log_ranges
    }
}

/// Prices whose products and quotients stay far from overflow: beyond them, slack added to a price means nothing, and
/// the range of a candle may be infinite.
const PRICES: RangeInclusive<f64> = 1e-30..=1e30;

fn is_regular(c: &CoinCandles<'_>, (first, last): (usize, usize)) -> bool {
    let price = |x: f64| PRICES.contains(&x);
    let inside = (first..=last).all(|k| {
        price(c.high[k])
            && price(c.low[k])
            && price(c.close[k])
            && c.volume[k].is_finite()
            && c.volume[k] >= 0.0
    });
    let outside = (0..first).chain(last + 1..c.close.len());
    inside && outside.into_iter().all(|k| c.high[k].is_nan() && c.low[k].is_nan() && c.close[k].is_nan())
}

/// Cut the steps 1 … T − 2 at hours, days, and where coins begin and end.
fn blocks(panel: &Panel<'_>) -> Vec<Block> {
    let steps = panel.bars() - 1;
    let hour_of = |k: usize| panel.time_ms(k).div_euclid(HOUR_MS);
    let mut cuts: Vec<usize> =
        (1..steps).filter(|&k| hour_of(k) > hour_of(k - 1) || k % panel.interval().day() == 0).collect();
    for i in 0..panel.coins().len() {
        let (first, last) = panel.life(i);
        cuts.extend([first, last + 1]);
    }
    cuts.extend([1, steps]);
    cuts.retain(|&k| (1..=steps).contains(&k));
    cuts.sort_unstable();
    cuts.dedup();
    let mut hours = 0..;
    cuts.windows(2)
        .map(|pair| Block {
            start: pair[0],
            end: pair[1],
            hour: (hour_of(pair[0]) > hour_of(pair[0] - 1)).then(|| hours.next().unwrap_or_default()),
        })
        .collect()
}

/// §6.5 for one coin: the log range of the hour before each hour start; a stale one is used again.
fn hour_ranges(panel: &Panel<'_>, coin: usize, blocks: &[Block]) -> Vec<f64> {
    let c = &panel.coins()[coin];
    let (first, last) = panel.life(coin);
    let mut window = 0;
    let mut bucket = None;
    let mut ranges = Vec::new();
    for block in blocks.iter().filter(|block| block.hour.is_some()) {
        let k = block.start;
        // The reference skips a window that is only one minute long.
        if panel.minute(k) > panel.minute(window) + 1 {
            let range = window.max(first)..k.min(last + 1);
            if !range.is_empty() {
                let high = c.high[range.clone()].iter().fold(f64::NEG_INFINITY, |m, &x| m.max(x));
                let low = c.low[range].iter().fold(f64::INFINITY, |m, &x| m.min(x));
                bucket = Some(math::ln(high / low));
            }
        }
        window = k;
        ranges.push(bucket.unwrap_or(f64::NAN));
    }
    ranges
}
