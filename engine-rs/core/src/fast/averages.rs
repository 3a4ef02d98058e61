//! Averages of one coin in lanes (§6): three price averages of each side in one vector, those that rank coins, of volume
//! and of log range, in another.
//!
//! The denominator of the weighted form is exactly 1 for every span that the fast path accepts, so that a value is
//! its numerator. The state is kept at the start of the current span; values of each minute inside it are made on
//! demand, and all at once.

use std::ops::Range;

use super::abreast::{QUARTER, QUARTERS};
use crate::candles::CoinCandles;
use crate::grid::SideIndex;
use crate::interval::Interval;
use crate::isa::{Isa, dispatched};
use crate::params::SideParams;
use crate::types::{Bands, higher, lower};

/// Longest span of minutes.
pub(super) const BLOCK: usize = 60;
/// Averages of the close: three, each of long and short, and two idle lanes to fill a vector register.
pub(super) const PRICE_LANES: usize = 8;
/// All averages of a coin by number: each of long and short in turn.
pub(super) const COUNT: usize = 10;
pub(super) const PRICES: Range<usize> = 0..6;
pub(super) const VOLUMES: Range<usize> = 6..8;
pub(super) const LOG_RANGES: Range<usize> = 8..10;
/// Averages of volume and of log range, each of long and short.
const RANKING_LANES: usize = 4;
/// Coins whose averages advance together: each is a chain of operations that wait for one another.
const TOGETHER: usize = 4;

/// Minutes that a mask has bits for: tests of so many take a fraction of the time that those of an odd number do.
pub(super) const WINDOW: usize = 64;

/// A value of both sides for each minute of a span.
pub(super) type BySide = [[f64; 2]; WINDOW];

/// Values of a coin after each minute of a span.
#[derive(Clone)]
pub(super) struct Walk {
    lower: BySide,
    upper: BySide,
    ranking: [[f64; BLOCK]; RANKING_LANES],
}

impl Walk {
    /// Of no span yet.
    pub(super) fn new() -> Self {
        Self { lower: [[0.0; 2]; WINDOW], upper: [[0.0; 2]; WINDOW], ranking: [[0.0; BLOCK]; RANKING_LANES] }
    }

    /// Bands after minute `n` of the walked span (§6.6).
    pub(super) fn bands<S: SideIndex>(&self, n: usize) -> Bands {
        Bands { upper: self.upper[n][S::INDEX], lower: self.lower[n][S::INDEX] }
    }

    /// Lower bands after each minute of the walked span.
    pub(super) fn lower(&self) -> &BySide {
        &self.lower
    }

    /// Upper bands after each minute of the walked span.
    pub(super) fn upper(&self) -> &BySide {
        &self.upper
    }

    /// Volume averages of a side after each minute of the ranked span.
    pub(super) fn volume<S: SideIndex>(&self) -> &[f64; BLOCK] {
        &self.ranking[S::INDEX]
    }

    /// Log-range averages of a side after each minute of the ranked span.
    pub(super) fn log_range<S: SideIndex>(&self) -> &[f64; BLOCK] {
        &self.ranking[2 + S::INDEX]
    }
}

/// Chains of one coin's price averages that advance together, each in a stretch of time of its own: as many as AVX2 has
/// registers for.
pub(super) const CHAINS: usize = 4;

pub(super) type PriceLanes = Lanes<PRICE_LANES>;
pub(super) type PriceValues = [f64; PRICE_LANES];

/// Values and factors of averages side by side.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Lanes<const N: usize> {
    pub(super) value: [f64; N],
    alpha: [f64; N],
    weight: [f64; N],
}

impl<const N: usize> Lanes<N> {
    pub(super) fn new(value: [f64; N], spans: [f64; N]) -> Self {
        let factors = spans.map(factors);
        Self { value, alpha: factors.map(|(alpha, _)| alpha), weight: factors.map(|(_, weight)| weight) }
    }

