use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Buf, Bytes};
use tokio::{task::spawn_blocking, time::sleep};

use super::{
    Inbox, Shared, Trouble,
    decode::{Decoded, Decoder},
    frame::{Compression, Frame},
    handshake,
};
#[cfg(any(test, fuzzing))]
use crate::record::Record;
use crate::{
    listen::Stream,
    record::{Batch, Intake, Part, SentId},
    source::msgpack::Reader,
};

/// Messages of this size are read elsewhere than on the threads that serve connections.
const LARGE: usize = 256 * 1024;

/// What tells a sender that its chunk was not taken: a map without the acknowledgement that it
/// waits for. Fluent Bit and Fluentd send the chunk again.
const NOT_TAKEN: u8 = 0x80;

/// The first delay before records that nobody else keeps are offered again, doubled up to the last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// One connection.
pub(super) struct Session<I> {
    shared: Arc<Shared<I>>,
    inbox: Inbox,
    peer: SocketAddr,
}

/// The messages that become one batch.
#[derive(Default)]
struct Share {
    decoded: Decoded,
    /// Each message's records.
    parts: Vec<Part>,
    /// The ids to acknowledge.
    chunks: Vec<Bytes>,
    /// Whether there are records that nobody asked to have acknowledged.
    unasked: bool,
    /// Messages about metrics or traces.
    not_logs: u64,
    /// The bytes of the messages.
    length: usize,
    /// What was wrong with the message after them.
    trouble: Option<Trouble>,
}

impl<I: Intake> Session<I> {
    pub(super) fn new(shared: Arc<Shared<I>>, stream: Stream, peer: SocketAddr) -> Self {
        let inbox = Inbox::new(stream, shared.stop.clone());
        Self { shared, inbox, peer }
    }

    pub(super) async fn run(mut self) {
        match self.converse().await {
            Ok(()) => self.inbox.close().await,
            Err(trouble) => self.report(&trouble),
        }
    }

    async fn converse(&mut self) -> Result<(), Trouble> {
        let shared = self.shared.clone();
        if let Some(security) = &shared.settings.security
            && !Box::pin(handshake::admit(&mut self.inbox, security)).await?
        {
            return Ok(());
        }
        let limit = shared.settings.max_frame_bytes;
        while let Some(messages) = self.inbox.messages(usize::MAX, limit).await? {
            // On the heap, so that a connection that waits is small.
            Box::pin(self.take(messages)).await?;
        }
        Ok(())
    }

    /// Takes the records of messages and acknowledges them.
    async fn take(&mut self, mut messages: Bytes) -> Result<(), Trouble> {
        while !messages.is_empty() {
            let share = self.read(messages.clone()).await?;
            messages.advance(share.length);
            self.note(&share);
            let Share { decoded, parts, chunks, unasked, trouble, .. } = share;
            let answer = self.offer(decoded, parts, &chunks, unasked).await?;
            if !answer.is_empty() {
                self.inbox.send(&answer).await?;
            }
            if let Some(trouble) = trouble {
                return Err(trouble);
            }
        }
        Ok(())
    }

    async fn read(&self, messages: Bytes) -> Result<Share, Trouble> {
        let limit = self.shared.settings.max_decompressed_bytes;
        let source = self.shared.feed.name.clone();
        if messages.len() < LARGE && !is_compressed(&messages) {
            return Ok(Share::read(&source, &messages, limit));
        }
        let permit = self.shared.large.acquire().await;
        let read = spawn_blocking(move || Share::read(&source, &messages, limit)).await;
        drop(permit);
        read.map_err(|error| Trouble::Unavailable(format!("cannot read a message: {error}")))
    }

    /// Offers records to the sinks, and returns what to tell the sender.
    async fn offer(
        &self,
        decoded: Decoded,
        parts: Vec<Part>,
        chunks: &[Bytes],
        unasked: bool,
    ) -> Result<Vec<u8>, Trouble> {
        if decoded.records.is_empty() {
            return Ok(acknowledgement(chunks));
        }
        let batch = self.shared.feed.batch(decoded.records, decoded.bytes);
        let batch = Batch { parts, ..batch };
        if chunks.is_empty() {
            self.insist(batch).await?;
            return Ok(Vec::new());
        }
        match self.shared.feed.intake.take(batch).await {
            Ok(_) => Ok(acknowledgement(chunks)),
            Err(error) if unasked => Err(Trouble::Unavailable(error.to_string())),
            Err(error) => {
                self.report(&Trouble::Unavailable(error.to_string()));
                Ok(vec![NOT_TAKEN; chunks.len()])
            }
        }
    }

