//! As much of gRPC as calls with one message each way need
//! (github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).

use std::{
    convert::Infallible,
    fmt::Write,
    future::{Ready, ready},
};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::WithTrailers};

use crate::encoding::{Encoding, EncodingError};

/// What stands before a message: whether it is compressed, and its length in four bytes.
pub(super) const PREFIX: usize = 5;

const MEDIA_TYPE: &str = "application/grpc";
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPTED: HeaderName = HeaderName::from_static("grpc-accept-encoding");

pub(super) type Answer = Response<WithTrailers<Full<Bytes>, Ready<Trailers>>>;
type Trailers = Option<Result<HeaderMap, Infallible>>;

/// Why a call fails.
///
/// Vector keeps what it sent and sends it again, for ever, on any status but `NOT_FOUND`,
/// `INVALID_ARGUMENT`, `ALREADY_EXISTS`, `PERMISSION_DENIED`, `OUT_OF_RANGE`, `UNIMPLEMENTED`,
/// `UNAUTHENTICATED` and `DATA_LOSS`, on which it drops it. So those are for what can never be
/// taken; what can be once somebody has changed a setting must be another.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The message is larger than it may be.
    #[error(
        "the message is larger than max_message_bytes, {0}, or holds too many events for it; raise \
         it, or have Vector send less at once (`batch.max_bytes`, `batch.max_events`)"
    )]
    TooLarge(usize),
    /// The message is compressed in an unknown way.
    #[error("the compression {0:?} is not known here, only gzip and zstd are")]
    Encoding(String),
    /// There is no such method.
    #[error("{0} is not served here, only vector.Vector is")]
    Method(String),
    /// The message broke off, or cannot be made safe now.
    #[error("{reason}")]
    Unavailable {
        /// The `error_type` under which it is counted.
        error_type: &'static str,
        /// What is the matter.
        reason: String,
    },
    /// Nothing in the message can be read.
    #[error("the message cannot be read: {0}")]
    Unreadable(String),
}

impl Failure {
    /// The code of the status.
    fn code(&self) -> u8 {
        match self {
            // RESOURCE_EXHAUSTED
            Self::TooLarge(_) => 8,
            // FAILED_PRECONDITION. Servers are meant to say UNIMPLEMENTED.
            Self::Encoding(_) => 9,
            // UNIMPLEMENTED
            Self::Method(_) => 12,
            // UNAVAILABLE
            Self::Unavailable { .. } => 14,
            // DATA_LOSS
            Self::Unreadable(_) => 15,
        }
    }

    /// The `error_type` under which it is counted.
    pub(super) fn error_type(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "message_too_large",
            Self::Encoding(_) => "grpc_encoding",
            Self::Method(_) => "method",
            Self::Unavailable { error_type, .. } => error_type,
            Self::Unreadable(_) => "unreadable_message",
        }
    }
}

/// Whether a request is a call.
pub(super) fn is_call(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    match value.and_then(|value| value.strip_prefix(MEDIA_TYPE.as_bytes())) {
        Some(rest) => matches!(rest.first(), None | Some(b'+' | b';')),
        None => false,
    }
}

/// How messages of this call are compressed if they are.
pub(super) fn encoding(headers: &HeaderMap) -> Result<Encoding, Failure> {
    let Some(value) = headers.get(ENCODING) else { return Ok(Encoding::Identity) };
    match value.as_bytes() {
        b"identity" => Ok(Encoding::Identity),
        b"gzip" => Ok(Encoding::Gzip),
        b"zstd" => Ok(Encoding::Zstd),
        other => Err(Failure::Encoding(String::from_utf8_lossy(other).into_owned())),
    }
}

/// The message in a body, decompressed.
pub(super) fn message(mut body: Bytes, encoding: Encoding, limit: usize) -> Result<Bytes, Failure> {
    let unreadable = |reason: &str| Err(Failure::Unreadable(reason.to_owned()));
    let cut = || Failure::Unavailable {
        error_type: "incomplete_message",
        reason: "the message did not arrive whole".to_owned(),
    };
    if body.len() < PREFIX {
        return Err(cut());
    }
    let prefix = body.split_to(PREFIX);
    let announced = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
    match usize::try_from(announced) {
        Ok(length) if length > limit => return Err(Failure::TooLarge(limit)),
        Ok(length) if length == body.len() => {}
        Ok(length) if length < body.len() => return unreadable("more follows it"),
        _ => return Err(cut()),
    }
    match (prefix[0], encoding) {
        (0, _) => Ok(body),
        (1, Encoding::Identity) => unreadable("it is compressed, but nothing says how"),
        (1, encoding) => encoding.decode(body, limit).map_err(|error| match error {
            EncodingError::TooLong(_) => Failure::TooLarge(limit),
            error => Failure::Unreadable(error.to_string()),
        }),
        _ => unreadable("its first byte is neither 0 nor 1"),
    }
}