    /// §6.5: absorb the log range of an hour.
    #[inline(always)]
    pub(super) fn absorb(&mut self, range: f64) {
        if range.is_finite() {
            self.value = self.after(&self.value, &[range; N]);
        }
    }

    /// The longest span, in bars; that of a factor of 0 is infinite.
    pub(super) fn longest_span(&self) -> f64 {
        self.alpha.iter().map(|alpha| 2.0 / alpha - 1.0).fold(0.0, f64::max)
    }

    /// Take over a lane of others.
    pub(super) fn copy_lane<const M: usize>(&mut self, n: usize, from: &Lanes<M>, m: usize) {
        (self.value[n], self.alpha[n], self.weight[n]) = (from.value[m], from.alpha[m], from.weight[m]);
    }

    /// Lanes that hold nothing.
    pub(super) fn idle() -> Self {
        Self { value: [0.0; N], alpha: [0.0; N], weight: [0.0; N] }
    }

    /// The values after one more minute.
    #[inline(always)]
    pub(super) fn after(&self, value: &[f64; N], x: &[f64; N]) -> [f64; N] {
        std::array::from_fn(|n| self.alpha[n] * x[n] + self.weight[n] * value[n])
    }
}

/// Columns of a coin in a span, all equally long; volumes and log ranges are empty where nobody ranks coins.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    close: &'a [f64],
    volume: &'a [f64],
    log_range: &'a [f64],
}

impl<'a> Columns<'a> {
    /// Minutes `start .. end`.
    pub(super) fn new(
        c: &CoinCandles<'a>,
        log_ranges: &'a [f64],
        ranked: bool,
        start: usize,
        end: usize,
    ) -> Self {
        let (volume, log_range) =
            if ranked { (&c.volume[start..end], &log_ranges[start..end]) } else { (&[][..], &[][..]) };
        Self { close: &c.close[start..end], volume, log_range }
    }
}

/// The averages of one coin.
pub(super) struct Averages {
    /// Of the close and of what ranks, at the start of the span.
    prices: Lanes<PRICE_LANES>,
    ranking: Lanes<RANKING_LANES>,
    /// The greatest share of the closes of a span in each price average at its end: the rest is where it was at the start.
    pull: [f64; PRICE_LANES],
    /// Both at the end of the span, and what ranks at the end of each quarter but the last, once somebody looked ahead.
    prices_ended: [f64; PRICE_LANES],
    ranking_inner: [[f64; RANKING_LANES]; QUARTERS - 1],
    ranking_ended: [f64; RANKING_LANES],
    /// There are bands of each minute of the span, and what ranks the coin.
    walked: bool,
    ranked: bool,
    /// Of hourly log ranges (§6.5), by side.
    hourly: Lanes<2>,
}

/// Smoothing factor and its complement.
fn factors(span: f64) -> (f64, f64) {
    let alpha = 2.0 / (span + 1.0);
    (alpha, 1.0 - alpha)
}

/// True if the averages of these parameters may be computed in lanes: every denominator exactly 1, and every span of
/// a price average at least 1 bar, so that the average stays within what it has seen. Nothing is concluded from the
/// range of the others.
pub(super) fn fits(p: &SideParams, interval: Interval) -> bool {
    let is_numerator = |span: f64| {
        let (alpha, weight) = factors(span);
        alpha > 0.0 && alpha + weight == 1.0
    };
    let hourly = p.entry_grid_spacing_log_span_hours;
    let ranking = [p.filter_volume_ema_span, p.filter_log_range_ema_span].map(|span| interval.span(span));
    p.price_spans(interval).into_iter().all(|span| span >= 1.0 && is_numerator(span))
        && ranking.into_iter().all(is_numerator)
        && (hourly <= 0.0 || is_numerator(hourly))
}

