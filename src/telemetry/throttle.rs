use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How often a message of one kind is let through.
const PERIOD: Duration = Duration::from_secs(10);

/// Lets one message of each kind through in ten seconds, so that a peer that goes on and on being
/// wrong does not fill the log.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<HashMap<&'static str, Kind>>);

#[derive(Debug)]
struct Kind {
    passed: Instant,
    held_back: u64,
}

impl Throttle {
    /// Whether a message of this kind may be written now, and if so how many were not since the
    /// last one.
    pub fn pass(&self, kind: &'static str) -> Option<u64> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match kinds.get_mut(kind) {
            Some(known) if now < known.passed + PERIOD => {
                known.held_back += 1;
                None
            }
            Some(known) => {
                known.passed = now;
                Some(std::mem::take(&mut known.held_back))
            }
            None => {
                kinds.insert(kind, Kind { passed: now, held_back: 0 });
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_kind_is_told_once_in_a_while_with_how_often_it_was_not() {
        let throttle = Throttle::default();
        assert_eq!(throttle.pass("a"), Some(0));
        assert_eq!(
            [throttle.pass("a"), throttle.pass("b"), throttle.pass("a")],
            [None, Some(0), None]
        );
        tokio::time::advance(PERIOD).await;
        assert_eq!([throttle.pass("a"), throttle.pass("a")], [Some(2), None]);
    }
}
