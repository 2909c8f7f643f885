//! A record: the JSON bytes of one profile with the place they came from, and the
//! acknowledgement that a source waits for.

mod sent;

use std::{fmt, future::Future, ops::AddAssign, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use self::sent::{Part, SentId};
use crate::clock::Micros;

/// One record as it was received. Nothing has been checked yet: the bytes may not be JSON at all.
#[derive(Clone, Debug)]
pub struct Record {
    /// The record's bytes, meant to be one JSON object.
    pub json: Bytes,
    /// Where in its batch it stood.
    pub place: Place,
}

/// Where a record stood in what the source read, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The line, counted from 1.
    Line(u64),
    /// The item of an array, counted from 1.
    Item(u64),
    /// The whole of what was sent.
    Whole,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Item(item) => write!(f, "item {item}"),
            Self::Whole => f.write_str("the record"),
        }
    }
}

/// Records that arrived together and are acknowledged together.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The name of the source in the configuration.
    pub source: Arc<str>,
    /// When the batch arrived.
    pub received: Micros,
    /// The records in their order of arrival.
    pub records: Vec<Record>,
    /// What the records are parts of, from the first record on; those after the last part have no
    /// id. A part lies in one batch whole.
    pub parts: Vec<Part>,
}

/// What became of a batch once every sink has committed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Records in the batch. The other counts are summed over the sinks.
    pub received: u64,
    /// Updates that made a profile due.
    pub changed: u64,
    /// Updates that changed nothing relevant, and records that came a second time.
    pub unchanged: u64,
    /// Updates of profiles that are remembered but not exported.
    pub not_followed: u64,
    /// Updates with a source version lower than the known one.
    pub stale: u64,
    /// Records that were set aside with a reason.
    pub invalid: u64,
}

impl AddAssign for Ack {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.changed += other.changed;
        self.unchanged += other.unchanged;
        self.not_followed += other.not_followed;
        self.stale += other.stale;
        self.invalid += other.invalid;
    }
}

/// The batch could not be made safe. The sender must keep it and send it again.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the store cannot take records now: {0}")]
pub struct Unavailable(pub String);

/// Takes batches from sources.
pub trait Intake: Clone + Send + Sync + 'static {
    /// Returns once every sink has committed the batch. On an error some sinks may have it and
    /// others not; sending it again is safe.
    fn take(&self, batch: Batch) -> impl Future<Output = Result<Ack, Unavailable>> + Send;
}