impl Averages {
    pub(super) fn new(sides: [&SideParams; 2], close: f64, volume: f64, interval: Interval) -> Self {
        let spans = sides.map(|p| {
            let [short, middle, long] = p.price_spans(interval);
            [short, middle, long, long]
        });
        let [long, short] = sides;
        let ranking = [
            long.filter_volume_ema_span,
            short.filter_volume_ema_span,
            long.filter_log_range_ema_span,
            short.filter_log_range_ema_span,
        ]
        .map(|span| interval.span(span));
        let mut hourly = Lanes::idle();
        for (side, p) in sides.iter().enumerate() {
            let span = p.entry_grid_spacing_log_span_hours;
            if span > 0.0 {
                (hourly.alpha[side], hourly.weight[side]) = factors(span);
            }
        }
        let prices = Lanes::new([close; PRICE_LANES], std::array::from_fn(|n| spans[n % 2][n / 2]));
        Self {
            prices,
            // A little more, so that a bound's own rounding leaves it one, however far prices jump. A bound may use std's
            // `powi`, whatever its last bit on a machine; with that of `math` batches over four coins took 3 % longer.
            pull: prices.weight.map(|weight| 1.0 - weight.powi(BLOCK as i32) + 1e-12),
            prices_ended: [0.0; PRICE_LANES],
            ranking_inner: [[0.0; RANKING_LANES]; QUARTERS - 1],
            ranking: Lanes::new([volume, volume, 0.0, 0.0], ranking),
            ranking_ended: [0.0; RANKING_LANES],
            walked: false,
            ranked: false,
            hourly,
        }
    }

    /// Put average `number` into a lane.
    pub(super) fn put<const N: usize>(&self, number: usize, to: &mut Lanes<N>, lane: usize) {
        match number.checked_sub(PRICES.end) {
            None => to.copy_lane(lane, &self.prices, number),
            Some(n) => to.copy_lane(lane, &self.ranking, n),
        }
    }

    /// A span begins with these values, and those of hourly log ranges.
    pub(super) fn begin(&mut self, value: &[f64; COUNT], hourly: [f64; 2]) {
        self.hourly.value = hourly;
        let (prices, ranking) = value.split_at(PRICES.end);
        self.prices.value[PRICES].copy_from_slice(prices);
        self.ranking.value.copy_from_slice(ranking);
        (self.walked, self.ranked) = (false, false);
    }

    /// What is left of average `number`, which ranks, after so many minutes of zero; None if it is no average of what was.
    pub(super) fn left(&self, number: usize, minutes: usize) -> Option<f64> {
        let weight = self.ranking.weight[number - PRICES.end];
        (0.0..=1.0).contains(&weight).then(|| weight.powi(minutes as i32))
    }

    /// §6.5: absorb the log range of an hour.
    pub(super) fn absorb_hour(&mut self, range: f64) {
        self.hourly.absorb(range);
    }

    /// The averages of hourly log ranges, by side.
    pub(super) fn hourly(&self) -> &Lanes<2> {
        &self.hourly
    }

    /// The price averages at the start of the span.
    pub(super) fn prices(&self) -> &PriceLanes {
        &self.prices
    }

    /// A span begins with these averages of prices and of hourly log ranges.
    pub(super) fn begin_with(&mut self, prices: &[f64], hourly: &[f64]) {
        self.prices.value[PRICES].copy_from_slice(prices);
        self.hourly.value.copy_from_slice(hourly);
        self.walked = false;
    }

    /// True if there are bands of each minute of the span.
    pub(super) fn is_walked(&self) -> bool {
        self.walked
    }

    /// True if there is what ranks the coin in each minute of the span.
    pub(super) fn is_ranked(&self) -> bool {
        self.ranked
    }

    /// What ranks a coin that does not live in the span: its last values, in every minute.
    pub(super) fn rest(&self, walk: &mut Walk) {
        walk.ranking = self.ranking.value.map(|value| [value; BLOCK]);
    }

