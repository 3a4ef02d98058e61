//! Coin selection of one side (§14.2): the most volatile of the most traded coins.

use std::cmp::Ordering;

/// The order of the coins as it was last time: it changes little from one minute to the next, so that sorting it again
/// is little more than looking at it.
#[derive(Default)]
pub(super) struct Ranking {
    by_volume: Vec<usize>,
    /// Place in `by_volume`, by coin.
    place: Vec<usize>,
    best: Vec<usize>,
    /// Volume and log-range averages by coin.
    pub(super) values: Vec<(f64, f64)>,
}

impl Ranking {
    pub(super) fn new(coins: usize) -> Self {
        Self {
            by_volume: (0..coins).collect(),
            place: vec![0; coins],
            best: Vec::with_capacity(coins),
            values: vec![(0.0, 0.0); coins],
        }
    }

    /// The `surviving` coins of most volume by falling log range, given their `values`. Equal volumes are in the order
    /// of the coins, equal log ranges in the order of the volumes.
    pub(super) fn rank(&mut self, surviving: usize) -> &[usize] {
        let Self { by_volume, place, best, values } = self;
        let surviving = surviving.min(by_volume.len());
        let changed = insertion_sort(by_volume, |a, b| values[b].0.total_cmp(&values[a].0).then(a.cmp(&b)));
        if changed || best.len() != surviving {
            for (n, &i) in by_volume.iter().enumerate() {
                place[i] = n;
            }
            best.retain(|&i| place[i] < surviving);
            if best.len() != surviving {
                best.clear();
                best.extend(&by_volume[..surviving]);
            }
        }
        insertion_sort(best, |a, b| values[b].1.total_cmp(&values[a].1).then(place[a].cmp(&place[b])));
        best
    }
}

/// Sorts a list that is nearly sorted; true if it was not.
fn insertion_sort(list: &mut [usize], order: impl Fn(usize, usize) -> Ordering) -> bool {
    let mut changed = false;
    for end in 1..list.len() {
        let item = list[end];
        let mut at = end;
        while at > 0 && order(list[at - 1], item) == Ordering::Greater {
            list[at] = list[at - 1];
            at -= 1;
        }
        list[at] = item;
        changed |= at != end;
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A generator of small numbers with many ties.
    fn values(state: &mut u64, coins: usize) -> Vec<(f64, f64)> {
        let mut next = || {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (*state >> 61) as f64
        };
        (0..coins).map(|_| (next(), next())).collect()
    }

    #[test]
    fn the_ranking_is_that_of_two_stable_sorts() {
        let mut state = 7;
        for coins in 1..20 {
            let mut ranking = Ranking::new(coins);
            for turn in 0..200 {
                let surviving = 1 + turn % coins;
                ranking.values = values(&mut state, coins);
                let v = ranking.values.clone();
                let mut expected: Vec<_> = (0..coins).collect();
                expected.sort_by(|&a, &b| v[b].0.total_cmp(&v[a].0));
                expected.truncate(surviving);
                expected.sort_by(|&a, &b| v[b].1.total_cmp(&v[a].1));
                assert_eq!(ranking.rank(surviving), expected);
            }
        }
    }
}
