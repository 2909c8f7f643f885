//! Vector's own protocol, as its `vector` sink speaks it: gRPC with the events of a pipeline in
//! protobuf.
//!
//! A call is answered once its events are committed. Log events are records; what else a pipeline
//! may carry, metrics and traces, is acknowledged, dropped and counted: refused it would come
//! again for ever, and with it the log events of the same message.

mod event;
mod grpc;
mod parts;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use self::{
    event::Events,
    grpc::{Answer, Failure, PREFIX},
};
use super::{
    Feed,
    body::{self, BodyError, Encoding, Reading},
    json::{Unread, Written},
};
use crate::{
    listen::{self, Listener},
    record::{Batch, Intake, Part},
    telemetry::Throttle,
};

/// What is spoken inside TLS (ALPN).
pub const PROTOCOLS: &[&[u8]] = &[b"h2"];

/// `HealthCheckResponse` with the status `SERVING`, which is 0 and therefore not written.
const VECTOR_SERVES: &[u8] = b"";
/// The same of `grpc.health.v1`, where it is field 1 and its value 1.
const SERVES: &[u8] = b"\x08\x01";

/// Takes events until `stop`; what is under way then is still answered.
///
/// `max_message_bytes` bounds a message as it is sent and as it is after decompression.
pub async fn serve<I: Intake>(
    listener: Listener,
    feed: Feed<I>,
    max_message_bytes: usize,
    stop: CancellationToken,
) {
    let source = Arc::new(Source {
        feed,
        max_message_bytes,
        reading: Reading::default(),
        throttle: Throttle::default(),
    });
    listen::serve_http2(listener, stop, move |request| {
        let source = source.clone();
        async move { source.answer(request).await }
    })
    .await;
}

struct Source<I> {
    feed: Feed<I>,
    max_message_bytes: usize,
    reading: Reading,
    throttle: Throttle,
}

impl<I: Intake> Source<I> {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        if !grpc::is_call(request.headers()) {
            return grpc::no_call();
        }
        let answered = match request.uri().path() {
            "/vector.Vector/PushEvents" => self.push(request).await.map(|()| grpc::answer(b"")),
            "/vector.Vector/HealthCheck" => Ok(grpc::answer(VECTOR_SERVES)),
            "/grpc.health.v1.Health/Check" => Ok(grpc::answer(SERVES)),
            path => Err(Failure::Method(path.to_owned())),
        };
        answered.unwrap_or_else(|failure| {
            self.report(&failure);
            grpc::failed(&failure)
        })
    }

    /// Returns once the events of a call are committed.
    async fn push(&self, request: Request<Incoming>) -> Result<(), Failure> {
        let (head, incoming) = request.into_parts();
        let encoding = grpc::encoding(&head.headers)?;
        let limit = self.max_message_bytes;
        let sent = body::collect(incoming, &head.headers, limit + PREFIX).await;
        let sent = sent.map_err(|error| match error {
            BodyError::TooLarge(_) => Failure::TooLarge(limit),
            error => unavailable(error.error_type(), &error),
        })?;
        let (length, compressed) = (sent.len(), encoding != Encoding::Identity);
        let source = self.feed.name.clone();
        let read = move || read(&source, sent, encoding, limit);
        let read = self.reading.read(length, compressed, read).await;
        let (read, bytes, _turn) = read.map_err(|reason| unavailable("unavailable", &reason))??;
        self.note(&read.written, read.others);
        let batch = self.feed.batch(read.written.records, bytes);
        let batch = Batch { parts: read.parts, ..batch };
        let taken = self.feed.intake.take(batch).await;
        taken.map(drop).map_err(|error| unavailable("unavailable", &error))
    }

    /// Says and counts what is not as it should be in a message that is taken.
    fn note(&self, written: &Written, others: u64) {
        let source = &*self.feed.name;
        self.feed.note(written, &self.throttle);
        if others > 0 {
            self.feed.metrics.discarded(true, "not_logs").inc_by(others);
            if let Some(similar) = self.throttle.pass("others") {
                tracing::warn!(
                    source,
                    events = others,
                    similar,
                    "metrics or traces are dropped, only log events can be profiles; take what \
                     makes them out of the sink's `inputs` in Vector"
                );
            }
        }
    }

    fn report(&self, failure: &Failure) {
        let source = &*self.feed.name;
        let error_type = failure.error_type();
        self.feed.metrics.errors(error_type, "receiving").inc();
        let what = match failure {
            Failure::Unavailable { .. } => {
                tracing::debug!(source, reason = %failure, "a message was turned away for now");
                return;
            }
            Failure::TooLarge(_) | Failure::Encoding(_) => {
                "a message was turned away; its sender repeats it until this is put right"
            }
            Failure::Method(_) => "a call was refused",
            Failure::Unreadable(_) => "a message was refused; its sender drops it",
        };
        if let Some(similar) = self.throttle.pass(error_type) {
            tracing::warn!(source, reason = %failure, similar, "{what}");
        }
    }
}

/// What was read from a message.
struct Read {
    written: Written,
    parts: Vec<Part>,
    /// How many events it held that are no log events.
    others: u64,
}

/// The log events of a message, and the size of the message.
fn read(
    source: &str,
    sent: Bytes,
    encoding: Encoding,
    limit: usize,
) -> Result<(Read, usize), Failure> {
    let message = grpc::message(sent, encoding, limit)?;
    let Events { records, ids } =
        event::read(&message, body::room(limit)).map_err(|unread| match unread {
            Unread::Malformed(reason) => Failure::Unreadable(reason),
            Unread::Full => Failure::TooLarge(limit),
        })?;
    let others = records.others();
    let written = records.finish();
    let parts = parts::of(source, &written.records, &ids);
    Ok((Read { written, parts, others }, message.len()))
}

/// The records of a message, or why there are none.
#[cfg(any(test, fuzzing))]
pub(super) fn decode(sent: Bytes, encoding: Encoding, limit: usize) -> Result<Written, String> {
    match read("fuzzing", sent, encoding, limit) {
        Ok((Read { written, .. }, bytes)) => {
            assert!(bytes <= limit, "a message of {bytes} bytes, limit {limit}");
            Ok(written)
        }
        Err(failure) => Err(failure.to_string()),
    }
}

fn unavailable(error_type: &'static str, reason: &impl ToString) -> Failure {
    Failure::Unavailable { error_type, reason: reason.to_string() }
}
