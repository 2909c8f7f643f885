//! A sink: it projects the records of its sources by its mapping and commits them to its store.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;

use crate::{
    clock::Micros,
    profile::{Mapping, UpdateMode},
    record::{Ack, Batch, Part, Record, Unavailable},
    store::{Applied, InvalidRecord, SentPart, Store, Update, Verdict, embedded::EmbeddedStore},
    telemetry::Component,
};

/// Records that are projected before other tasks get a turn; some 100 µs of work.
const STRIDE: usize = 64;

/// Records that are projected and committed at once, about: what a batch takes in memory besides
/// its records is bounded by it.
const CHUNK: usize = 10_000;

/// Bytes of an invalid record that are kept.
const EXCERPT_BYTES: usize = 4096;

/// How often at most it is said that records are invalid.
const COMPLAINT_MICROS: Micros = 10_000_000;

/// The taking half of a sink. Clones share it.
#[derive(Clone)]
pub struct Sink(Arc<Inner>);

struct Inner {
    mapping: Arc<Mapping>,
    store: EmbeddedStore,
    metrics: Arc<Component>,
    verdicts: Verdicts,
    complaints: Complaints,
}

/// The counters of verdicts.
struct Verdicts {
    changed: Counter,
    unchanged: Counter,
    not_followed: Counter,
    stale: Counter,
    invalid: Counter,
    suppressed: Counter,
    discarded: Counter,
}

impl Sink {
    /// A sink that keeps what it takes in `store`.
    pub fn new(mapping: Arc<Mapping>, store: EmbeddedStore, metrics: Arc<Component>) -> Self {
        let verdicts = Verdicts {
            changed: metrics.updates("changed"),
            unchanged: metrics.updates("unchanged"),
            not_followed: metrics.updates("not_followed"),
            stale: metrics.updates("stale"),
            invalid: metrics.updates("invalid"),
            suppressed: metrics.updates("suppressed"),
            discarded: metrics.discarded(false, "invalid_record"),
        };
        let complaints = Complaints::default();
        Self(Arc::new(Inner { mapping, store, metrics, verdicts, complaints }))
    }

    /// Returns once all of the batch is committed, invalid records included. After an error the
    /// first of its records may be.
    pub async fn take(&self, batch: &Batch) -> Result<Ack, Unavailable> {
        let mut pieces = &pieces(batch)[..];
        let mut records = &batch.records[..];
        let mut sum = Ack::default();
        while !pieces.is_empty() {
            let mut length = 0;
            let enough = pieces.iter().position(|piece| {
                length += piece.records;
                length >= CHUNK
            });
            let (chunk, other_pieces) = pieces.split_at(enough.map_or(pieces.len(), |at| at + 1));
            let (these, other_records) = records.split_at(length);
            sum += self.take_chunk(batch, these, chunk).await?;
            (pieces, records) = (other_pieces, other_records);
        }
        Ok(sum)
    }

    async fn take_chunk(
        &self,
        batch: &Batch,
        records: &[Record],
        pieces: &[Part],
    ) -> Result<Ack, Unavailable> {
        let mut taking = Taking::new(records.len());
        for stride in records.chunks(STRIDE) {
            for record in stride {
                self.project(batch, record, &mut taking);
            }
            if records.len() > STRIDE {
                tokio::task::yield_now().await;
            }
        }
        let Taking { updates, invalid, invalid_at, origins } = taking;
        let parts = sent_parts(pieces, &invalid_at);
        let (offered, mut first) = (invalid.len(), invalid.first().cloned());
        let unavailable = |error: crate::store::StoreError| Unavailable(error.to_string());
        let applied = self.0.store.apply_once(updates, invalid, parts.clone()).await;
        let Applied { verdicts, invalid } = applied.map_err(unavailable)?;
        let repeated = offered - invalid;
        let mut ack = Ack { invalid: invalid as u64, unchanged: repeated as u64, ..Ack::default() };
        let (mut misfits, mut misfit_at) = (Vec::new(), Vec::new());
        let mut suppressed = 0;
        for (number, (verdict, record)) in verdicts.into_iter().zip(origins).enumerate() {
            match verdict {
                Verdict::Changed(_) => ack.changed += 1,
                Verdict::Unchanged => ack.unchanged += 1,
                Verdict::NotFollowed => ack.not_followed += 1,
                Verdict::Stale => ack.stale += 1,
                Verdict::Suppressed => suppressed += 1,
                Verdict::Invalid => {
                    let reason = "profile.version is of another kind (number, timestamp) than \
                                  the version that is known of this profile";
                    misfits.push(invalid_record(batch, record, reason.to_owned()));
                    misfit_at.push(number);
                }
            }
        }
        if suppressed > 0 {
            self.0.verdicts.suppressed.inc_by(suppressed);
            self.0.metrics.discarded(true, "suppressed").inc_by(suppressed);
        }
        if !misfits.is_empty() {
            first = first.or_else(|| misfits.first().cloned());
            ack.invalid += misfits.len() as u64;
            let parts = misfit_parts(&parts, &misfit_at);
            self.0.store.apply_once(Vec::new(), misfits, parts).await.map_err(unavailable)?;
        }
        self.0.verdicts.count(&ack);
        if ack.invalid > 0
            && let Some(InvalidRecord { source, place, reason, received, .. }) = first
            && let Some(records) = self.0.complaints.due(received, ack.invalid)
        {
            let sink = self.0.metrics.name();
            tracing::warn!(sink, source, records, place, reason, "invalid records are set aside");
        }
        Ok(ack)
    }

