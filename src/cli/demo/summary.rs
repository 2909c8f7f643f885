use std::{collections::BTreeMap, fmt::Write, time::Duration};

use profile_http::{
    local_endpoint::{Quantiles, Report},
    record::Ack,
    telemetry::Component,
};
use serde::Serialize;

/// What came of a demo.
#[derive(Serialize)]
pub(super) struct Summary {
    /// Updates that the source acknowledged.
    received: u64,
    /// Those that changed nothing relevant.
    unchanged: u64,
    /// Those of profiles in no mapped segment.
    not_followed: u64,
    /// Those that made a profile due.
    changed: u64,
    /// Versions that the sink delivered.
    exported: u64,
    /// Versions that the endpoint took, each counted once.
    delivered: u64,
    /// Attempts that the sink repeated.
    retried: u64,
    /// Requests that the endpoint refused.
    refused: u64,
    /// Versions that the endpoint took more than once.
    duplicates: u64,
    /// Profiles of which the endpoint does not have the latest.
    lost: u64,
    /// Versions that came after a newer one.
    order_violations: u64,
    /// Access tokens that the endpoint granted.
    tokens: u64,
    /// Custom headers as the endpoint saw them.
    custom_headers: BTreeMap<String, String>,
    seconds: f64,
    requests_per_second: f64,
    /// From the acknowledgement of an update to the arrival of the export.
    latency_ms: Quantiles,
}

impl Summary {
    pub(super) fn new(
        acknowledged: &Ack,
        sink: &Component,
        endpoint: Report,
        lost: u64,
        took: Duration,
    ) -> Self {
        let seconds = took.as_secs_f64();
        Self {
            received: acknowledged.received,
            unchanged: acknowledged.unchanged,
            not_followed: acknowledged.not_followed,
            changed: acknowledged.changed,
            exported: sink.sent_events.get(),
            delivered: endpoint.taken - endpoint.duplicates,
            retried: sink.retries.get(),
            refused: endpoint.refused,
            duplicates: endpoint.duplicates,
            lost,
            order_violations: endpoint.order_violations,
            tokens: endpoint.tokens,
            custom_headers: endpoint.headers,
            seconds: tenths(seconds),
            requests_per_second: tenths(per(endpoint.requests, seconds)),
            latency_ms: endpoint.latency_ms,
        }
    }

    pub(super) fn to_json(&self) -> String {
        let json = serde_json::to_string(self).expect("counts and texts can be written as JSON");
        json + "\n"
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = format!("In {:.1} seconds\n\n", self.seconds);
        let mut line = |count: u64, what: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{:>12}  {what}", grouped(count));
        };
        line(self.received, "updates of sample profiles were taken and are safe on disk");
        line(self.unchanged, "of them changed nothing that the endpoint wants to know: no request");
        line(self.not_followed, "were of profiles in none of the mapped segments: no request");
        line(self.changed, "changed a mapped attribute, a mapped segment or an identity");
        line(
            self.exported,
            "exports were sent; newer updates took the place of others that waited",
        );
        line(self.delivered, "arrived, as the endpoint counted them");
        line(self.refused, "requests were refused on purpose");
        line(self.retried, "attempts were repeated");
        line(self.duplicates, "exports arrived again, because their first answer was lost");
        line(self.lost, "profiles were lost");
        line(self.order_violations, "versions arrived after a newer one");
        let Quantiles { p50, p99, .. } = self.latency_ms;
        let headers: Vec<_> =
            self.custom_headers.iter().map(|(n, v)| format!("{n}: {v}")).collect();
        let _ = write!(
            text,
            "\n{:.0} requests a second, each with an access token ({} fetched by client \
             credentials)\nand {}\nFrom an update to its arrival: half within {p50:.1} ms, 99 % \
             within {p99:.1} ms\n",
            self.requests_per_second,
            self.tokens,
            headers.join(", "),
        );
        text
    }

    /// What went wrong, if anything did.
    pub(super) fn verdict(&self) -> Result<(), String> {
        let Self { lost, order_violations, .. } = self;
        if *lost == 0 && *order_violations == 0 {
            return Ok(());
        }
        Err(format!("{lost} profiles lost, {order_violations} versions overtaken"))
    }
}

/// A count with its thousands set apart.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "no demo sends that many requests")]
fn per(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds.max(0.001)
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let texts = [0, 7, 999, 1000, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "7", "999", "1,000", "1,234,567"]);
    }
}