    /// The coin does not live in the span at hand.
    pub(super) fn stand(&mut self) {
        self.prices_ended = self.prices.value;
        self.ranking_inner = [self.ranking.value; QUARTERS - 1];
        self.ranking_ended = self.ranking.value;
    }

    /// The span is over, and somebody looked ahead to its end.
    pub(super) fn arrive(&mut self) {
        (self.prices.value, self.ranking.value) = (self.prices_ended, self.ranking_ended);
        (self.walked, self.ranked) = (false, false);
    }

    /// Average `number`, which ranks, at the start of the span and at the ends of its quarters, if somebody looked ahead.
    #[inline(always)]
    pub(super) fn marks(&self, number: usize) -> [f64; QUARTERS + 1] {
        let n = number - PRICES.end;
        let [a, b, c] = self.ranking_inner.map(|values| values[n]);
        [self.ranking.value[n], a, b, c, self.ranking_ended[n]]
    }

    /// The same at start and end alone.
    #[inline(always)]
    pub(super) fn both(&self, number: usize) -> (f64, f64) {
        let n = number - PRICES.end;
        (self.ranking.value[n], self.ranking_ended[n])
    }

    /// The least average of a side at the start of the span.
    pub(super) fn least(&self, side: usize) -> f64 {
        let [a, b, c] = std::array::from_fn(|n| self.prices.value[2 * n + side]);
        lower(lower(a, b), c)
    }

    /// Bounds that the bands of a side keep within a span of these lowest and highest closes, but for what the averages
    /// lose by rounding: whoever compares leaves room for that.
    pub(super) fn bounds(&self, side: usize, (low, high): (f64, f64)) -> BandBounds {
        let [a, b, c] = std::array::from_fn(|n| {
            let (start, pull) = (self.prices.value[2 * n + side], self.pull[2 * n + side]);
            (start + pull * lower(0.0, low - start), start + pull * higher(0.0, high - start))
        });
        BandBounds {
            lower: (lower(lower(a.0, b.0), c.0), lower(lower(a.1, b.1), c.1)),
            upper: (higher(higher(a.0, b.0), c.0), higher(higher(a.1, b.1), c.1)),
        }
    }
}

/// Have the bands of every minute of a span.
pub(super) fn walk<'a>(isa: Isa, coins: impl Iterator<Item = Moving<'a>>) {
    let waiting = coins.filter(|(averages, ..)| !averages.walked);
    in_groups(waiting, |group| walk_group(isa, group));
}

/// Have the volume and log-range averages of every minute of a span.
pub(super) fn rank<'a>(isa: Isa, coins: impl Iterator<Item = Moving<'a>>) {
    let waiting = coins.filter(|(averages, ..)| !averages.ranked);
    in_groups(waiting, |group| rank_group(isa, group));
}

/// Look ahead to the end of the span with coins that live in it.
pub(super) fn look_ahead<'a>(isa: Isa, coins: impl Iterator<Item = Moving<'a>>) {
    in_groups(coins, |group| look_ahead_group(isa, group));
}

/// Averages of a coin, where their values of each minute go, and what they see.
pub(super) type Moving<'a> = (&'a mut Averages, &'a mut Walk, Columns<'a>);

/// Coins whose columns have the same lengths: at least one, from the front.
type Group<'a> = [Option<Moving<'a>>; TOGETHER];

