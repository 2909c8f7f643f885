use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// How many deliveries are between two attempts. They hold no permit meanwhile, so that others can
/// go: whoever bounds what is in flight does not count them. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Pauses(Arc<State>);

#[derive(Debug, Default)]
struct State {
    count: AtomicUsize,
    began: Notify,
}

/// A pause, which ends when it is dropped.
#[derive(Debug)]
pub(super) struct Pause<'a>(&'a State);

impl Pauses {
    /// Deliveries that pause now.
    pub fn count(&self) -> usize {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Waits until a pause has begun since this was last waited for. One waiter at a time.
    pub async fn began(&self) {
        self.0.began.notified().await;
    }

    pub(super) fn begin(&self) -> Pause<'_> {
        self.0.count.fetch_add(1, Ordering::Relaxed);
        self.0.began.notify_one();
        Pause(&self.0)
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}
