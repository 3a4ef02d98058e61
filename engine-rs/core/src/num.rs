//! Rounding, cost and profit: the basic functions of trading-semantics §4.
//!
//! Every formula is evaluated exactly as written there, left to right and without fused multiply-add, because
//! results are compared bit for bit.

use crate::math;

/// From here on every double is a whole number.
const WHOLE: f64 = (1_u64 << 52) as f64;

/// Nearest whole number, halves to even; for `|x| < WHOLE`. Without SSE4.1 the library's rounding is a call, and
/// this is two additions: the sum has no room for a fraction.
#[inline(always)]
fn nearest_even(x: f64) -> f64 {
    let shift = WHOLE.copysign(x);
    (x + shift) - shift
}

/// Nearest integer, halves away from zero.
#[inline(always)]
pub fn nint(x: f64) -> f64 {
    let size = x.abs();
    let near = nearest_even(size);
    // A half that went to the even number below.
    let away = if size - near == 0.5 { near + 1.0 } else { near };
    if size < WHOLE { away.copysign(x) } else { x }
}

/// Largest integer that is not above `x`.
#[inline(always)]
pub fn floor(x: f64) -> f64 {
    let near = nearest_even(x);
    let below = if near > x { near - 1.0 } else { near };
    if x.abs() < WHOLE { below.copysign(x) } else { x }
}

/// Smallest integer that is not below `x`.
#[inline(always)]
pub fn ceil(x: f64) -> f64 {
    let near = nearest_even(x);
    let above = if near < x { near + 1.0 } else { near };
    if x.abs() < WHOLE { above.copysign(x) } else { x }
}

/// Decimal clean-up: `x` rounded to ten decimals.
#[inline]
pub fn dec10(x: f64) -> f64 {
    nint(x * 1e10) / 1e10
}

/// Steps 10⁻ᵈ for d from 0 to 10, each with 10ᵈ, in the place that its exponent tells: no two have the same.
const DECIMAL_STEPS: [(f64, f64); 35] = {
    let steps = [1e0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10];
    let mut table = [(f64::NAN, f64::NAN); 35];
    let (mut d, mut scale) = (0, 1.0);
    while d < steps.len() {
        table[halvings(steps[d])] = (steps[d], scale);
        (d, scale) = (d + 1, scale * 10.0);
    }
    table
};

/// How far the exponent of a positive `x` is below that of 1.
#[inline(always)]
const fn halvings(x: f64) -> usize {
    (1.0_f64.to_bits() >> 52).wrapping_sub(x.to_bits() >> 52) as usize
}

/// `dec10(whole(n / step) * step)`, for a decimal step in a third of the time. `quick` is `whole` of a number, with how
/// far that is from the nearest point where `whole` jumps.
///
/// If the step is the double nearest to 10⁻ᵈ, then n × 10ᵈ and n / step differ by less than 4 × 2⁻⁵³ of themselves: where
/// no jump is within twice that, both have the same whole number k. And k × step × 1e10, three roundings off k × 10¹⁰⁻ᵈ,
/// is less than a half off while that is below 2⁵³ / 6: the clean-up makes it exact, and what it divides by 1e10 then
/// is, rounded once, k / 10ᵈ.
#[inline(always)]
fn to_step(n: f64, step: f64, whole: fn(f64) -> f64, quick: impl Fn(f64) -> (f64, f64)) -> f64 {
    if let Some(&(decimal, scale)) = DECIMAL_STEPS.get(halvings(step))
        && decimal == step
    {
        let scaled = n * scale;
        let (k, room) = quick(scaled);
        if scaled.abs() < scale * 1.5e5 && room > scaled.abs() * (4.0 * f64::EPSILON) {
            return k.copysign(n) / scale;
        }
    }
    to_any_step(n, step, whole)
}

#[inline(never)]
fn to_any_step(n: f64, step: f64, whole: fn(f64) -> f64) -> f64 {
    dec10(whole(n / step) * step)
}

/// `n` rounded to the nearest multiple of `step`.
#[inline]
pub fn round_near(n: f64, step: f64) -> f64 {
    to_step(n, step, nint, |x| {
        let near = nearest_even(x);
        (near, 0.5 - (x - near).abs())
    })
}

/// `n` rounded up to a multiple of `step`.
#[inline]
pub fn round_up(n: f64, step: f64) -> f64 {
    to_step(n, step, ceil, |x| {
        let near = nearest_even(x);
        (if near < x { near + 1.0 } else { near }, (x - near).abs())
    })
}

/// `n` rounded down to a multiple of `step`.
#[inline]
pub fn round_down(n: f64, step: f64) -> f64 {
    to_step(n, step, floor, |x| {
        let near = nearest_even(x);
        (if near > x { near - 1.0 } else { near }, (x - near).abs())
    })
}

