//! Averages of one coin in lanes (§6): of each side three price averages and the volume average side by side, and the
//! averages of the log range.
//!
//! The denominator of the weighted form is exactly 1 for every span that the fast path accepts, so that a value is
//! its numerator. The state is kept at the start of the current span; values inside it are made on demand, all at
//! once, since the walk through the span is owed anyway.

use crate::candles::CoinCandles;
use crate::isa::{Isa, dispatched};
use crate::params::SideParams;
use crate::types::Bands;

/// Longest span of minutes.
pub(super) const BLOCK: usize = 60;
/// Price averages of one side: three, and the last one twice, to fill a vector register.
const SIDE_LANES: usize = 4;
const LANES: usize = 2 * SIDE_LANES;
/// Averages that rank a coin: two of volume, two of the log range.
const RANKING_LANES: usize = 4;
/// Coins whose averages advance together: each is a chain of operations that wait for one another.
const TOGETHER: usize = 4;

/// Values after each minute of a span, by side.
struct Walk {
    lower: [[f64; BLOCK]; 2],
    upper: [[f64; BLOCK]; 2],
    volume: [[f64; BLOCK]; 2],
    log_range: [[f64; BLOCK]; 2],
}

/// Values and factors of averages side by side.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Lanes<const N: usize> {
    value: [f64; N],
    alpha: [f64; N],
    weight: [f64; N],
}

impl<const N: usize> Lanes<N> {
    fn new(value: [f64; N], spans: [f64; N]) -> Self {
        let factors = spans.map(factors);
        Self { value, alpha: factors.map(|(alpha, _)| alpha), weight: factors.map(|(_, weight)| weight) }
    }

    /// The values after one more minute.
    #[inline(always)]
    fn after(&self, value: &[f64; N], x: &[f64; N]) -> [f64; N] {
        std::array::from_fn(|n| self.alpha[n] * x[n] + self.weight[n] * value[n])
    }
}

/// All averages of minutes of one coin.
#[derive(Clone, Copy)]
struct State {
    /// Of the close: long, then short.
    prices: Lanes<LANES>,
    /// Of volume, then log range, each long, then short.
    ranking: Lanes<RANKING_LANES>,
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
    state: State,
    /// The state at the end of the span, if the walk was made.
    ended: Option<State>,
    walk: Box<Walk>,
    hourly: [Option<(f64, f64)>; 2],
    /// Average of hourly log ranges (§6.5), by side.
    pub(super) hourly_value: [f64; 2],
}

/// Smoothing factor and its complement.
fn factors(span: f64) -> (f64, f64) {
    let alpha = 2.0 / (span + 1.0);
    (alpha, 1.0 - alpha)
}

/// True if the averages of these parameters may be computed in lanes: every span at least 1 (an average then stays
/// within what it has seen), every denominator exactly 1.
pub(super) fn fits(p: &SideParams) -> bool {
    let hourly = p.entry_grid_spacing_log_span_hours;
    [p.ema_span_0, p.ema_span_1, (p.ema_span_0 * p.ema_span_1).sqrt()]
        .into_iter()
        .chain([p.filter_volume_ema_span, p.filter_log_range_ema_span])
        .chain((hourly > 0.0).then_some(hourly + 1.0))
        .all(|span| {
            let (alpha, weight) = factors(span);
            span >= 1.0 && alpha > 0.0 && alpha + weight == 1.0
        })
        && (hourly <= 0.0 || factors(hourly).0 + factors(hourly).1 == 1.0)
}