    /// Offers a batch until it is taken: a sender that asks for no acknowledgement has forgotten
    /// it. Meanwhile nothing more is read from it.
    async fn insist(&self, batch: Batch) -> Result<(), Trouble> {
        let mut delay = BACKOFF.0;
        loop {
            let Err(error) = self.shared.feed.intake.take(batch.clone()).await else {
                return Ok(());
            };
            let trouble = Trouble::Unavailable(error.to_string());
            tokio::select! {
                () = sleep(delay) => self.report(&trouble),
                () = self.shared.stop.cancelled() => {
                    tracing::error!(
                        source = &*self.shared.feed.name, peer = %self.peer,
                        records = batch.records.len(),
                        "stopped before records could be taken that their sender does not keep; \
                         set require_ack_response in the sender"
                    );
                    return Err(trouble);
                }
            }
            delay = (delay * 2).min(BACKOFF.1);
        }
    }

    /// Counts what is left out or was mended.
    fn note(&self, share: &Share) {
        let (feed, peer) = (&self.shared.feed, self.peer);
        let source = &*feed.name;
        if share.not_logs > 0 {
            feed.metrics.discarded(true, "not_logs").inc_by(share.not_logs);
            if let Some(similar) = self.shared.throttle.pass("not_logs") {
                tracing::warn!(
                    source, %peer, similar,
                    "metrics or traces came and were dropped; route only logs here"
                );
            }
        }
        let repaired = share.decoded.repaired;
        if repaired > 0 {
            feed.metrics.errors("invalid_utf8", "receiving").inc_by(repaired);
            if let Some(similar) = self.shared.throttle.pass("invalid_utf8") {
                tracing::warn!(
                    source, %peer, similar, texts = repaired,
                    "text came that is not UTF-8; what cannot be read in it is now U+FFFD"
                );
            }
        }
    }

    fn report(&self, trouble: &Trouble) {
        let (feed, peer) = (&self.shared.feed, self.peer);
        let source = &*feed.name;
        feed.metrics.errors(trouble.error_type(), "receiving").inc();
        if let Trouble::Broken(_) = trouble {
            tracing::debug!(source, %peer, reason = %trouble, "a connection ended");
        } else if let Some(similar) = self.shared.throttle.pass(trouble.error_type()) {
            if let Trouble::Unavailable(_) = trouble {
                tracing::warn!(source, %peer, similar, "records were not taken for now: {trouble}");
            } else {
                tracing::warn!(source, %peer, similar, "a connection was closed: {trouble}");
            }
        }
    }
}

impl Share {
    /// Reads messages from the front until there is enough for a batch or one is wrong.
    fn read(source: &str, messages: &Bytes, limit: usize) -> Self {
        let mut share = Self::default();
        let mut decoder = Decoder::new(limit);
        let mut reader = Reader::new(messages);
        while !reader.is_empty() && !decoder.is_full() {
            if let Err(trouble) = share.add(source, &mut reader, messages, &mut decoder) {
                share.trouble = Some(trouble);
                break;
            }
            share.length = messages.len() - reader.remaining();
        }
        share.decoded = decoder.finish();
        share
    }

    fn add(
        &mut self,
        source: &str,
        reader: &mut Reader<'_>,
        messages: &Bytes,
        decoder: &mut Decoder,
    ) -> Result<(), Trouble> {
        let message = reader.value()?;
        let frame = Frame::parse(message)?;
        if frame.options.not_logs {
            self.not_logs += 1;
        } else {
            let known = decoder.records();
            decoder.add(&frame)?;
            let records = decoder.records() - known;
            self.unasked |= frame.options.chunk.is_none() && records > 0;
            // A sender repeats a message that it wants acknowledged, byte for byte.
            let id = frame.options.chunk.map(|chunk| SentId::of(source, chunk, message));
            self.parts.push(Part { id, records });
        }
        self.chunks.extend(frame.options.chunk.map(|chunk| messages.slice_ref(chunk)));
        Ok(())
    }
}

/// All records of messages, read share by share as on a connection, and what was wrong with the
/// message after them.
#[cfg(any(test, fuzzing))]
pub(in crate::source) fn read_all(
    mut messages: Bytes,
    limit: usize,
) -> (Vec<Record>, Option<Trouble>) {
    let mut records = Vec::new();
    while !messages.is_empty() {
        is_compressed(&messages);
        let share = Share::read("fuzzing", &messages, limit);
        acknowledgement(&share.chunks);
        records.extend(share.decoded.records);
        if share.trouble.is_some() {
            return (records, share.trouble);
        }
        assert!(share.length > 0, "whatever is not wrong is read");
        messages.advance(share.length);
    }
    (records, None)
}

fn is_compressed(messages: &[u8]) -> bool {
    let mut reader = Reader::new(messages);
    while let Ok(message) = reader.value() {
        let frame = Frame::parse(message);
        if frame.is_ok_and(|frame| frame.options.compression != Compression::None) {
            return true;
        }
    }
    false
}

/// `{"ack": chunk}` for each chunk, its id as it came.
fn acknowledgement(chunks: &[Bytes]) -> Vec<u8> {
    let mut answer = Vec::new();
    for chunk in chunks {
        answer.extend_from_slice(b"\x81\xa3ack");
        answer.extend_from_slice(chunk);
    }
    answer
}
