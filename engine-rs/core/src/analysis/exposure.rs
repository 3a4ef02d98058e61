//! Total wallet exposure of every bar (analysis-metrics §5), kept as stretches of equal values: without collateral in
//! BTC it changes with fills only.

use super::median;
use crate::grid::Fill;

/// An exposure series.
#[derive(Clone, Debug, Default)]
pub struct Exposure {
    stretches: Vec<Stretch>,
    bars: usize,
    /// Largest finite value.
    max: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Stretch {
    value: f64,
    bars: usize,
}

/// What §5 says of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Statistics {
    pub(super) max: f64,
    pub(super) mean: f64,
    pub(super) median: f64,
}

impl Exposure {
    /// Add bars of one value.
    pub fn push(&mut self, value: f64, bars: usize) {
        self.bars += bars;
        if value.is_finite() && bars > 0 {
            self.max = Some(self.max.map_or(value, |max| max.max(value)));
        }
        match self.stretches.last_mut() {
            Some(last) if last.value.to_bits() == value.to_bits() => last.bars += bars,
            _ => self.stretches.push(Stretch { value, bars }),
        }
    }

    /// Number of bars.
    pub fn bars(&self) -> usize {
        self.bars
    }

    /// Largest finite value so far.
    pub(super) fn max(&self) -> Option<f64> {
        self.max
    }

    /// §5: of the finite values; of the fills' exposures if there is no bar. None without any.
    pub(super) fn statistics(&self, fills: &[Fill]) -> Option<Statistics> {
        if self.bars == 0 {
            let of_fills: Self = fills.iter().map(|fill| fill.total_wallet_exposure).collect();
            return (of_fills.bars > 0).then(|| of_fills.statistics(&[])).flatten();
        }
        let max = self.max?;
        let mut finite: Vec<_> = self.stretches.iter().filter(|s| s.value.is_finite()).copied().collect();
        let bars: usize = finite.iter().map(|s| s.bars).sum();
        let sum = finite.iter().fold(0.0, |sum, s| add_repeatedly(sum, s.value, s.bars));
        Some(Statistics { max, mean: sum / bars as f64, median: median_of(&mut finite, bars) })
    }
}

impl FromIterator<f64> for Exposure {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut series = Self::default();
        for value in values {
            series.push(value, 1);
        }
        series
    }
}

/// Median of so many bars. Reorders the stretches.
fn median_of(stretches: &mut [Stretch], bars: usize) -> f64 {
    // Sorting pays as long as there is little to sort.
    if stretches.len() > bars / 8 {
        let mut values: Vec<f64> =
            stretches.iter().flat_map(|s| std::iter::repeat_n(s.value, s.bars)).collect();
        return median(&mut values);
    }
    stretches.sort_unstable_by(|a, b| a.value.total_cmp(&b.value));
    let at = |wanted: usize| {
        let mut passed = 0;
        let holds = |s: &&Stretch| {
            passed += s.bars;
            passed > wanted
        };
        stretches.iter().find(holds).map_or(f64::NAN, |s| s.value)
    };
    let middle = at(bars / 2);
    if bars.is_multiple_of(2) { (at(bars / 2 - 1) + middle) / 2.0 } else { middle }
}

/// `sum` after adding `value` to it `times` times, one after the other: the same bits, without doing it.
///
/// Between two powers of two the sums lie on one grid, and adding the same value moves along it by the same step each
/// time: rounding depends on the place in one case only, a value halfway between two steps, where it goes to the even
/// one, and from there by the same step again. So the second of two additions that stay between two powers of two is
/// that step, and all further sums up to the next power are exact multiples of the grid.
fn add_repeatedly(mut sum: f64, value: f64, mut times: usize) -> f64 {
    const AT_ONCE: usize = 8;
    if value == 0.0 && times > 0 {
        return sum + value;
    }
    while times >= AT_ONCE && value > 0.0 && sum >= 0.0 {
        let before = sum;
        let first = before + value;
        sum = first + value;
        times -= 2;
        let power = f64::from_bits(first.to_bits() & !((1 << 52) - 1));
        let next_power = 2.0 * power;
        if power < f64::MIN_POSITIVE || before < power || sum >= next_power {
            continue;
        }
        let step = sum - first;
        if step == 0.0 {
            return sum;
        }
        // One less than fit, as the quotient is rounded.
        let fitting = ((next_power - sum) / step).floor() - 1.0;
        if fitting >= 1.0 {
            let count = if fitting < times as f64 { fitting as usize } else { times };
            sum += step * count as f64;
            times -= count;
        }
    }
    (0..times).fold(sum, |sum, _| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one_by_one(sum: f64, value: f64, times: usize) -> f64 {
        (0..times).fold(sum, |sum, _| sum + value)
    }

    #[test]
    fn halfway_values_go_to_the_even_step() {
        // Above 2^53 odd numbers lie halfway.
        for start in [9_007_199_254_740_992.0, 9_007_199_254_740_994.0] {
            for value in [1.0, 3.0, 5.0, 0.5] {
                assert_eq!(add_repeatedly(start, value, 1000), one_by_one(start, value, 1000), "{value}");
            }
        }
    }

    #[test]
    fn a_series_of_stretches_is_that_of_its_bars() {
        let mut series = Exposure::default();
        for (value, bars) in [(0.25, 3), (0.25, 1), (f64::NAN, 2), (0.5, 9), (-0.0, 1), (0.0, 2)] {
            series.push(value, bars);
        }
        assert_eq!(series.bars(), 18);
        let found = series.statistics(&[]).unwrap();
        assert_eq!(found, Statistics { max: 0.5, mean: 5.5 / 16.0, median: 0.5 });
    }

    proptest! {
        #[test]
        fn repeated_addition_has_the_bits_of_the_loop(
            exponent in -60i32..60,
            mantissa in 1.0f64..2.0,
            start in prop_oneof![Just(0.0), 0.0f64..1e6],
            times in 0usize..5000,
            short in any::<bool>(),
        ) {
            // Values with few bits meet the halfway case.
            let mantissa = if short { (mantissa * 16.0).floor() / 16.0 } else { mantissa };
            let value = mantissa * 2f64.powi(exponent);
            prop_assert_eq!(
                add_repeatedly(start, value, times).to_bits(),
                one_by_one(start, value, times).to_bits()
            );
            for value in [-value, 0.0, -0.0] {
                prop_assert_eq!(
                    add_repeatedly(start, value, times).to_bits(),
                    one_by_one(start, value, times).to_bits()
                );
            }
        }

        #[test]
        fn statistics_are_those_of_the_values(
            stretches in prop::collection::vec((prop_oneof![0.0f64..3.0, Just(1.0), Just(f64::INFINITY)], 1usize..40), 1..30),
        ) {
            let mut series = Exposure::default();
            for &(value, bars) in &stretches {
                series.push(value, bars);
            }
            let mut values: Vec<f64> = stretches
                .iter()
                .flat_map(|&(value, bars)| std::iter::repeat_n(value, bars))
                .filter(|value| value.is_finite())
                .collect();
            let expected = (!values.is_empty()).then(|| Statistics {
                max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                mean: values.iter().fold(0.0, |sum, v| sum + v) / values.len() as f64,
                median: median(&mut values),
            });
            prop_assert_eq!(series.statistics(&[]), expected);
        }
    }
}
