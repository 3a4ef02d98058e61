//! What a strategy is to the backtest: a machine that is fed one minute, or bar, at a time.

use std::ops::{ControlFlow, Range};

/// A strategy over candles that it already holds.
///
/// [`simulate`] calls [`Strategy::step`] once for each of [`Strategy::minutes`], ascending. A step sees the candle of
/// its minute and must not look at later ones, except to learn whether an order placed in this minute fills in the
/// next. It appends the fills of its minute in the order in which they happened.
pub trait Strategy {
    /// Record of one fill.
    type Fill;
    /// What is kept of the state after each minute.
    type Sample;

    /// The minutes that are steps.
    fn minutes(&self) -> Range<usize>;

    /// Advance through one minute.
    fn step(&mut self, minute: usize, fills: &mut Vec<Self::Fill>) -> Self::Sample;
}

/// Run a strategy to its end: all fills. `keep` is called with each minute's sample and the fills so far, and may end the
/// run.
pub fn simulate<S: Strategy>(
    strategy: &mut S,
    mut keep: impl FnMut(S::Sample, &[S::Fill]) -> ControlFlow<()>,
) -> Vec<S::Fill> {
    let mut fills = Vec::new();
    for minute in strategy.minutes() {
        let sample = strategy.step(minute, &mut fills);
        if keep(sample, &fills).is_break() {
            break;
        }
    }
    fills
}