    fn project<'a>(&self, batch: &Batch, record: &'a Record, taking: &mut Taking<'a>) {
        let Inner { mapping, store, metrics, .. } = &*self.0;
        match mapping.project(store.seed(), &record.json) {
            Ok(projected) => {
                if projected.version_missing {
                    metrics.version_missing.inc();
                }
                // A patch need not speak of it.
                if projected.consent_missing && mapping.update_mode() == UpdateMode::Snapshot {
                    metrics.consent_missing.inc();
                }
                // What is known already is not copied out only to be thrown away.
                let keeps = match mapping.update_mode() {
                    UpdateMode::Snapshot => !store.keeps(&projected.id, projected.prints.kept),
                    // The writer keeps what it makes of them.
                    UpdateMode::Patch => false,
                };
                taking.updates.push(Update {
                    id: projected.id,
                    prints: projected.prints,
                    followed: projected.followed,
                    source_version: projected.source_version,
                    received: batch.received,
                    record: record.json.clone(),
                    kept: keeps.then(|| projected.keep()),
                });
                taking.origins.push(record);
            }
            Err(invalid) => {
                taking.invalid_at.push(taking.updates.len() + taking.invalid.len());
                taking.invalid.push(invalid_record(batch, record, invalid.to_string()));
            }
        }
    }
}

/// What has been projected of a batch.
struct Taking<'a> {
    updates: Vec<Update>,
    invalid: Vec<InvalidRecord>,
    /// Where in the batch the invalid ones stood.
    invalid_at: Vec<usize>,
    /// The record of each update.
    origins: Vec<&'a Record>,
}

impl Taking<'_> {
    fn new(records: usize) -> Self {
        Self {
            updates: Vec::with_capacity(records),
            invalid: Vec::new(),
            invalid_at: Vec::new(),
            origins: Vec::with_capacity(records),
        }
    }
}

impl Verdicts {
    fn count(&self, ack: &Ack) {
        self.changed.inc_by(ack.changed);
        self.unchanged.inc_by(ack.unchanged);
        self.not_followed.inc_by(ack.not_followed);
        self.stale.inc_by(ack.stale);
        self.invalid.inc_by(ack.invalid);
        self.discarded.inc_by(ack.invalid);
    }
}

/// Decides when it is said that records are invalid: at once, then now and then, so that a sender
/// of nothing else does not fill the log.
#[derive(Default)]
struct Complaints(Mutex<Said>);

#[derive(Default)]
struct Said {
    /// When it was last said.
    at: Micros,
    /// Invalid records since then.
    since: u64,
}

impl Complaints {
    /// How many records to speak of now that there are `records` more, if it is time.
    fn due(&self, now: Micros, records: u64) -> Option<u64> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.since += records;
        // The clock may also have been set back.
        if now.abs_diff(said.at) < COMPLAINT_MICROS {
            return None;
        }
        said.at = now;
        Some(std::mem::take(&mut said.since))
    }
}

/// The parts of a batch, none of them longer than a chunk. Where one is cut depends on nothing but
/// the part itself, so that a repeat is cut at the same places, whatever it comes together with.
fn pieces(batch: &Batch) -> Vec<Part> {
    let named: usize = batch.parts.iter().map(|part| part.records).sum();
    let rest = Part { id: None, records: batch.records.len().saturating_sub(named) };
    let pieces = |part: Part| {
        (0..part.records.div_ceil(CHUNK)).map(move |number| Part {
            id: part.id.map(|id| id.piece(number)),
            records: CHUNK.min(part.records - number * CHUNK),
        })
    };
    batch.parts.iter().copied().chain([rest]).flat_map(pieces).collect()
}

/// What is said to the store of parts whose records with these numbers are invalid.
fn sent_parts(parts: &[Part], invalid_at: &[usize]) -> Vec<SentPart> {
    let invalid = shares(parts.iter().map(|part| part.records), invalid_at);
    let part = |(part, invalid): (&Part, usize)| SentPart {
        id: part.id,
        updates: part.records - invalid,
        invalid,
    };
    parts.iter().zip(invalid).map(part).collect()
}

/// Those of `parts` of which updates with these numbers turned out to be invalid, with nothing but
/// those.
fn misfit_parts(parts: &[SentPart], misfit_at: &[usize]) -> Vec<SentPart> {
    let misfits = shares(parts.iter().map(|part| part.updates), misfit_at);
    let part = |(part, invalid): (&SentPart, usize)| SentPart { id: part.id, updates: 0, invalid };
    parts.iter().zip(misfits).filter(|(_, misfits)| *misfits > 0).map(part).collect()
}

/// How many of `places`, which ascend, lie in each of several stretches that follow each other.
fn shares(lengths: impl Iterator<Item = usize>, places: &[usize]) -> impl Iterator<Item = usize> {
    let (mut end, mut seen) = (0, 0);
    lengths.map(move |length| {
        end += length;
        let before = std::mem::replace(&mut seen, places.partition_point(|place| *place < end));
        seen - before
    })
}

fn invalid_record(batch: &Batch, record: &Record, reason: String) -> InvalidRecord {
    tracing::debug!(source = %batch.source, place = %record.place, reason, "invalid record");
    let excerpt = &record.json[..record.json.len().min(EXCERPT_BYTES)];
    InvalidRecord {
        source: batch.source.to_string(),
        place: record.place.to_string(),
        reason,
        received: batch.received,
        excerpt: bytes::Bytes::copy_from_slice(excerpt),
    }
}

#[cfg(test)]
mod tests;