/// `n` rounded to `digits` significant digits (and, by the clean-up, to ten decimals).
///
/// A value that is not finite is returned as it is.
pub fn round_sig(n: f64, digits: i32) -> f64 {
    if n == 0.0 {
        return 0.0;
    }
    if !n.is_finite() {
        return n;
    }
    let exponent = digits - math::log10(n.abs()).floor() as i32 - 1;
    let scale = math::powi(10.0, exponent);
    // Too small for a scale: the clean-up would leave nothing.
    if scale.is_infinite() { 0.0 } else { dec10(nint(n * scale) / scale) }
}

/// Two-point interpolation through `(x0, y0)` and `(x1, y1)`, without clamping.
#[inline]
pub fn lin(x: f64, x0: f64, x1: f64, y0: f64, y1: f64) -> f64 {
    (0.0 + y0 * ((x - x1) / (x0 - x1))) + y1 * ((x - x0) / (x1 - x0))
}

/// Quantity that `cost` buys at `price`; 0 for a price that is not positive.
#[inline]
pub fn cost_to_qty(cost: f64, price: f64, c_mult: f64) -> f64 {
    if price > 0.0 {
        let qty = cost.abs() / price;
        // Dividing by 1 changes nothing and takes as long as any division.
        if c_mult == 1.0 { qty } else { qty / c_mult }
    } else {
        0.0
    }
}

/// Cost of `qty` at `price`.
#[inline]
pub fn qty_to_cost(qty: f64, price: f64, c_mult: f64) -> f64 {
    (qty.abs() * price) * c_mult
}

/// Wallet exposure: cost of the position as a multiple of the balance; 0 without position or balance.
#[inline]
pub fn exposure(balance: f64, size: f64, price: f64, c_mult: f64) -> f64 {
    if balance <= 0.0 || size == 0.0 { 0.0 } else { qty_to_cost(size, price, c_mult) / balance }
}

/// Position after a fill: size and price of `(size, pprice)` merged with `(qty, price)`.
///
/// The first entry keeps its quantity unrounded.
#[inline]
pub fn combine(size: f64, pprice: f64, qty: f64, price: f64, qty_step: f64) -> (f64, f64) {
    if qty == 0.0 {
        return (size, pprice);
    }
    if size == 0.0 {
        return (qty, price);
    }
    let n = round_near(size + qty, qty_step);
    if n == 0.0 {
        return (0.0, 0.0);
    }
    let pprice = if pprice.is_nan() { 0.0 } else { pprice };
    (n, pprice * (size / n) + price * (qty / n))
}

/// Profit of closing `qty` of a long position.
#[inline]
pub fn pnl_long(entry_price: f64, close_price: f64, qty: f64, c_mult: f64) -> f64 {
    qty.abs() * c_mult * (close_price - entry_price)
}

/// Profit of closing `qty` of a short position.
#[inline]
pub fn pnl_short(entry_price: f64, close_price: f64, qty: f64, c_mult: f64) -> f64 {
    qty.abs() * c_mult * (entry_price - close_price)
}

/// Significant digits of the balance that orders see.
pub const STICKY_DIGITS: i32 = 6;

/// How far the balance may leave the value that orders see before that follows.
#[inline]
pub fn sticky_threshold(last: f64) -> f64 {
    last * 0.02 * 0.5
}

/// Sticky balance rounding: orders see a balance that moves in steps of 2 %.
#[inline]
pub fn sticky(balance: f64, last: f64) -> f64 {
    let step = last * 0.02;
    let threshold = sticky_threshold(last);
    let rounded = if balance > last + threshold {
        last + step
    } else if balance < last - threshold {
        last - step
    } else {
        last
    };
    round_sig(rounded, STICKY_DIGITS)
}

