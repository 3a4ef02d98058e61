//! The length of a bar. The specification speaks of minutes; this is all that another length changes.

use crate::error::{EngineError, Result};

/// Milliseconds of a minute.
pub const MINUTE_MS: i64 = 60_000;
const HOUR_MINUTES: usize = 60;
const DAY_MINUTES: usize = 1440;

/// Minutes of a bar: a divisor of 60, so that clock hours and days are whole numbers of bars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval(usize);

impl Interval {
    /// One minute: the interval of the specification.
    pub const MINUTE: Self = Self(1);

    /// Bars of that many minutes.
    ///
    /// # Errors
    /// A number that does not divide 60.
    pub fn of_minutes(minutes: usize) -> Result<Self> {
        if minutes == 0 || !HOUR_MINUTES.is_multiple_of(minutes) {
            return Err(EngineError::Candles(format!(
                "bars of {minutes} minutes; allowed are {}",
                Self::allowed()
            )));
        }
        Ok(Self(minutes))
    }

    /// The allowed numbers of minutes, as a message lists them.
    pub fn allowed() -> String {
        let divisors: Vec<_> = (1..=HOUR_MINUTES).filter(|n| HOUR_MINUTES.is_multiple_of(*n)).collect();
        let (last, others) = divisors.split_last().unwrap_or((&1, &[]));
        let others: Vec<_> = others.iter().map(usize::to_string).collect();
        format!("{} or {last}", others.join(", "))
    }

    /// Minutes of a bar.
    pub fn minutes(self) -> usize {
        self.0
    }

    /// Milliseconds of a bar.
    pub fn ms(self) -> i64 {
        self.0 as i64 * MINUTE_MS
    }

    /// Bars that cover that many minutes: rounded up.
    pub fn bars(self, minutes: usize) -> usize {
        minutes.div_ceil(self.0)
    }

    /// Bars of a day.
    pub fn day(self) -> usize {
        DAY_MINUTES / self.0
    }

    /// A span in minutes as a number of bars, not rounded (trading-semantics §6.1).
    pub fn span(self, minutes: f64) -> f64 {
        minutes / self.0 as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_divisors_of_an_hour() {
        let allowed: Vec<_> = (0..=120).filter(|&n| Interval::of_minutes(n).is_ok()).collect();
        assert_eq!(allowed, [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60]);
        let refused = Interval::of_minutes(7).unwrap_err();
        let expected = "bars of 7 minutes; allowed are 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30 or 60";
        assert_eq!(refused.to_string(), expected);
    }

    #[test]
    fn minutes_become_bars() {
        let quarter = Interval::of_minutes(15).unwrap();
        assert_eq!([0, 1, 15, 16].map(|minutes| quarter.bars(minutes)), [0, 1, 1, 2]);
        assert_eq!((quarter.day(), quarter.ms()), (96, 900_000));
        assert_eq!(quarter.span(10.0), 10.0 / 15.0);
        assert_eq!(Interval::MINUTE.span(0.1), 0.1);
    }
}