/// An answer with a message.
pub(super) fn answer(message: &[u8]) -> Answer {
    let length = u32::try_from(message.len()).expect("what is answered is a few bytes long");
    let mut body = BytesMut::with_capacity(PREFIX + message.len());
    body.put_u8(0);
    body.put_u32(length);
    body.extend_from_slice(message);
    let status = HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))]);
    respond(StatusCode::OK, body.freeze(), Some(Ok(status)))
}

/// An answer that says why a call fails.
pub(super) fn failed(failure: &Failure) -> Answer {
    let status = HeaderMap::from_iter([
        (STATUS, HeaderValue::from(u16::from(failure.code()))),
        (MESSAGE, percent_encoded(&failure.to_string())),
    ]);
    respond(StatusCode::OK, Bytes::new(), Some(Ok(status)))
}

/// The answer to a request that is no call.
pub(super) fn no_call() -> Answer {
    let text = "this is no gRPC call; point Vector's sink of type vector here\n";
    let mut answer = respond(StatusCode::UNSUPPORTED_MEDIA_TYPE, text.into(), None);
    let text = HeaderValue::from_static("text/plain");
    answer.headers_mut().insert(header::CONTENT_TYPE, text);
    answer
}

fn respond(status: StatusCode, body: Bytes, trailers: Trailers) -> Answer {
    let mut answer = Response::new(Full::new(body).with_trailers(ready(trailers)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(ACCEPTED, HeaderValue::from_static("gzip,zstd"));
    answer
}

/// Text as `grpc-message` holds it.
fn percent_encoded(text: &str) -> HeaderValue {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' | ..0x20 | 0x7f.. => {
                write!(encoded, "%{byte:02X}").expect("writing into memory cannot fail");
            }
            _ => encoded.push(char::from(byte)),
        }
    }
    HeaderValue::try_from(encoded).expect("what is left is printable ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(flag: u8, message: &[u8]) -> Bytes {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[flag][..], &length, message].concat().into()
    }

    #[test]
    fn a_message_is_taken_out_of_its_frame_and_decompressed() {
        let plain = message(framed(0, b"abc"), Encoding::Gzip, 3).unwrap();
        assert_eq!(plain, "abc", "what is not compressed says so itself");
        let compressed = zstd::encode_all(&b"abc"[..], 3).unwrap();
        let taken = message(framed(1, &compressed), Encoding::Zstd, 100).unwrap();
        assert_eq!(taken, "abc");
        assert_eq!(message(framed(0, b""), Encoding::Identity, 0).unwrap(), "");
    }

    #[test]
    fn what_broke_off_is_sent_again_and_what_is_wrong_is_not() {
        let code = |body: Bytes, encoding| message(body, encoding, 100).unwrap_err().code();
        let whole = framed(0, b"abc");
        assert_eq!(code(whole.slice(..4), Encoding::Identity), 14);
        assert_eq!(code(whole.slice(..7), Encoding::Identity), 14);
        assert_eq!(code([&whole[..], b"d"].concat().into(), Encoding::Identity), 15);
        assert_eq!(code(framed(1, b"abc"), Encoding::Identity), 15);
        assert_eq!(code(framed(1, b"abc"), Encoding::Gzip), 15);
        assert_eq!(code(framed(2, b"abc"), Encoding::Gzip), 15);
    }

    #[test]
    fn too_much_is_never_answered_with_a_status_on_which_vector_drops_it() {
        let dropped = [3, 5, 6, 7, 11, 12, 15, 16];
        let bomb = zstd::encode_all(&vec![0; 100_000][..], 3).unwrap();
        for body in [framed(0, &[0; 101]), framed(1, &bomb), framed(0, &[0; 101]).slice(..50)] {
            let failure = message(body, Encoding::Zstd, 100).unwrap_err();
            assert_eq!(failure.code(), 8);
        }
        let unknown = HeaderMap::from_iter([(ENCODING, HeaderValue::from_static("lz4"))]);
        assert!(!dropped.contains(&encoding(&unknown).unwrap_err().code()));
    }

    #[test]
    fn the_reason_is_written_so_that_a_header_can_hold_it() {
        assert_eq!(percent_encoded("50 % of \"\u{e9}\"\n"), "50 %25 of \"%C3%A9\"%0A");
    }

    #[test]
    fn a_call_is_told_by_its_media_type() {
        for (media_type, call) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            let value = HeaderValue::from_static(media_type);
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, value)]);
            assert_eq!(is_call(&headers), call, "{media_type}");
        }
        assert!(!is_call(&HeaderMap::new()));
    }
}
