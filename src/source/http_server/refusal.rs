use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

use crate::{encoding::EncodingError, listen::json_answer};

/// Why a request is not acknowledged.
///
/// Vector and Fluent Bit keep what they sent on 408, 429 and 503 and drop it on any other 4xx, so
/// a trouble that may pass must be one of those.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// Nothing in the body can be read.
    #[error("{0}")]
    Unreadable(String),
    /// The method carries no records.
    #[error("records are sent with POST")]
    Method,
    /// The body broke off or stopped coming.
    #[error("the body did not arrive whole: {0}")]
    Incomplete(String),
    /// The body is longer than the limit.
    #[error("the body is longer than max_body_bytes, {0}; send smaller batches or raise it")]
    TooLarge(usize),
    /// The body is compressed in an unknown way.
    #[error("Content-Encoding {0:?} is not one of gzip, zstd, deflate")]
    Encoding(String),
    /// The records cannot be made safe now.
    #[error("{0}")]
    Unavailable(String),
}

impl From<EncodingError> for Refusal {
    fn from(error: EncodingError) -> Self {
        match error {
            EncodingError::Unknown(name) => Self::Encoding(name),
            EncodingError::Damaged(what) => Self::Unreadable(what),
            EncodingError::TooLong(limit) => Self::TooLarge(limit),
        }
    }
}

impl Refusal {
    /// Whether the sender is expected to keep the records and send them again.
    pub(super) fn is_temporary(&self) -> bool {
        matches!(self, Self::Incomplete(_) | Self::Unavailable(_))
    }

    /// The `error_type` under which it is counted.
    pub(super) fn error_type(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable_body",
            Self::Method => "method",
            Self::Incomplete(_) => "incomplete_body",
            Self::TooLarge(_) => "body_too_large",
            Self::Encoding(_) => "content_encoding",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// The answer to the sender.
    pub(super) fn answer(&self) -> Response<Full<Bytes>> {
        let (status, hint) = match self {
            Self::Unreadable(_) => (StatusCode::BAD_REQUEST, None),
            Self::Method => {
                (StatusCode::METHOD_NOT_ALLOWED, Some((header::ALLOW, "POST, GET, HEAD")))
            }
            Self::Incomplete(_) => (StatusCode::REQUEST_TIMEOUT, None),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, None),
            Self::Encoding(_) => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                Some((header::ACCEPT_ENCODING, "gzip, zstd, deflate")),
            ),
            Self::Unavailable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, Some((header::RETRY_AFTER, "1")))
            }
        };
        let mut answer = json_answer(status, &Reason { error: self.to_string() });
        if let Some((name, value)) = hint {
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        answer
    }
}

#[derive(Serialize)]
struct Reason {
    error: String,
}