impl Averages {
    pub(super) fn new(sides: [&SideParams; 2], close: f64, volume: f64) -> Self {
        let spans = sides.map(|p| {
            let mut spans = [p.ema_span_0, p.ema_span_1, (p.ema_span_0 * p.ema_span_1).sqrt()];
            spans.sort_by(f64::total_cmp);
            [spans[0], spans[1], spans[2], spans[2]]
        });
        let [long, short] = sides;
        let ranking = [
            long.filter_volume_ema_span,
            short.filter_volume_ema_span,
            long.filter_log_range_ema_span,
            short.filter_log_range_ema_span,
        ];
        Self {
            state: State {
                prices: Lanes::new(
                    [close; LANES],
                    std::array::from_fn(|n| spans[n / SIDE_LANES][n % SIDE_LANES]),
                ),
                ranking: Lanes::new([volume, volume, 0.0, 0.0], ranking),
            },
            ended: None,
            walk: Box::new(Walk {
                lower: [[0.0; BLOCK]; 2],
                upper: [[0.0; BLOCK]; 2],
                volume: [[0.0; BLOCK]; 2],
                log_range: [[0.0; BLOCK]; 2],
            }),
            hourly: sides.map(|p| {
                let span = p.entry_grid_spacing_log_span_hours;
                (span > 0.0).then(|| factors(span))
            }),
            hourly_value: [0.0; 2],
        }
    }

    /// §6.5: absorb the log range of an hour.
    pub(super) fn absorb_hour(&mut self, range: f64) {
        for (hourly, value) in self.hourly.iter().zip(&mut self.hourly_value) {
            if let Some((alpha, weight)) = hourly
                && range.is_finite()
            {
                *value = alpha * range + weight * *value;
            }
        }
    }

    /// Have the values of every minute of the span.
    pub(super) fn walk(&mut self, isa: Isa, columns: Columns<'_>) {
        if self.ended.is_none() {
            let mut ended = self.state;
            walk(isa, &mut ended, columns, &mut self.walk);
            self.ended = Some(ended);
        }
    }

    /// Bands of a side after minute `n` of the walked span (§6.6).
    pub(super) fn bands(&self, side: usize, n: usize) -> Bands {
        Bands { upper: self.walk.upper[side][n], lower: self.walk.lower[side][n] }
    }

    /// Lower bands of a side after each minute of the walked span.
    pub(super) fn lower(&self, side: usize) -> &[f64; BLOCK] {
        &self.walk.lower[side]
    }

    /// Upper bands of a side after each minute of the walked span.
    pub(super) fn upper(&self, side: usize) -> &[f64; BLOCK] {
        &self.walk.upper[side]
    }

    /// Volume and log-range averages of a side after minute `n` of the walked span.
    pub(super) fn ranking(&self, side: usize, n: usize) -> (f64, f64) {
        (self.walk.volume[side][n], self.walk.log_range[side][n])
    }

    /// The same of a coin that does not live in the span: its last values.
    pub(super) fn resting_ranking(&self, side: usize) -> (f64, f64) {
        let [long_volume, short_volume, long_range, short_range] = self.state.ranking.value;
        if side == 0 { (long_volume, long_range) } else { (short_volume, short_range) }
    }

    /// Bounds that the bands of a side keep within a span of these lowest and highest closes.
    pub(super) fn bounds(&self, side: usize, (low, high): (f64, f64)) -> BandBounds {
        let [a, b, c] = std::array::from_fn(|n| self.state.prices.value[SIDE_LANES * side + n]);
        let least = a.min(b).min(c);
        let most = a.max(b).max(c);
        BandBounds { lower: (least.min(low), least.max(high)), upper: (most.min(low), most.max(high)) }
    }
}

/// Go on to the next span with coins that live in this one.
pub(super) fn finish<'a>(isa: Isa, coins: impl Iterator<Item = (&'a mut Averages, Columns<'a>)>) {
    let mut waiting = coins.filter_map(|(averages, columns)| match averages.ended.take() {
        Some(ended) => {
            averages.state = ended;
            None
        }
        None => Some((&mut averages.state, columns)),
    });
    while let Some(first) = waiting.next() {
        let shape = |columns: &Columns<'_>| (columns.close.len(), columns.volume.len());
        let like = shape(&first.1);
        // Runs may have cut the block differently, in one block of hundreds, or not all rank their coins.
        let mut more = || {
            let (state, columns) = waiting.next()?;
            if shape(&columns) == like {
                Some((state, columns))
            } else {
                advance_one(isa, (state, columns));
                None
            }
        };
        match (more(), more(), more()) {
            (Some(b), Some(c), Some(d)) => advance_four(isa, [first, b, c, d]),
            (Some(b), None, None) => advance_two(isa, [first, b]),
            (b, c, d) => {
                advance_one(isa, first);
                for coin in [b, c, d].into_iter().flatten() {
                    advance_one(isa, coin);
                }
            }
        }
    }
}

