use std::sync::atomic::{AtomicU32, Ordering};

/// What one repetition costs; a delivery that succeeds pays in 1.
const COST: u32 = 5;
/// Repetitions that are in store at the start, and at most.
const RESERVE: u32 = 50;

/// How many repetitions all deliveries of a sink may still have: one for every five deliveries that
/// succeeded, and a reserve of 50.
///
/// So repetitions add no more than a fifth to the load of an endpoint that is in trouble, while a
/// short break in an otherwise good time is bridged for everything in flight.
#[derive(Debug)]
pub struct Budget(AtomicU32);

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicU32::new(RESERVE * COST))
    }
}

impl Budget {
    /// Pays in for a delivery that succeeded.
    pub fn deposit(&self) {
        let paid_in = |balance| (balance < RESERVE * COST).then_some(balance + 1);
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, paid_in);
    }

    /// Pays for one repetition, or says that there is not enough.
    pub fn withdraw(&self) -> bool {
        let paid = |balance: u32| balance.checked_sub(COST);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, paid).is_ok()
    }
}
