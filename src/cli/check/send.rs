use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Response;
use profile_http::{
    clock::Clock,
    config::SinkPlan,
    delivery::{self, AttemptError, Class, Gate, Trail},
    dispatch::Exporter,
    profile::MappedAt,
    telemetry::Component,
};
use tokio::time::Instant;
use tower::ServiceExt;

use super::step::Step;

/// The longest part of an answer that is shown.
const ANSWER_CHARS: usize = 300;

const STEP: &str = "send";

/// Sends what the sink makes of a record, once, through the whole of its stack.
pub(super) async fn send(sink: &SinkPlan, record: &[u8]) -> Step {
    match deliver(sink, record).await {
        Ok(detail) => Step::ok(STEP, detail),
        Err(detail) => Step::failed(STEP, detail),
    }
}

async fn deliver(sink: &SinkPlan, record: &[u8]) -> Result<String, String> {
    let projected = sink.mapping.project(0, record).map_err(|invalid| {
        format!("the sink cannot read the record: {}; compare it with profile", invalid.reason)
    })?;
    let clock = Clock::system();
    let now = clock.now();
    let known = sink.mapping.advance(None, projected.keep(), now).known;
    let mapped_at = MappedAt::of(sink.mapping.spec(), None, now);
    let mut settings = sink.delivery.clone();
    // One attempt, whose answer is what is wanted.
    settings.request.retry.attempts = 0;
    let exporter =
        Exporter::new(Arc::clone(&sink.mapping), Arc::new(mapped_at), now.into(), &settings)
            .batching(&sink.batch, &settings);
    let export = exporter.export(&known, now, 0).map_err(|error| error.to_string())?;
    let request = exporter.request(std::iter::once(&export), &Trail::default());

    let metrics = Component::detached();
    let gate = Gate::new(settings.request.retry_after_max, Arc::clone(&metrics));
    let stack =
        delivery::stack(&settings, &gate, &clock, &metrics).map_err(|error| error.to_string())?;
    let began = Instant::now();
    let answer = stack.service.oneshot(request).await;
    let took = began.elapsed();
    match settings.request.classes.of(&answer) {
        Some(Class::Delivered) => Ok(taken(&answer, took)),
        // The gate knows what to do about what concerns the endpoint as a whole.
        Some(Class::Endpoint) => Err(gate.status().message.unwrap_or_else(|| said(&answer))),
        Some(Class::Refused) => Err(format!(
            "{}; the endpoint refuses this profile: compare what is sent (profile-http explain) \
             with what it expects, or send a record of yours with --send=FILE",
            said(&answer)
        )),
        Some(Class::Later) | None => Err(format!("{}; try again later", said(&answer))),
    }
}

fn taken(answer: &Result<Response<Bytes>, AttemptError>, took: Duration) -> String {
    format!("{} after {} ms", said(answer), took.as_millis())
}

/// What came back, in one line.
fn said(answer: &Result<Response<Bytes>, AttemptError>) -> String {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return error.to_string(),
    };
    let text = String::from_utf8_lossy(answer.body());
    let text: String = text.trim().chars().take(ANSWER_CHARS).map(visible).collect();
    match text.as_str() {
        "" => format!("the endpoint answers {}", answer.status()),
        text => format!("the endpoint answers {}: {text}", answer.status()),
    }
}

/// An answer cannot write over the lines before it.
fn visible(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}
