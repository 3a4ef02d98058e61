//! Which minutes of a span a test is true of: one bit a minute.
//!
//! `n` counts the minutes of the span. Slices that start with `next` belong to the candles that follow: element `n` is
//! what an order meets that is placed at minute `n`.

use super::averages::{BLOCK, BySide};
use crate::grid::SideIndex;
use crate::isa::dispatched;
use crate::planner::{Long, Short};
use crate::types::{higher, lower};

const LONG: usize = Long::INDEX;
const SHORT: usize = Short::INDEX;

/// Room for rounding between a bound and the exact price.
#[inline(always)]
pub(super) fn loosened_up(x: f64) -> f64 {
    x + x.abs() * 1e-9 + 1e-9
}

/// Room for rounding between a bound and the exact price.
#[inline(always)]
pub(super) fn loosened_down(x: f64) -> f64 {
    x - x.abs() * 1e-9 - 1e-9
}

/// One bit for each item of which the test is true. Tests first and gathers afterwards, so that the tests run in
/// vector registers.
#[inline(always)]
fn bits(length: usize, test: impl Fn(usize) -> bool) -> u64 {
    let mut flags = [0_u8; 64];
    for (n, flag) in flags[..length].iter_mut().enumerate() {
        *flag = u8::from(test(n));
    }
    // Eight bytes of 0 or 1 become eight bits: the product lines them up in its highest byte.
    let (bytes, _) = flags.as_chunks::<8>();
    bytes.iter().rev().fold(0, |mask, eight| {
        (mask << 8) | (u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56)
    })
}

/// Closes of a span and what the orders placed then meet.
#[derive(Clone, Copy)]
pub(super) struct Minutes<'a> {
    pub(super) close: &'a [f64],
    pub(super) next_low: &'a [f64],
    pub(super) next_high: &'a [f64],
}

impl<'a> Minutes<'a> {
    #[inline(always)]
    fn cut(self) -> (usize, &'a [f64], &'a [f64], &'a [f64]) {
        let length = self.close.len().min(BLOCK);
        (length, &self.close[..length], &self.next_low[..length], &self.next_high[..length])
    }
}

