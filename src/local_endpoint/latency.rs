use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::report::Quantiles;

/// Buckets for each power of two: what is read back is at most 1/32 too low.
const PRECISION: u32 = 5;
/// Enough for every number of 64 bits.
const BUCKETS: usize = 60 << PRECISION;

/// A histogram of times in microseconds.
#[derive(Debug)]
pub(super) struct Latency {
    buckets: Box<[AtomicU64]>,
    max: AtomicU64,
}

impl Default for Latency {
    fn default() -> Self {
        let buckets = (0..BUCKETS).map(|_| AtomicU64::default()).collect();
        Self { buckets, max: AtomicU64::default() }
    }
}

impl Latency {
    pub(super) fn observe(&self, micros: u64) {
        self.buckets[bucket(micros)].fetch_add(1, Relaxed);
        self.max.fetch_max(micros, Relaxed);
    }

    pub(super) fn quantiles(&self) -> Quantiles {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let quantile = |percent: u64| {
            let rank = (total * percent).div_ceil(100);
            let mut seen = 0;
            let reached = counts.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            reached.filter(|_| total > 0).map_or(0, lowest)
        };
        let max = self.max.load(Relaxed);
        Quantiles { p50: millis(quantile(50)), p99: millis(quantile(99)), max: millis(max) }
    }
}

fn bucket(micros: u64) -> usize {
    let shift = (micros | 1).ilog2().saturating_sub(PRECISION);
    let within = usize::try_from(micros >> shift).expect("at most 6 bits are left");
    ((shift as usize) << PRECISION) + within
}

/// The lowest number in a bucket.
fn lowest(bucket: usize) -> u64 {
    let shift = (bucket >> PRECISION).saturating_sub(1);
    ((bucket - (shift << PRECISION)) as u64) << shift
}

#[expect(clippy::cast_precision_loss, reason = "a time of 285 years is not measured")]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_back_is_at_most_a_thirty_second_too_low() {
        let numbers = (0..64).map(|bits| 1u64 << bits).flat_map(|n| [n - 1, n, n | (n >> 1)]);
        for micros in numbers.chain([u64::MAX]) {
            let low = lowest(bucket(micros));
            assert!(low <= micros && micros - low <= micros / 32, "{micros}: {low}");
        }
    }

    #[test]
    fn quantiles_are_of_what_was_observed() {
        let latency = Latency::default();
        assert_eq!(latency.quantiles(), Quantiles::default());
        (1..=98).for_each(|_| latency.observe(2000));
        latency.observe(4000);
        latency.observe(9000);
        let Quantiles { p50, p99, max } = latency.quantiles();
        assert!((1.93..=2.0).contains(&p50) && (3.87..=4.0).contains(&p99), "{p50} {p99}");
        assert!((max - 9.0).abs() < 1e-9);
    }
}
