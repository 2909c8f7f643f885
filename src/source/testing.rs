//! An intake that tests look into.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use tokio::sync::{Semaphore, mpsc};

use super::Feed;
use crate::{
    clock::Clock,
    record::{Ack, Batch, Intake, Unavailable},
    telemetry::Metrics,
};

/// Hands every batch to the test and answers it as told, else with an acknowledgement in which
/// every record changed something.
#[derive(Clone)]
pub(super) struct Taken {
    batches: mpsc::UnboundedSender<Batch>,
    answers: Arc<Mutex<VecDeque<Result<Ack, Unavailable>>>>,
    /// How many batches may be answered.
    pub(super) commits: Arc<Semaphore>,
}

impl Taken {
    /// An intake and what arrives at it.
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Batch>) {
        let (batches, arrived) = mpsc::unbounded_channel();
        let commits = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        (Self { batches, answers: Arc::default(), commits }, arrived)
    }

    pub(super) fn answer(&self, answer: Result<Ack, Unavailable>) {
        self.answers.lock().unwrap().push_back(answer);
    }

    pub(super) fn feed(&self) -> Feed<Self> {
        Feed {
            name: "in".into(),
            intake: self.clone(),
            clock: Clock::anchored(1),
            metrics: Metrics::default().component("in", "source", "test"),
        }
    }
}

impl Intake for Taken {
    async fn take(&self, batch: Batch) -> Result<Ack, Unavailable> {
        let received = batch.records.len() as u64;
        self.batches.send(batch).unwrap();
        self.commits.acquire().await.unwrap().forget();
        let changed = Ack { received, changed: received, ..Ack::default() };
        self.answers.lock().unwrap().pop_front().unwrap_or(Ok(changed))
    }
}

/// The records of a batch as text, with their places.
pub(super) fn texts(batch: &Batch) -> Vec<(String, String)> {
    let text = |json: &[u8]| String::from_utf8_lossy(json).into_owned();
    batch.records.iter().map(|r| (r.place.to_string(), text(&r.json))).collect()
}
