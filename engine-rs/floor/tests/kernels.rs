//! The kernels count what their description says: on every instruction set, alone and in lanes.

use passivbot_floor::{
    Bands, Isa, LANES, passivbot_floor_has, passivbot_floor_lanes, passivbot_floor_scalar,
};

/// Columns of a price that swings by a few percent.
fn candles(minutes: usize) -> [Vec<f64>; 3] {
    let close: Vec<f64> = (0..minutes).map(|k| 100.0 + ((k * 37) % 101) as f64 * 0.05).collect();
    let high = close.iter().enumerate().map(|(k, x)| x * (1.0 + (k % 7) as f64 * 0.003)).collect();
    let low = close.iter().enumerate().map(|(k, x)| x * (1.0 - (k % 5) as f64 * 0.004)).collect();
    [high, low, close]
}

/// Bands of eight candidates.
fn bands() -> Bands<[f64; LANES]> {
    let alpha = |i: usize| std::array::from_fn(|n| 2.0 / (10.0 * (i + 1) as f64 + 5.0 * n as f64 + 1.0));
    Bands {
        alpha: std::array::from_fn(alpha),
        below: std::array::from_fn(|n| 1.0 - 0.002 * n as f64),
        above: std::array::from_fn(|n| 1.0 + 0.003 * n as f64),
    }
}

/// The description, one candidate, as slowly as one likes.
fn described([high, low, close]: &[Vec<f64>; 3], bands: &Bands<[f64; LANES]>, n: usize) -> u64 {
    let mut averages = bands.alpha.map(|_| close[0]);
    let mut beyond = 0;
    for k in 0..close.len() {
        let least = averages.iter().copied().reduce(f64::min).unwrap();
        let most = averages.iter().copied().reduce(f64::max).unwrap();
        beyond += u64::from(low[k] < least * bands.below[n]) + u64::from(high[k] > most * bands.above[n]);
        for (average, alpha) in averages.iter_mut().zip(bands.alpha) {
            *average = alpha[n] * close[k] + (1.0 - alpha[n]) * *average;
        }
    }
    beyond
}

#[test]
fn every_kernel_counts_what_is_described() {
    let columns = candles(if cfg!(miri) { 150 } else { 500 });
    let [high, low, close] = &columns;
    let bands = bands();
    let wanted: [u64; LANES] = std::array::from_fn(|n| described(&columns, &bands, n));
    assert!(wanted.iter().all(|&count| count > 10) && wanted[0] > wanted[7]);
    for isa in Isa::available() {
        let mut counts = [0; LANES];
        // SAFETY: three columns of one length, borrowed until the end of the test; `counts` is ours.
        let ran = unsafe {
            passivbot_floor_lanes(
                high.as_ptr(),
                low.as_ptr(),
                close.as_ptr(),
                close.len(),
                &raw const bands,
                &raw mut counts,
                isa as u32,
            )
        };
        assert!(ran);
        assert_eq!(counts, wanted, "{isa:?}");
        for (n, &count) in wanted.iter().enumerate() {
            let one = Bands {
                alpha: bands.alpha.map(|lanes| lanes[n]),
                below: bands.below[n],
                above: bands.above[n],
            };
            // SAFETY: as above.
            let alone = unsafe {
                passivbot_floor_scalar(
                    high.as_ptr(),
                    low.as_ptr(),
                    close.as_ptr(),
                    close.len(),
                    &raw const one,
                    isa as u32,
                )
            };
            assert_eq!(alone, count, "{isa:?}");
        }
    }
}

#[test]
fn an_unknown_instruction_set_is_refused() {
    assert!(passivbot_floor_has(Isa::Baseline as u32));
    assert!(!passivbot_floor_has(3));
    let none: [f64; 0] = [];
    let bands = bands();
    let mut counts = [7; LANES];
    let start = none.as_ptr();
    // SAFETY: empty columns; `counts` is ours.
    let ran = unsafe { passivbot_floor_lanes(start, start, start, 0, &raw const bands, &raw mut counts, 3) };
    assert!(!ran);
    assert_eq!(counts, [7; LANES]);
}
