use std::sync::Arc;

use super::json::Written;
use crate::{
    clock::Clock,
    record::{Batch, Intake, Record},
    telemetry::{Component, Throttle},
};

/// What a source is given: where its records go, under which name, and where they are counted.
#[derive(Clone, Debug)]
pub struct Feed<I> {
    /// The name of the source in the configuration.
    pub name: Arc<str>,
    /// Takes the batches.
    pub intake: I,
    /// Says when a batch arrived.
    pub clock: Clock,
    /// The metrics of the source.
    pub metrics: Arc<Component>,
}

impl<I: Intake> Feed<I> {
    /// A batch that has arrived now, counted as received; `bytes` is its size after decompression.
    pub(super) fn batch(&self, records: Vec<Record>, bytes: usize) -> Batch {
        self.metrics.received_events.inc_by(records.len() as u64);
        self.metrics.received_bytes.inc_by(bytes as u64);
        Batch { source: self.name.clone(), received: self.clock.now(), records, parts: Vec::new() }
    }
}

impl<I> Feed<I> {
    /// Says and counts what is not as it should be in records that were written from another
    /// encoding.
    pub(super) fn note(&self, written: &Written, throttle: &Throttle) {
        let source = &*self.name;
        if written.replaced > 0 {
            self.metrics.errors("invalid_utf8", "receiving").inc_by(written.replaced);
            if let Some(similar) = throttle.pass("utf8") {
                tracing::warn!(
                    source,
                    texts = written.replaced,
                    similar,
                    "bytes that are no UTF-8 were replaced (U+FFFD)"
                );
            }
        }
        if let Some(reason) = &written.unreadable
            && let Some(similar) = throttle.pass("record")
        {
            tracing::warn!(source, reason, similar, "records that cannot be read are set aside");
        }
    }
}