/// Loss that unstucking may still realise: `pct` below the peak balance that the realised profits imply.
#[inline]
pub fn unstuck_allowance(balance: f64, pct: f64, peak_pnl: f64, current_pnl: f64) -> f64 {
    let peak = balance + (peak_pnl - current_pnl);
    let drop = balance / peak - 1.0;
    (peak * (pct + drop)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The library's rounding is what the specification means.
    #[test]
    fn whole_numbers_are_those_of_the_library() {
        let below_half = f64::from_bits(0.5_f64.to_bits() - 1);
        let mut values =
            vec![0.0, below_half, 0.5, 1.0, 1.5, 2.5, 1e-300, f64::MIN_POSITIVE, 1e15 + 0.5, f64::NAN];
        values.extend([
            WHOLE - 0.5,
            WHOLE - 1.0,
            WHOLE,
            WHOLE + 1.0,
            2.0 * WHOLE,
            1e300,
            f64::MAX,
            f64::INFINITY,
        ]);
        let mut state = 1_u64;
        for n in 0..2_000_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let scale = 10_f64.powi(n % 20 - 3);
            let x = (state >> 11) as f64 / (1_u64 << 53) as f64 * scale;
            values.extend([x, (x * 2.0).round() / 2.0]);
        }
        for x in values.into_iter().flat_map(|x| [x, -x]) {
            for (ours, library) in [(nint(x), x.round()), (floor(x), x.floor()), (ceil(x), x.ceil())] {
                assert!(
                    ours.to_bits() == library.to_bits() || ours.is_nan() && library.is_nan(),
                    "{x:e}: {ours:e}"
                );
            }
        }
    }

    /// The short way to a decimal step ends where the formula does, whatever the number and the step.
    #[test]
    fn steps_are_rounded_to_as_the_formula_says() {
        let mut decimal: Vec<f64> = (0..=10).map(|d| format!("1e-{d}").parse().unwrap()).collect();
        assert!(decimal.iter().all(|step| DECIMAL_STEPS[halvings(*step)].0 == *step));
        decimal.extend([0.5, 0.25, 0.05, 10.0, 100.0, 1e-11, 3e-4, 1.0 / 3.0]);
        let mut steps: Vec<f64> = decimal.iter().flat_map(|s| [*s, s.next_up(), s.next_down(), -s]).collect();
        steps.extend([0.0, 5e-324, f64::MIN_POSITIVE, f64::MAX, f64::INFINITY, f64::NAN]);
        let check = |n: f64, step: f64| {
            for n in [n, -n] {
                for (ours, whole) in [
                    (round_near(n, step), nint as fn(f64) -> f64),
                    (round_up(n, step), ceil),
                    (round_down(n, step), floor),
                ] {
                    let formula = dec10(whole(n / step) * step);
                    assert!(
                        ours.to_bits() == formula.to_bits() || ours.is_nan() && formula.is_nan(),
                        "{n:e} to {step:e}: {ours:e} instead of {formula:e}"
                    );
                }
            }
        };
        let mut state = 1_u64;
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        for step in steps {
            for n in [0.0, 5e-324, 1e-310, f64::MIN_POSITIVE, 1.5e5, WHOLE, f64::MAX, f64::INFINITY, f64::NAN]
            {
                check(n, step);
            }
            for round in 0..500 {
                // Numbers of all sizes, those around multiples and halves of the step, and around the greatest ones.
                let size = 10_f64.powi(round % 24 - 12);
                let n = random() * size;
                check(n, step);
                let half = (random() * size / step * 2.0).round() / 2.0;
                let greatest = 1.5e5 + (random() * 20.0 - 10.0).round() * step / 2.0;
                for n in [half * step, half * 10.0 * (step / 10.0), half / (1.0 / step), greatest] {
                    let mut around = n.next_down().next_down().next_down();
                    for _ in 0..7 {
                        check(around, step);
                        around = around.next_up();
                    }
                }
            }
        }
    }

    /// The check values of the appendix of trading-semantics.
    #[test]
    fn step_rounding_matches_the_appendix() {
        let rows = [
            (0.15, 0.1, 0.1, 0.2, 0.1),
            (0.25, 0.1, 0.3, 0.3, 0.2),
            (2.5, 1.0, 3.0, 3.0, 2.0),
            (-2.5, 1.0, -3.0, -2.0, -3.0),
            (100.005, 0.01, 100.01, 100.01, 100.0),
            (1234.5678, 0.001, 1234.568, 1234.568, 1234.567),
        ];
        for (n, step, near, up, down) in rows {
            assert_eq!(round_near(n, step), near, "round_near({n}, {step})");
            assert_eq!(round_up(n, step), up, "round_up({n}, {step})");
            assert_eq!(round_down(n, step), down, "round_down({n}, {step})");
        }
    }

    #[test]
    fn significant_digits_match_the_appendix() {
        let rows = [
            (123456.5, 3, 123000.0),
            (0.00012345678, 4, 0.0001235),
            (-98765.4321, 6, -98765.4),
            (0.1, 2, 0.1),
            (1e-12, 3, 0.0),
            (1e-308, 4, 0.0),
            (5e-324, 4, 0.0),
        ];
        for (n, digits, expected) in rows {
            assert_eq!(round_sig(n, digits), expected, "round_sig({n}, {digits})");
        }
    }

    #[test]
    fn sticky_rounding_matches_the_appendix() {
        let rows = [
            (100500.0, 100000.0, 100000.0),
            (101000.0, 100000.0, 100000.0),
            (101000.1, 100000.0, 102000.0),
            (98999.9, 100000.0, 98000.0),
            (100000.0, 123456.789, 120988.0),
        ];
        for (balance, last, expected) in rows {
            assert_eq!(sticky(balance, last), expected, "sticky({balance}, {last})");
        }
    }

    #[test]
    fn allowance_matches_the_appendix() {
        assert_eq!(unstuck_allowance(10000.0, 0.03, 500.0, 500.0), 300.0);
        assert_eq!(unstuck_allowance(9800.0, 0.03, 500.0, 300.0), 99.99999999999982);
        assert_eq!(unstuck_allowance(9600.0, 0.03, 500.0, 100.0), 0.0);
    }
}
