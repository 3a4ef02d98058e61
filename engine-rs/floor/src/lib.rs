//! The streaming floor: what one pass over the candles costs if nothing is ever traded.
//!
//! `high`, `low` and `close` are read once, three averages are carried through the whole column, and two compares a
//! minute ask whether the candle reaches beyond the bands. The compares are counted, so that no part of it can be left
//! out. One candidate at a time ([`scalar`]) or eight in lanes ([`lanes`]), in plain Rust that the compiler vectorises.
//!
//! It is a yardstick and not a bound: the engine may skip what this loop does.

mod dispatch;

pub use dispatch::{Isa, passivbot_floor_has, passivbot_floor_lanes, passivbot_floor_scalar};

/// Candidates that [`lanes`] carries side by side.
pub const LANES: usize = 8;

/// Columns of one coin, of equal length.
#[derive(Clone, Copy, Debug)]
pub struct Candles<'a> {
    /// Highest price of each minute.
    pub high: &'a [f64],
    /// Lowest price of each minute.
    pub low: &'a [f64],
    /// Last price of each minute.
    pub close: &'a [f64],
}

/// What a candidate asks of the candles.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Bands<T> {
    /// Smoothing factors of the three averages.
    pub alpha: [T; 3],
    /// The lower band is the least of the three averages times this.
    pub below: T,
    /// The upper band is the largest of the three averages times this.
    pub above: T,
}

/// Count the minutes whose low is under the lower band, plus those whose high is over the upper band.
///
/// The bands of a minute come from the closes before it. The averages start at the first close.
#[inline(always)]
pub fn scalar(candles: Candles<'_>, bands: &Bands<f64>) -> u64 {
    let Candles { high, low, close } = candles;
    let Some(&first) = close.first() else { return 0 };
    let weight = bands.alpha.map(|alpha| 1.0 - alpha);
    let mut average = [first; 3];
    let mut beyond = 0;
    for ((&high, &low), &close) in high.iter().zip(low).zip(close) {
        let lower = least(average) * bands.below;
        let upper = largest(average) * bands.above;
        beyond += u64::from(low < lower) + u64::from(high > upper);
        for i in 0..3 {
            average[i] = bands.alpha[i] * close + weight[i] * average[i];
        }
    }
    beyond
}

/// The same of eight candidates in one pass.
#[inline(always)]
pub fn lanes(candles: Candles<'_>, bands: &Bands<[f64; LANES]>) -> [u64; LANES] {
    let Candles { high, low, close } = candles;
    let Some(&first) = close.first() else { return [0; LANES] };
    let weight = bands.alpha.map(|alpha| alpha.map(|alpha| 1.0 - alpha));
    let mut average = [[first; LANES]; 3];
    let mut beyond = [0; LANES];
    for ((&high, &low), &close) in high.iter().zip(low).zip(close) {
        for n in 0..LANES {
            let now = [average[0][n], average[1][n], average[2][n]];
            let lower = least(now) * bands.below[n];
            let upper = largest(now) * bands.above[n];
            beyond[n] += u64::from(low < lower) + u64::from(high > upper);
            for i in 0..3 {
                average[i][n] = bands.alpha[i][n] * close + weight[i][n] * average[i][n];
            }
        }
    }
    beyond
}

// One instruction each; `f64::min` would ask for NaN as well.

#[inline(always)]
fn least([a, b, c]: [f64; 3]) -> f64 {
    let least = if a < b { a } else { b };
    if least < c { least } else { c }
}

#[inline(always)]
fn largest([a, b, c]: [f64; 3]) -> f64 {
    let largest = if a > b { a } else { b };
    if largest > c { largest } else { c }
}
