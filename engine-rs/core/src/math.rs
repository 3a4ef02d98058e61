//! The only door to transcendental functions.
//!
//! The platform's `log`, `log10` and `pow` give different last bits with and without fused multiply-add, so a
//! result could depend on the machine. `libm` is a port in plain Rust arithmetic: the same bits everywhere.

/// Natural logarithm.
#[inline]
pub fn ln(x: f64) -> f64 {
    libm::log(x)
}

/// Decimal logarithm.
#[inline]
pub fn log10(x: f64) -> f64 {
    libm::log10(x)
}

/// `base` raised to the power `exponent`.
#[inline]
pub fn pow(base: f64, exponent: f64) -> f64 {
    libm::pow(base, exponent)
}

/// `base` raised to an integer power by repeated squaring; a negative exponent gives the reciprocal of the
/// positive power.
pub fn powi(base: f64, exponent: i32) -> f64 {
    let mut n = exponent.unsigned_abs();
    let mut square = base;
    let mut power = 1.0;
    loop {
        if n & 1 == 1 {
            power *= square;
        }
        n >>= 1;
        if n == 0 {
            break;
        }
        square *= square;
    }
    if exponent < 0 { 1.0 / power } else { power }
}
