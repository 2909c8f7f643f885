use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

use super::{
    super::body::{BodyError, ENCODINGS},
    auth::NoSecret,
};
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
    /// The body cannot be had.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The sender does not prove who it is; the challenge says how.
    #[error("the sender has no or wrong credentials; give it those of `auth` of this source")]
    Unauthorized(&'static str),
    /// It cannot be told who is let in.
    #[error(transparent)]
    NoSecret(NoSecret),
    /// The records cannot be made safe now.
    #[error("{0}")]
    Unavailable(String),
}

impl Refusal {
    /// Whether the sender is expected to keep the records and send them again.
    pub(super) fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Body(BodyError::Incomplete(_)) | Self::NoSecret(_) | Self::Unavailable(_)
        )
    }

    /// The `error_type` under which it is counted.
    pub(super) fn error_type(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable_body",
            Self::Method => "method",
            Self::Body(error) => error.error_type(),
            Self::Unauthorized(_) => "authentication",
            Self::NoSecret(_) => "secret",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// The answer to the sender.
    pub(super) fn answer(&self) -> Response<Full<Bytes>> {
        let (status, hint) = match self {
            Self::Unreadable(_) | Self::Body(BodyError::Encoded(EncodingError::Damaged { .. })) => {
                (StatusCode::BAD_REQUEST, None)
            }
            Self::Method => {
                (StatusCode::METHOD_NOT_ALLOWED, Some((header::ALLOW, "POST, GET, HEAD")))
            }
            Self::Body(BodyError::Incomplete(_)) => (StatusCode::REQUEST_TIMEOUT, None),
            Self::Body(BodyError::TooLarge(_)) => (StatusCode::PAYLOAD_TOO_LARGE, None),
            Self::Body(BodyError::Encoded(_)) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, Some((header::ACCEPT_ENCODING, ENCODINGS)))
            }
            Self::Unauthorized(challenge) => {
                (StatusCode::UNAUTHORIZED, Some((header::WWW_AUTHENTICATE, *challenge)))
            }
            Self::NoSecret(_) | Self::Unavailable(_) => {
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
