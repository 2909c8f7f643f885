//! The HTTP source: `POST` to any path carries records as one JSON object, a JSON array,
//! NDJSON, or MessagePack.
//!
//! A body is acknowledged as a whole, once it is committed. `GET` and `HEAD` answer 200 without a
//! body, for health checks of senders.

mod auth;
mod msgpack;
mod refusal;
mod split;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

pub use self::auth::SenderAuth;
use self::{auth::Guard, refusal::Refusal, split::Format};
use super::{
    Feed,
    body::{self, BodyError, Encoding, Reading},
    json::{Unread, Written},
};
#[cfg(any(test, fuzzing))]
use crate::record::Record;
use crate::{
    listen::{self, Listener, Peer},
    record::{Ack, Batch, Intake, Part, SentId},
    telemetry::Throttle,
};

/// What is spoken inside TLS (ALPN).
pub const PROTOCOLS: &[&[u8]] = &[b"http/1.1"];

/// What stays the same when a sender repeats a request
/// (datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header).
const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How long a connection may be idle: longer than senders keep theirs (Vector 90 s), so that it is
/// the sender who closes and no request meets a connection that is just being closed.
const IDLE: Duration = Duration::from_mins(2);

/// What a source takes, and from whom.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The largest body, as it is sent and as it is after decompression.
    pub max_body_bytes: usize,
    /// How senders prove who they are; anybody may send when absent.
    pub auth: Option<SenderAuth>,
}

/// Takes records until `stop`; what is under way then is still answered.
pub async fn serve<I: Intake>(
    listener: Listener,
    feed: Feed<I>,
    settings: Settings,
    stop: CancellationToken,
) {
    let Settings { max_body_bytes, auth } = settings;
    let source = Arc::new(Source {
        feed,
        max_body_bytes,
        guard: auth.map(Guard::new),
        reading: Reading::default(),
        throttle: Throttle::default(),
    });
    listen::serve(listener, Some(IDLE), stop, move |request| {
        let source = source.clone();
        async move { Ok(source.answer(request).await) }
    })
    .await;
}

struct Source<I> {
    feed: Feed<I>,
    max_body_bytes: usize,
    guard: Option<Guard>,
    reading: Reading,
    throttle: Throttle,
}

impl<I: Intake> Source<I> {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let peer = request.extensions().get().copied();
        let refusal = match *request.method() {
            Method::POST => match self.take(request).await {
                Ok(ack) => return listen::json_answer(StatusCode::OK, &ack),
                Err(refusal) => refusal,
            },
            Method::GET | Method::HEAD => return Response::default(),
            _ => Refusal::Method,
        };
        self.report(&refusal, peer);
        refusal.answer()
    }

    async fn take(&self, request: Request<Incoming>) -> Result<Ack, Refusal> {
        let (head, mut incoming) = request.into_parts();
        let encoding = match self.check(&head.headers).await {
            Ok(encoding) => encoding,
            Err(refusal) => {
                body::discard(&mut incoming, &head.headers).await;
                return Err(refusal);
            }
        };
        let (format, limit) = (Format::of(&head.headers), self.max_body_bytes);
        let sent = body::collect(incoming, &head.headers, limit).await?;
        let key = head.headers.get(KEY).map(HeaderValue::as_bytes);
        let id = key.map(|key| SentId::of(&self.feed.name, key, &sent));
        let (length, compressed) = (sent.len(), encoding != Encoding::Identity);
        let read = move || read(sent, encoding, format, limit);
        let read = self.reading.read(length, compressed, read).await;
        let (written, bytes, _turn) = read.map_err(Refusal::Unavailable)??;
        self.feed.note(&written, &self.throttle);
        let batch = self.feed.batch(written.records, bytes);
        let parts =
            Vec::from_iter(id.map(|id| Part { id: Some(id), records: batch.records.len() }));
        let batch = Batch { parts, ..batch };
        let taken = self.feed.intake.take(batch).await;
        taken.map_err(|error| Refusal::Unavailable(error.to_string()))
    }

    /// What has to hold before a body is read; how it is compressed.
    async fn check(&self, headers: &HeaderMap) -> Result<Encoding, Refusal> {
        if let Some(guard) = &self.guard {
            match guard.admits(headers).await {
                Ok(true) => {}
                Ok(false) => return Err(Refusal::Unauthorized(guard.challenge())),
                Err(error) => return Err(Refusal::NoSecret(error)),
            }
        }
        Ok(Encoding::of(headers).map_err(BodyError::from)?)
    }

    fn report(&self, refusal: &Refusal, peer: Option<Peer>) {
        let source = &*self.feed.name;
        let peer = peer.map(|Peer(address)| tracing::field::display(address));
        let error_type = refusal.error_type();
        self.feed.metrics.errors(error_type, "receiving").inc();
        let what = match refusal {
            Refusal::NoSecret(_) => "nobody is let in; senders keep what they send",
            refusal if refusal.is_temporary() => {
                tracing::debug!(source, peer, reason = %refusal, "a request was turned away for now");
                return;
            }
            _ => "a request was refused; its sender drops it",
        };
        if let Some(similar) = self.throttle.pass(error_type) {
            tracing::warn!(source, peer, reason = %refusal, similar, "{what}");
        }
    }
}

/// The records of a body in JSON, which may look like anything unless it has to be lines.
#[cfg(any(test, fuzzing))]
pub(super) fn decode(body: &Bytes, lines: bool, room: usize) -> Result<Vec<Record>, Unread> {
    let form = if lines { split::Form::Lines } else { split::Form::Look };
    split::records(body, form, room)
}

/// The records of a body and the size of it after decompression.
fn read(
    sent: Bytes,
    encoding: Encoding,
    format: Format,
    limit: usize,
) -> Result<(Written, usize), Refusal> {
    let text = encoding.decode(sent, limit).map_err(BodyError::from)?;
    let room = body::room(limit);
    let records = match format {
        Format::MessagePack => msgpack::records(&text, room),
        Format::Json(form) => split::records(&text, form, room).map(Written::of),
    };
    match records {
        Ok(written) => Ok((written, text.len())),
        Err(Unread::Malformed(reason)) => Err(Refusal::Unreadable(reason)),
        Err(Unread::Full) => Err(BodyError::TooLarge(limit).into()),
    }
}
