//! The HTTP source: `POST` to any path carries records as one JSON object, a JSON array or NDJSON.
//!
//! A body is acknowledged as a whole, once it is committed. `GET` and `HEAD` answer 200 without a
//! body, for health checks of senders.

mod body;
mod refusal;
mod split;

#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::{
    encoding::Encoding,
    listen::{self, Listener},
    record::{Ack, Intake, Record},
};

use self::{refusal::Refusal, split::Format};
use super::Feed;

/// What is spoken inside TLS (ALPN).
pub const PROTOCOLS: &[&[u8]] = &[b"http/1.1"];

/// How long a connection may be idle: longer than senders keep theirs (Vector 90 s), so that it is
/// the sender who closes and no request meets a connection that is just being closed.
const IDLE: Duration = Duration::from_mins(2);

/// Bodies of this size are read elsewhere than on the threads that serve connections.
const LARGE: usize = 256 * 1024;

/// Takes records until `stop`; what is under way then is still answered.
///
/// `max_body_bytes` bounds a body as it is sent and as it is after decompression.
pub async fn serve<I: Intake>(
    listener: Listener,
    feed: Feed<I>,
    max_body_bytes: usize,
    stop: CancellationToken,
) {
    listen::serve(listener, Some(IDLE), stop, move |request| {
        let feed = feed.clone();
        async move {
            Ok(match *request.method() {
                Method::POST => match take(&feed, request, max_body_bytes).await {
                    Ok(ack) => listen::json_answer(StatusCode::OK, &ack),
                    Err(refusal) => refused(&feed, &refusal),
                },
                Method::GET | Method::HEAD => Response::default(),
                _ => refused(&feed, &Refusal::Method),
            })
        }
    })
    .await;
}

async fn take<I: Intake>(
    feed: &Feed<I>,
    request: Request<Incoming>,
    max_body_bytes: usize,
) -> Result<Ack, Refusal> {
    let (head, incoming) = request.into_parts();
    let encoding = Encoding::of(&head.headers)?;
    let format = Format::of(&head.headers);
    let sent = body::collect(incoming, &head.headers, max_body_bytes).await?;
    let (records, bytes) = if encoding == Encoding::Identity && sent.len() < LARGE {
        read(sent, encoding, format, max_body_bytes)?
    } else {
        spawn_blocking(move || read(sent, encoding, format, max_body_bytes))
            .await
            .map_err(|error| Refusal::Unavailable(format!("cannot read the body: {error}")))??
    };
    let batch = feed.batch(records, bytes);
    feed.intake.take(batch).await.map_err(|error| Refusal::Unavailable(error.to_string()))
}

/// The records of a body and the size of it after decompression.
fn read(
    sent: Bytes,
    encoding: Encoding,
    format: Format,
    max_body_bytes: usize,
) -> Result<(Vec<Record>, usize), Refusal> {
    let text = encoding.decode(sent, max_body_bytes)?;
    let records = split::records(&text, format).map_err(Refusal::Unreadable)?;
    Ok((records, text.len()))
}

fn refused<I>(feed: &Feed<I>, refusal: &Refusal) -> Response<Full<Bytes>> {
    let source = &*feed.name;
    if refusal.is_temporary() {
        tracing::debug!(source, reason = %refusal, "a request was turned away for now");
    } else {
        tracing::warn!(source, reason = %refusal, "a request was refused; its sender drops it");
    }
    feed.metrics.errors(refusal.error_type(), "receiving").inc();
    refusal.answer()
}