/// Take as many coins together as fit.
fn in_groups<'a>(coins: impl Iterator<Item = Moving<'a>>, act: impl Fn(&mut Group<'a>)) {
    let shape = |coin: &Moving<'_>| (coin.2.close.len(), coin.2.volume.len());
    let (mut group, mut length): (Group<'a>, _) = ([const { None }; TOGETHER], 0);
    // Inside the iterator, which is of several layers, this is a plain loop.
    coins.for_each(|coin| {
        if length == TOGETHER || group[0].as_ref().is_some_and(|first| shape(first) != shape(&coin)) {
            act(&mut group);
            group = [const { None }; TOGETHER];
            length = 0;
        }
        group[length] = Some(coin);
        length += 1;
    });
    act(&mut group);
}

/// Unpack a group for a body that is compiled for each number of coins.
macro_rules! by_number {
    ($body:ident) => {
        |group: &mut Group<'_>| match group {
            [Some(a), Some(b), Some(c), Some(d)] => $body([a, b, c, d]),
            [Some(a), Some(b), Some(c), _] => $body([a, b, c]),
            [Some(a), Some(b), ..] => $body([a, b]),
            [Some(a), ..] => $body([a]),
            [None, ..] => {}
        }
    };
}

/// Smallest and largest value that each band can take in a span.
pub(super) struct BandBounds {
    pub(super) lower: (f64, f64),
    pub(super) upper: (f64, f64),
}

