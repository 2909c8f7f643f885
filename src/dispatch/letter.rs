//! The dead letter of a version: what an operator needs to find out why.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::{batch::Item, export::Finished, outcome::describe};
use crate::{
    clock::Micros,
    delivery::results::ItemResult,
    store::{Claim, DeadLetter, LetterKind},
};

/// Bytes of an answer that are kept.
const ANSWER_BYTES: usize = 4096;

/// Characters of a header's value that are kept.
const VALUE_CHARS: usize = 256;

/// Headers under which endpoints name a request in their own logs.
const REQUEST_IDS: [&str; 4] =
    ["x-request-id", "request-id", "x-correlation-id", "x-amzn-requestid"];

/// Other headers that help to find out why.
const OF_USE: [&str; 5] = ["content-type", "date", "retry-after", "server", "www-authenticate"];

/// The letter of a version that was refused: by the answer, or by what the answer says of this
/// profile. `before` begins its reason.
pub(super) fn refused(
    finished: &Finished,
    item: &Item,
    result: Option<&ItemResult>,
    before: &str,
    now: Micros,
) -> DeadLetter {
    let answer = finished.result.as_ref().ok();
    let mut letter = DeadLetter {
        kind: LetterKind::Refused,
        version: item.version,
        status: answer.map_or(0, |answer| answer.status().as_u16()),
        request_id: answer.and_then(|answer| request_id(answer.headers())),
        reason: format!("{before}{}", describe(&finished.result)),
        headers: answer.map_or(Vec::new(), |answer| of_use(answer.headers())),
        answer: answer.map_or(Bytes::new(), |answer| excerpt(answer.body())),
        attempts: item.attempts.saturating_add(finished.trail.attempts()),
        due_since: item.due_since,
        at: now,
    };
    if let Some(result) = result {
        letter.status = result.status.map_or(letter.status, |status| status.as_u16());
        letter.answer = excerpt(&result.text);
        let said = result.status.map_or("a failure".to_owned(), |status| status.to_string());
        letter.reason = format!("{said} for this profile in an answer {}", letter.reason);
    }
    letter
}

/// The letter of a version of which no request can be made.
pub fn unrenderable(claim: &Claim, reason: String, now: Micros) -> DeadLetter {
    DeadLetter {
        kind: LetterKind::Unrenderable,
        version: claim.version,
        status: 0,
        request_id: None,
        reason,
        headers: Vec::new(),
        answer: Bytes::new(),
        attempts: 0,
        due_since: claim.due_since,
        at: now,
    }
}

fn request_id(headers: &HeaderMap) -> Option<String> {
    REQUEST_IDS.iter().find_map(|name| headers.get(*name)).map(text)
}

fn of_use(headers: &HeaderMap) -> Vec<(String, String)> {
    let names = OF_USE.into_iter().chain(REQUEST_IDS);
    names.filter_map(|name| Some((name.to_owned(), text(headers.get(name)?)))).collect()
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).chars().take(VALUE_CHARS).collect()
}

/// A copy, so that the rest of the answer is not kept in memory with it.
fn excerpt(body: &Bytes) -> Bytes {
    Bytes::copy_from_slice(&body[..body.len().min(ANSWER_BYTES)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_headers_those_of_use_are_kept_and_cut() {
        let mut headers = HeaderMap::new();
        headers.insert("set-cookie", HeaderValue::from_static("session=1"));
        headers.insert("x-correlation-id", HeaderValue::from_static("c-7"));
        headers.insert("server", HeaderValue::try_from("s".repeat(5000)).unwrap());
        headers.insert("date", HeaderValue::from_bytes(b"caf\xe9").unwrap());
        let kept = of_use(&headers);
        let kept: Vec<_> = kept.iter().map(|(name, value)| (&**name, &**value)).collect();
        let server = "s".repeat(256);
        assert_eq!(
            kept,
            [("date", "caf\u{fffd}"), ("server", &*server), ("x-correlation-id", "c-7")]
        );
        assert_eq!(request_id(&headers).as_deref(), Some("c-7"));
    }
}