/// Smallest and largest value that each band can take in a span.
pub(super) struct BandBounds {
    pub(super) lower: (f64, f64),
    pub(super) upper: (f64, f64),
}

type Moving<'a> = (&'a mut State, Columns<'a>);

dispatched! { fn walk(state: &mut State, columns: Columns<'_>, walk: &mut Walk) = walk_body }
dispatched! { fn advance_one(coin: Moving<'_>) = |coin| advance_body([coin]) }
dispatched! { fn advance_two(coins: [Moving<'_>; 2]) = advance_body }
dispatched! { fn advance_four(coins: [Moving<'_>; TOGETHER]) = advance_body }

#[inline(always)]
fn walk_body(state: &mut State, columns: Columns<'_>, walk: &mut Walk) {
    let least = |x: f64, y: f64| if x < y { x } else { y };
    let most = |x: f64, y: f64| if x > y { x } else { y };
    let minutes = columns.close.len().min(BLOCK);
    let State { prices, ranking } = *state;
    let mut value = prices.value;
    for (n, &close) in columns.close[..minutes].iter().enumerate() {
        value = prices.after(&value, &[close; LANES]);
        for side in 0..2 {
            let [a, b, c] = std::array::from_fn(|lane| value[SIDE_LANES * side + lane]);
            walk.lower[side][n] = least(least(a, b), c);
            walk.upper[side][n] = most(most(a, b), c);
        }
    }
    state.prices.value = value;
    if columns.volume.is_empty() {
        return;
    }
    let mut value = ranking.value;
    let minutes = columns.volume[..minutes].iter().zip(&columns.log_range[..minutes]);
    for (n, (&volume, &log_range)) in minutes.enumerate() {
        value = ranking.after(&value, &[volume, volume, log_range, log_range]);
        for side in 0..2 {
            walk.volume[side][n] = value[side];
            walk.log_range[side][n] = value[2 + side];
        }
    }
    state.ranking.value = value;
}

#[inline(always)]
fn advance_body<const N: usize>(coins: [Moving<'_>; N]) {
    let minutes = coins[0].1.close.len();
    let state: [State; N] = std::array::from_fn(|i| *coins[i].0);
    let mut prices: [_; N] = std::array::from_fn(|i| state[i].prices.value);
    let close: [_; N] = std::array::from_fn(|i| &coins[i].1.close[..minutes]);
    for n in 0..minutes {
        for i in 0..N {
            prices[i] = state[i].prices.after(&prices[i], &[close[i][n]; LANES]);
        }
    }
    let ranked = !coins[0].1.volume.is_empty();
    let mut ranking: [_; N] = std::array::from_fn(|i| state[i].ranking.value);
    if ranked {
        let columns: [_; N] = std::array::from_fn(|i| {
            let Columns { volume, log_range, .. } = coins[i].1;
            (&volume[..minutes], &log_range[..minutes])
        });
        for n in 0..minutes {
            for i in 0..N {
                let (volume, log_range) = (columns[i].0[n], columns[i].1[n]);
                ranking[i] = state[i].ranking.after(&ranking[i], &[volume, volume, log_range, log_range]);
            }
        }
    }
    for (i, (state, _)) in coins.into_iter().enumerate() {
        state.prices.value = prices[i];
        state.ranking.value = ranking[i];
    }
}