dispatched! { fn walk_group(group: &mut Group<'_>) = by_number!(walk_body) }
dispatched! { fn rank_group(group: &mut Group<'_>) = by_number!(rank_body) }
dispatched! { fn look_ahead_group(group: &mut Group<'_>) = by_number!(look_ahead_body) }

dispatched! {
    /// Advance chains of the same factors, each over closes of its own, all equally many.
    pub(super) fn advance_chains(lanes: &PriceLanes, values: &mut [PriceValues; CHAINS], closes: &[&[f64]; CHAINS]) =
        |lanes: &PriceLanes, values: &mut [PriceValues; CHAINS], closes: &[&[f64]; CHAINS]| {
            let minutes = closes[0].len().min(BLOCK);
            let closes = closes.map(|close| &close[..minutes]);
            let mut value = *values;
            #[expect(clippy::needless_range_loop, reason = "several columns at once")]
            for n in 0..minutes {
                for i in 0..CHAINS {
                    value[i] = lanes.after(&value[i], &[closes[i][n]; PRICE_LANES]);
                }
            }
            *values = value;
        }
}

dispatched! {
    /// Advance a chain alone.
    pub(super) fn advance_one(lanes: &PriceLanes, value: &PriceValues, closes: &[f64]) -> PriceValues =
        |lanes: &PriceLanes, value: &PriceValues, closes: &[f64]| {
            closes.iter().fold(*value, |value, &close| lanes.after(&value, &[close; PRICE_LANES]))
        }
}

/// Averages of closes; `keep` is called with coin, minute and values.
#[inline(always)]
fn advance_prices<const N: usize>(
    lanes: [Lanes<PRICE_LANES>; N],
    close: [&[f64]; N],
    mut keep: impl FnMut(usize, usize, &[f64; PRICE_LANES]),
) -> [[f64; PRICE_LANES]; N] {
    let minutes = close[0].len().min(BLOCK);
    let close = close.map(|close| &close[..minutes]);
    let mut value = lanes.map(|lanes| lanes.value);
    #[expect(clippy::needless_range_loop, reason = "several columns at once")]
    for n in 0..minutes {
        for i in 0..N {
            value[i] = lanes[i].after(&value[i], &[close[i][n]; PRICE_LANES]);
            keep(i, n, &value[i]);
        }
    }
    value
}

#[inline(always)]
fn walk_body<const N: usize>(mut coins: [&mut Moving<'_>; N]) {
    let lanes = coins.each_ref().map(|(averages, ..)| averages.prices);
    let close = coins.each_ref().map(|(.., columns)| columns.close);
    let least = |x: f64, y: f64| if x < y { x } else { y };
    let most = |x: f64, y: f64| if x > y { x } else { y };
    let ended = advance_prices(lanes, close, |i, n, value| {
        let [a, b, c] = std::array::from_fn(|m| [value[2 * m], value[2 * m + 1]]);
        let walk = &mut coins[i].1;
        walk.lower[n] = std::array::from_fn(|side| least(least(a[side], b[side]), c[side]));
        walk.upper[n] = std::array::from_fn(|side| most(most(a[side], b[side]), c[side]));
    });
    for ((averages, ..), ended) in coins.into_iter().zip(ended) {
        (averages.prices_ended, averages.walked) = (ended, true);
    }
}

#[inline(always)]
fn rank_body<const N: usize>(mut coins: [&mut Moving<'_>; N]) {
    let lanes = coins.each_ref().map(|(averages, ..)| averages.ranking);
    let columns = coins.each_ref().map(|(.., columns)| *columns);
    let minutes = columns[0].volume.len().min(BLOCK);
    let columns = columns.map(|c| (&c.volume[..minutes], &c.log_range[..minutes]));
    let mut value = lanes.map(|lanes| lanes.value);
    let mut after = |i: usize, n: usize| {
        let (volume, log_range) = (columns[i].0[n], columns[i].1[n]);
        value[i] = lanes[i].after(&value[i], &[volume, volume, log_range, log_range]);
        value[i]
    };
    // Four minutes of a coin are turned from rows to columns in registers.
    let fours = minutes / 4 * 4;
    for n in (0..fours).step_by(4) {
        let mut rows = [[[0.0; RANKING_LANES]; 4]; N];
        for m in 0..4 {
            for (i, rows) in rows.iter_mut().enumerate() {
                rows[m] = after(i, n + m);
            }
        }
        for (coin, rows) in coins.iter_mut().zip(&rows) {
            for (c, column) in coin.1.ranking.iter_mut().enumerate() {
                column[n..n + 4].copy_from_slice(&[rows[0][c], rows[1][c], rows[2][c], rows[3][c]]);
            }
        }
    }
    for n in fours..minutes {
        for (i, coin) in coins.iter_mut().enumerate() {
            let row = after(i, n);
            for (column, value) in coin.1.ranking.iter_mut().zip(row) {
                column[n] = value;
            }
        }
    }
    for ((averages, ..), ended) in coins.into_iter().zip(value) {
        (averages.ranking_ended, averages.ranked) = (ended, true);
    }
}

#[inline(always)]
fn look_ahead_body<const N: usize>(coins: [&mut Moving<'_>; N]) {
    let prices = coins.each_ref().map(|(averages, ..)| averages.prices);
    let ranking = coins.each_ref().map(|(averages, ..)| averages.ranking);
    let columns = coins.each_ref().map(|(.., columns)| *columns);
    if columns[0].volume.is_empty() {
        let ended = advance_prices(prices, columns.map(|columns| columns.close), |_, _, _| {});
        for ((averages, ..), ended) in coins.into_iter().zip(ended) {
            averages.prices_ended = ended;
        }
        return;
    }
    // Both kinds in one loop wait for less.
    let minutes = columns[0].close.len().min(BLOCK);
    let columns = columns.map(|c| (&c.close[..minutes], &c.volume[..minutes], &c.log_range[..minutes]));
    let (mut price, mut rank) = (prices.map(|lanes| lanes.value), ranking.map(|lanes| lanes.value));
    for quarter in 0..QUARTERS {
        for n in minutes.min(quarter * QUARTER)..minutes.min((quarter + 1) * QUARTER) {
            for i in 0..N {
                let (close, volume, log_range) = (columns[i].0[n], columns[i].1[n], columns[i].2[n]);
                price[i] = prices[i].after(&price[i], &[close; PRICE_LANES]);
                rank[i] = ranking[i].after(&rank[i], &[volume, volume, log_range, log_range]);
            }
        }
        if quarter < QUARTERS - 1 {
            for i in 0..N {
                coins[i].0.ranking_inner[quarter] = rank[i];
            }
        }
    }
    for (i, (averages, ..)) in coins.into_iter().enumerate() {
        averages.prices_ended = price[i];
        averages.ranking_ended = rank[i];
    }
}