dispatched! {
    /// The next low is below the close and below a price.
    pub(super) fn falls_below(m: Minutes<'_>, price: f64) -> u64 = |m: Minutes<'_>, price: f64| {
        let (length, close, low, _) = m.cut();
        bits(length, |n| (low[n] < close[n]) & (low[n] < price))
    }
}

dispatched! {
    /// The next high is above the close and above a price.
    pub(super) fn rises_above(m: Minutes<'_>, price: f64) -> u64 = |m: Minutes<'_>, price: f64| {
        let (length, close, _, high) = m.cut();
        bits(length, |n| (high[n] > close[n]) & (high[n] > price))
    }
}

dispatched! {
    /// The value is below a price.
    pub(super) fn below(values: &[f64], price: f64) -> u64 = |values: &[f64], price: f64| {
        let values = &values[..values.len().min(BLOCK)];
        bits(values.len(), |n| values[n] < price)
    }
}

dispatched! {
    /// The value is above a price.
    pub(super) fn above(values: &[f64], price: f64) -> u64 = |values: &[f64], price: f64| {
        let values = &values[..values.len().min(BLOCK)];
        bits(values.len(), |n| values[n] > price)
    }
}

dispatched! {
    /// The next low is below the close and below the long side's lower band × `factor`.
    pub(super) fn falls_below_band(m: Minutes<'_>, lower: &BySide, factor: f64) -> u64 =
        |m: Minutes<'_>, lower: &BySide, factor: f64| {
            let (length, close, low, _) = m.cut();
            let lower = &lower[..length];
            bits(length, |n| (low[n] < close[n]) & (low[n] < loosened_up(lower[n][LONG] * factor)))
        }
}

dispatched! {
    /// The next high is above the close and above the short side's upper band × `factor`.
    pub(super) fn rises_above_band(m: Minutes<'_>, upper: &BySide, factor: f64) -> u64 =
        |m: Minutes<'_>, upper: &BySide, factor: f64| {
            let (length, close, _, high) = m.cut();
            let upper = &upper[..length];
            bits(length, |n| (high[n] > close[n]) & (high[n] > loosened_down(upper[n][SHORT] * factor)))
        }
}

dispatched! {
    /// The close is not below the long side's upper band × `factor`, and the next high is above it.
    pub(super) fn rises_from_band(m: Minutes<'_>, upper: &BySide, factor: f64) -> u64 =
        |m: Minutes<'_>, upper: &BySide, factor: f64| {
            let (length, close, _, high) = m.cut();
            let upper = &upper[..length];
            bits(length, |n| (high[n] > close[n]) & (close[n] >= loosened_down(upper[n][LONG] * factor)))
        }
}

dispatched! {
    /// The close is not above the short side's lower band × `factor`, and the next low is below it.
    pub(super) fn falls_from_band(m: Minutes<'_>, lower: &BySide, factor: f64) -> u64 =
        |m: Minutes<'_>, lower: &BySide, factor: f64| {
            let (length, close, low, _) = m.cut();
            let lower = &lower[..length];
            bits(length, |n| (low[n] < close[n]) & (close[n] <= loosened_up(lower[n][SHORT] * factor)))
        }
}

dispatched! {
    /// In each minute put a value in its place among the highest ones, which fall from row to row.
    pub(super) fn insert(highest: &mut [[f64; BLOCK]], value: &[f64; BLOCK]) =
        |highest: &mut [[f64; BLOCK]], value: &[f64; BLOCK]| {
            let mut value = *value;
            for row in highest {
                for (known, value) in row.iter_mut().zip(&mut value) {
                    let (more, less) = if *value > *known { (*value, *known) } else { (*known, *value) };
                    (*known, *value) = (more, less);
                }
            }
        }
}

dispatched! {
    /// Values of some minutes, and in the others what is above nothing.
    pub(super) fn only(values: &[f64; BLOCK], minutes: u64) -> [f64; BLOCK] = |values: &[f64; BLOCK], minutes: u64| {
        std::array::from_fn(|n| if (minutes >> n) & 1 != 0 { values[n] } else { f64::NEG_INFINITY })
    }
}

dispatched! {
    /// Minutes at which `values` are not below `others`.
    pub(super) fn reaches(values: &[f64; BLOCK], others: &[f64; BLOCK]) -> u64 =
        |values: &[f64; BLOCK], others: &[f64; BLOCK]| bits(BLOCK, |n| values[n] >= others[n])
}

dispatched! {
    /// Minutes at which `values` are above `others`.
    pub(super) fn exceeds(values: &[f64; BLOCK], others: &[f64; BLOCK]) -> u64 =
        |values: &[f64; BLOCK], others: &[f64; BLOCK]| bits(BLOCK, |n| values[n] > others[n])
}

dispatched! {
    /// Make `most` the larger of both in each minute.
    pub(super) fn raise(most: &mut [f64; BLOCK], values: &[f64; BLOCK]) = |most: &mut [f64; BLOCK], values: &[f64; BLOCK]| {
        for (most, &value) in most.iter_mut().zip(values) {
            *most = if value > *most { value } else { *most };
        }
    }
}

dispatched! {
    /// True if `values` are above `most` in each of the first `length` minutes.
    pub(super) fn is_above(values: &[f64; BLOCK], most: &[f64; BLOCK], length: usize) -> bool =
        |values: &[f64; BLOCK], most: &[f64; BLOCK], length: usize| {
            let below = |n: usize| u64::from(values[n] <= most[n]);
            (0..length.min(BLOCK)).fold(0, |some, n| some | below(n)) == 0
        }
}

dispatched! {
    /// Add to each sum `amount` × (close − price), or its opposite for a short position.
    pub(super) fn add_profit(sums: &mut [f64; BLOCK], closes: &[f64], amount: f64, price: f64, long: bool) =
        |sums: &mut [f64; BLOCK], closes: &[f64], amount: f64, price: f64, long: bool| {
            for (sum, &close) in sums.iter_mut().zip(closes) {
                *sum += amount * if long { close - price } else { price - close };
            }
        }
}

dispatched! {
    /// The least sum of a number and what two lines are at the closes of each minute: amount × (close − price).
    pub(super) fn least_of_two(sum: f64, lines: [(f64, f64); 2], closes: [&[f64]; 2]) -> f64 =
        |sum: f64, lines: [(f64, f64); 2], closes: [&[f64]; 2]| {
            let [(a, b), (c, d)] = lines;
            let at = |x: f64, y: f64| sum + a * (x - b) + c * (y - d);
            let mut least = [f64::INFINITY; 8];
            let (eights, rest) = closes[0].as_chunks::<8>();
            let (other_eights, other_rest) = closes[1].as_chunks::<8>();
            for (x, y) in eights.iter().zip(other_eights) {
                least = std::array::from_fn(|n| lower(least[n], at(x[n], y[n])));
            }
            let rest = rest.iter().zip(other_rest).map(|(x, y)| at(*x, *y));
            least.into_iter().chain(rest).fold(f64::INFINITY, lower)
        }
}

dispatched! {
    /// The lowest of some values.
    pub(super) fn lowest(values: &[f64]) -> f64 = |values: &[f64]| extreme(values, f64::INFINITY, lower)
}

dispatched! {
    /// The highest of some values.
    pub(super) fn highest(values: &[f64]) -> f64 = |values: &[f64]| extreme(values, f64::NEG_INFINITY, higher)
}

#[inline(always)]
fn extreme(values: &[f64], none: f64, further: impl Fn(f64, f64) -> f64) -> f64 {
    let mut extreme = [none; 8];
    let (eights, rest) = values.as_chunks::<8>();
    for eight in eights {
        extreme = std::array::from_fn(|n| further(extreme[n], eight[n]));
    }
    extreme.iter().chain(rest).copied().fold(none, &further)
}

dispatched! {
    /// The least of the first `length` values.
    pub(super) fn least(values: &[f64; BLOCK], length: usize) -> f64 = |values: &[f64; BLOCK], length: usize| {
        let mut least = [f64::INFINITY; 8];
        let (eights, rest) = values[..length].as_chunks::<8>();
        for eight in eights {
            least = std::array::from_fn(|n| lower(least[n], eight[n]));
        }
        least.iter().chain(rest).copied().fold(f64::INFINITY, lower)
    }
}
