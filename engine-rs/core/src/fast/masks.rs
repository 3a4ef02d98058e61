//! Which minutes of a span a test is true of: one bit a minute.
//!
//! `n` counts the minutes of the span. Slices that start with `next` belong to the candles that follow: element `n` is
//! what an order meets that is placed at minute `n`.

use super::averages::{BLOCK, BySide, WINDOW};
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

/// One bit for each of the first items of which the test is true, given a window's worth of them.
#[inline(always)]
fn bits_of(length: usize, test: impl Fn(usize) -> bool) -> u64 {
    bits(WINDOW, test) & (u64::MAX >> (WINDOW - length.clamp(1, WINDOW)))
}

/// The same of values, if there are as many.
#[inline(always)]
fn bits_among(values: &[f64], length: usize, test: impl Fn(f64) -> bool) -> u64 {
    if let Some(window) = values.first_chunk::<WINDOW>() {
        return bits_of(length, |n| test(window[n]));
    }
    let values = &values[..length.min(BLOCK)];
    bits(values.len(), |n| test(values[n]))
}

/// Closes of a span and what the orders placed then meet, with as much of what follows as there is.
#[derive(Clone, Copy)]
pub(super) struct Minutes<'a> {
    /// Minutes of the span.
    pub(super) length: usize,
    pub(super) close: &'a [f64],
    pub(super) next_low: &'a [f64],
    pub(super) next_high: &'a [f64],
}

impl Minutes<'_> {
    /// Minutes of which a test is true, given their number, the close, and the next low or high.
    #[inline(always)]
    fn bits(&self, by_low: bool, test: impl Fn(usize, f64, f64) -> bool) -> u64 {
        let (length, next) = (self.length.min(BLOCK), if by_low { self.next_low } else { self.next_high });
        if let (Some(close), Some(next)) = (self.close.first_chunk::<WINDOW>(), next.first_chunk::<WINDOW>())
        {
            return bits_of(length, |n| test(n, close[n], next[n]));
        }
        let (close, next) = (&self.close[..length], &next[..length]);
        bits(length, |n| test(n, close[n], next[n]))
    }
}

dispatched! {
    /// The next low is below the close and below a price.
    pub(super) fn falls_below(m: Minutes<'_>, price: f64) -> u64 = |m: Minutes<'_>, price: f64| {
        m.bits(true, |_, close, low| (low < close) & (low < price))
    }
}

dispatched! {
    /// The next high is above the close and above a price.
    pub(super) fn rises_above(m: Minutes<'_>, price: f64) -> u64 = |m: Minutes<'_>, price: f64| {
        m.bits(false, |_, close, high| (high > close) & (high > price))
    }
}

dispatched! {
    /// The value is below a price, of the first `length` values.
    pub(super) fn below(values: &[f64], length: usize, price: f64) -> u64 =
        |values: &[f64], length: usize, price: f64| bits_among(values, length, |value| value < price)
}

dispatched! {
    /// The value is above a price, of the first `length` values.
    pub(super) fn above(values: &[f64], length: usize, price: f64) -> u64 =
        |values: &[f64], length: usize, price: f64| bits_among(values, length, |value| value > price)
}

dispatched! {
    /// The next low is below the close and below the long side's lower band × `factor`.
    pub(super) fn falls_below_band(m: Minutes<'_>, lower: &BySide, factor: f64) -> u64 =
        |m: Minutes<'_>, lower: &BySide, factor: f64| {
            m.bits(true, |n, close, low| (low < close) & (low < loosened_up(lower[n][LONG] * factor)))
        }
}

dispatched! {
    /// The next high is above the close and above the short side's upper band × `factor`.
    pub(super) fn rises_above_band(m: Minutes<'_>, upper: &BySide, factor: f64) -> u64 =
        |m: Minutes<'_>, upper: &BySide, factor: f64| {
            m.bits(false, |n, close, high| (high > close) & (high > loosened_down(upper[n][SHORT] * factor)))
        }
}

dispatched! {
    /// The close is not below the long side's upper band × `factor`, and the next high is above it.
    pub(super) fn rises_from_band(m: Minutes<'_>, upper: &BySide, factor: f64) -> u64 =
        |m: Minutes<'_>, upper: &BySide, factor: f64| {
            m.bits(false, |n, close, high| (high > close) & (close >= loosened_down(upper[n][LONG] * factor)))
        }
}

dispatched! {
    /// The close is not above the short side's lower band × `factor`, and the next low is below it.
    pub(super) fn falls_from_band(m: Minutes<'_>, lower: &BySide, factor: f64) -> u64 =
        |m: Minutes<'_>, lower: &BySide, factor: f64| {
            m.bits(true, |n, close, low| (low < close) & (close <= loosened_up(lower[n][SHORT] * factor)))
        }
}

/// In each column put a value in its place among the highest ones, which fall from row to row; the least falls out.
#[inline(always)]
pub(super) fn insert_among<const N: usize>(highest: &mut [[f64; N]], mut value: [f64; N]) {
    for row in highest {
        for (known, value) in row.iter_mut().zip(&mut value) {
            let (more, less) = if *value > *known { (*value, *known) } else { (*known, *value) };
            (*known, *value) = (more, less);
        }
    }
}

dispatched! {
    /// The same of values of each minute.
    pub(super) fn insert(highest: &mut [[f64; BLOCK]], value: &[f64; BLOCK]) =
        |highest: &mut [[f64; BLOCK]], value: &[f64; BLOCK]| insert_among(highest, *value)
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
            for (least, (x, y)) in least.iter_mut().zip(rest.iter().zip(other_rest)) {
                *least = lower(*least, at(*x, *y));
            }
            furthest(least, lower)
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
    let Some(mut extreme) = values.last_chunk::<8>().copied() else {
        return values.iter().copied().fold(none, &further);
    };
    for eight in values.as_chunks::<8>().0 {
        extreme = std::array::from_fn(|n| further(extreme[n], eight[n]));
    }
    furthest(extreme, further)
}

/// The furthest of the lanes, by halves.
#[inline(always)]
fn furthest([a, b, c, d, e, f, g, h]: [f64; 8], further: impl Fn(f64, f64) -> f64) -> f64 {
    let [a, b, c, d] = [further(a, e), further(b, f), further(c, g), further(d, h)];
    further(further(a, c), further(b, d))
}

dispatched! {
    /// The least of the first `length` values.
    pub(super) fn least(values: &[f64; BLOCK], length: usize) -> f64 = |values: &[f64; BLOCK], length: usize| {
        extreme(&values[..length], f64::INFINITY, lower)
    }
}
