//! OTLP over HTTP: logs whose body, or whose attributes, are profiles
//! (opentelemetry.io/docs/specs/otlp).
//!
//! An export is answered once its records are committed. `GET` and `HEAD` answer 200 without a
//! body, for health checks of senders.

mod answer;
mod json;
mod protobuf;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use self::answer::{Form, Refusal};
use super::{
    Feed,
    body::{self, BodyError, Encoding, Reading},
    json::{Unread, Written},
};
use crate::{
    listen::{self, Listener},
    record::Intake,
    telemetry::Throttle,
};

/// What is spoken inside TLS (ALPN).
pub const PROTOCOLS: &[&[u8]] = &[b"http/1.1"];

/// How long a connection may be idle: longer than senders keep theirs, so that it is the sender
/// who closes (the Collector after 90 s).
const IDLE: Duration = Duration::from_mins(2);

/// Which part of a log record is the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileFrom {
    /// The body: a list of key-value pairs, or text that is JSON.
    Body,
    /// The attributes.
    Attributes,
}

/// Takes exports until `stop`; what is under way then is still answered.
///
/// `max_body_bytes` bounds a body as it is sent and as it is after decompression.
pub async fn serve<I: Intake>(
    listener: Listener,
    feed: Feed<I>,
    profile_from: ProfileFrom,
    max_body_bytes: usize,
    stop: CancellationToken,
) {
    let source = Arc::new(Source {
        feed,
        profile_from,
        max_body_bytes,
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
    profile_from: ProfileFrom,
    max_body_bytes: usize,
    reading: Reading,
    throttle: Throttle,
}

impl<I: Intake> Source<I> {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return Response::default();
        }
        let form = Form::of(request.headers());
        // Where nothing says what the sender reads, it reads the reason as text.
        let answered_in = *form.as_ref().unwrap_or(&Form::Json);
        match self.take(request, form).await {
            Ok(rejected) => answered_in.taken(rejected),
            Err(refusal) => {
                self.report(&refusal);
                answered_in.refused(&refusal)
            }
        }
    }

    /// Returns once the records of an export are committed, with how many of them are invalid.
    async fn take(
        &self,
        request: Request<Incoming>,
        form: Result<Form, Refusal>,
    ) -> Result<u64, Refusal> {
        if request.uri().path() != "/v1/logs" {
            return Err(Refusal::Path(request.uri().path().to_owned()));
        }
        if request.method() != Method::POST {
            return Err(Refusal::Method);
        }
        let form = form?;
        let (head, incoming) = request.into_parts();
        let encoding = Encoding::of(&head.headers).map_err(BodyError::from)?;
        let (from, limit) = (self.profile_from, self.max_body_bytes);
        let sent = body::collect(incoming, &head.headers, limit).await?;
        let (length, compressed) = (sent.len(), encoding != Encoding::Identity);
        let read = move || read(sent, encoding, form, from, limit);
        let read = self.reading.read(length, compressed, read).await;
        let (written, bytes, _turn) = read.map_err(Refusal::Unavailable)??;
        self.feed.note(&written, &self.throttle);
        let batch = self.feed.batch(written.records, bytes);
        let taken = self.feed.intake.take(batch).await;
        let ack = taken.map_err(|error| Refusal::Unavailable(error.to_string()))?;
        // Each sink counts those that are invalid to it.
        Ok(ack.invalid.min(ack.received))
    }

    fn report(&self, refusal: &Refusal) {
        let source = &*self.feed.name;
        let error_type = refusal.error_type();
        self.feed.metrics.errors(error_type, "receiving").inc();
        if refusal.is_temporary() {
            tracing::debug!(source, reason = %refusal, "an export was turned away for now");
        } else if let Some(similar) = self.throttle.pass(error_type) {
            tracing::warn!(
                source, reason = %refusal, similar,
                "an export was refused; its sender drops it"
            );
        }
    }
}

/// The records of an export in JSON, else in protobuf, or why there are none.
#[cfg(any(test, fuzzing))]
pub(super) fn decode(
    body: Bytes,
    in_json: bool,
    from: ProfileFrom,
    limit: usize,
) -> Result<Written, String> {
    let form = if in_json { Form::Json } else { Form::Protobuf };
    let read = read(body, Encoding::Identity, form, from, limit);
    read.map(|(written, _)| written).map_err(|refusal| refusal.to_string())
}

/// The records of a body and the size of it after decompression.
fn read(
    sent: Bytes,
    encoding: Encoding,
    form: Form,
    from: ProfileFrom,
    limit: usize,
) -> Result<(Written, usize), Refusal> {
    let body = encoding.decode(sent, limit).map_err(BodyError::from)?;
    let room = body::room(limit);
    let records = match form {
        Form::Protobuf => protobuf::read(&body, from, room),
        Form::Json => json::read(&body, from, room),
    };
    match records {
        Ok(records) => Ok((records.finish(), body.len())),
        Err(Unread::Full) => Err(BodyError::TooLarge(limit).into()),
        Err(Unread::Malformed(reason)) => {
            Err(Refusal::Unreadable(format!("the export cannot be read: {reason}")))
        }
    }
}
