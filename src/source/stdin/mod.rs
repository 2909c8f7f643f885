//! The stdin source: NDJSON, one record a line.
//!
//! What cannot be taken is kept and offered again, since stdin cannot be read twice.

use std::{
    io::{self, Read},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use memchr::{memchr, memchr_iter};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{Feed, lines};
use crate::record::{Intake, Place, Record};

/// The most lines that are acknowledged together.
const BATCH_LINES: usize = 1000;
/// A batch ends with the line that reaches this size.
const BATCH_BYTES: usize = 1024 * 1024;
/// What is read at once, and how often ahead of what was taken: one batch.
const CHUNK: usize = 64 * 1024;
const CHUNKS: usize = BATCH_BYTES / CHUNK;
/// How much of an over-long line is kept.
const EXCERPT: usize = 4 * 1024;
/// The first delay before a batch is offered again, doubled each time up to the last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Why reading ended early.
#[derive(Debug, thiserror::Error)]
#[error("cannot read stdin: {0}")]
pub struct StdinError(#[from] io::Error);

/// Takes the lines of stdin until it ends, or until `stop`.
///
/// A line longer than `max_line_bytes` becomes an invalid record that holds its beginning.
pub async fn run<I: Intake>(
    feed: Feed<I>,
    max_line_bytes: usize,
    stop: CancellationToken,
) -> Result<(), StdinError> {
    run_from(io::stdin(), feed, max_line_bytes, stop).await
}

async fn run_from<I: Intake>(
    input: impl Read + Send + 'static,
    feed: Feed<I>,
    max_line_bytes: usize,
    stop: CancellationToken,
) -> Result<(), StdinError> {
    let mut chunks = read_ahead(input)?;
    let mut lines = Lines::new(max_line_bytes);
    let mut failed = None;
    loop {
        if stop.is_cancelled() {
            // What was read is still taken; then it looks as if the input had ended.
            chunks.close();
        }
        while failed.is_none()
            && lines.buffer.len() < BATCH_BYTES
            && let Ok(chunk) = chunks.try_recv()
        {
            match chunk {
                Ok(chunk) => lines.push(&chunk),
                Err(error) => failed = Some(error),
            }
        }
        if let Some((records, bytes)) = lines.complete() {
            offer(&feed, records, bytes, &stop).await;
            continue;
        }
        if let Some(error) = failed {
            return Err(error.into());
        }
        let chunk = tokio::select! {
            biased;
            chunk = chunks.recv() => chunk,
            () = stop.cancelled(), if !chunks.is_closed() => continue,
        };
        match chunk {
            Some(Ok(chunk)) => lines.push(&chunk),
            Some(Err(error)) => failed = Some(error),
            None => break,
        }
    }
    let (records, bytes) = lines.finish();
    offer(&feed, records, bytes, &stop).await;
    Ok(())
}

/// Reads on a thread of its own, which ends with the process: a read of stdin cannot be
/// interrupted, and the runtime would wait for it at its end.
fn read_ahead(
    mut input: impl Read + Send + 'static,
) -> io::Result<mpsc::Receiver<io::Result<Bytes>>> {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        let mut buffer = vec![0; CHUNK];
        loop {
            let chunk = match input.read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => Ok(Bytes::copy_from_slice(&buffer[..length])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let failed = chunk.is_err();
            if sender.blocking_send(chunk).is_err() || failed {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// Offers a batch until it is taken.
async fn offer<I: Intake>(
    feed: &Feed<I>,
    records: Vec<Record>,
    bytes: usize,
    stop: &CancellationToken,
) {
    if records.is_empty() {
        return;
    }
    let batch = feed.batch(records, bytes);
    let mut delay = BACKOFF.0;
    let since = Instant::now();
    loop {
        let Err(error) = feed.intake.take(batch.clone()).await else { break };
        if delay == BACKOFF.0 {
            tracing::warn!(source = &*feed.name, %error, "waiting to hand on lines of stdin");
        }
        tokio::select! {
            () = sleep(delay) => delay = (delay * 2).min(BACKOFF.1),
            () = stop.cancelled() => {
                tracing::error!(
                    source = &*feed.name,
                    lines = batch.records.len(),
                    "stopped before lines of stdin could be taken; send them again"
                );
                return;
            }
        }
    }
    if delay > BACKOFF.0 {
        let waited_secs = since.elapsed().as_secs();
        tracing::info!(source = &*feed.name, waited_secs, "lines of stdin are taken again");
    }
}

/// Makes records of chunks, keeping what is not yet a whole line.
struct Lines {
    buffer: BytesMut,
    /// How far `buffer` is known to hold no line end.
    searched: usize,
    /// Lines before `buffer`.
    number: u64,
    max_line_bytes: usize,
    /// The beginning of a line that is too long and whose end has not come yet.
    cut: Option<Record>,
}

impl Lines {
    fn new(max_line_bytes: usize) -> Self {
        Self { buffer: BytesMut::new(), searched: 0, number: 0, max_line_bytes, cut: None }
    }

    fn push(&mut self, mut chunk: &[u8]) {
        if self.cut.is_some() && self.buffer.is_empty() {
            // The rest of a line of which nothing more is kept, up to its end.
            chunk.advance(memchr(b'\n', chunk).unwrap_or(chunk.len()));
        }
        self.buffer.extend_from_slice(chunk);
    }

    /// Records of the lines that are whole, and the size of these lines, if there are any.
    fn complete(&mut self) -> Option<(Vec<Record>, usize)> {
        let mut end = 0;
        let ends = memchr_iter(b'\n', &self.buffer[self.searched..]);
        for at in ends.take(BATCH_LINES).map(|at| self.searched + at + 1) {
            end = at;
            if end >= BATCH_BYTES {
                break;
            }
        }
        if end == 0 {
            self.searched = self.buffer.len();
            if self.searched > self.max_line_bytes {
                self.cut = Some(self.too_long(&self.buffer, self.number + 1));
                self.buffer.clear();
                self.searched = 0;
            }
            return None;
        }
        self.searched = 0;
        let text = self.buffer.split_to(end).freeze();
        Some((self.records(&text), text.len()))
    }

    /// The record of a last line without a line end.
    fn finish(&mut self) -> (Vec<Record>, usize) {
        let text = self.buffer.split().freeze();
        (self.records(&text), text.len())
    }

    fn records(&mut self, text: &Bytes) -> Vec<Record> {
        let cut = self.cut.take();
        let mut number = self.number;
        let mut records = Vec::with_capacity(BATCH_LINES);
        records.extend(cut);
        records.extend(lines::records(text, &mut number).map(|record| match record.place {
            Place::Line(line) if record.json.len() > self.max_line_bytes => {
                self.too_long(&record.json, line)
            }
            _ => record,
        }));
        self.number = number;
        records
    }

    /// In place of a line that is too long, a record that says so. It cannot be JSON.
    fn too_long(&self, line: &[u8], number: u64) -> Record {
        let mut text =
            format!("the line is longer than max_line_bytes, {}; it begins ", self.max_line_bytes)
                .into_bytes();
        text.extend_from_slice(&line[..line.len().min(EXCERPT - text.len())]);
        Record { json: text.into(), place: Place::Line(number) }
    }
}

#[cfg(test)]
mod tests;
