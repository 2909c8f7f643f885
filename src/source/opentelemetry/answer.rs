use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

use super::super::{
    body::{BodyError, ENCODINGS},
    protobuf::write,
};
use crate::encoding::EncodingError;

/// How an export is written, and the answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Protobuf,
    Json,
}

/// Why an export is not taken.
///
/// Senders repeat what was answered with 429, 502, 503 or 504, and drop it on any other status.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// Nothing in the body can be read.
    #[error("{0}")]
    Unreadable(String),
    /// The body cannot be had.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// It is neither protobuf nor JSON.
    #[error(
        "Content-Type {0:?} is neither application/x-protobuf nor application/json, which is what \
         OTLP over HTTP has"
    )]
    MediaType(String),
    /// It is sent to another path.
    #[error("nothing is served at {0}: profiles are logs, which are sent to /v1/logs")]
    Path(String),
    /// The method carries no records.
    #[error("logs are sent with POST")]
    Method,
    /// The records cannot be made safe now.
    #[error("{0}")]
    Unavailable(String),
}

impl Refusal {
    /// Whether the sender is expected to keep the records and send them again.
    pub(super) fn is_temporary(&self) -> bool {
        self.status() == StatusCode::SERVICE_UNAVAILABLE
    }

    /// The `error_type` under which it is counted.
    pub(super) fn error_type(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable_body",
            Self::Body(error) => error.error_type(),
            Self::MediaType(_) => "content_type",
            Self::Path(_) => "path",
            Self::Method => "method",
            Self::Unavailable(_) => "unavailable",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Unreadable(_) | Self::Body(BodyError::Encoded(EncodingError::Damaged { .. })) => {
                StatusCode::BAD_REQUEST
            }
            Self::Body(BodyError::TooLarge(_)) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyError::Encoded(_)) | Self::MediaType(_) => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::Path(_) => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Body(BodyError::Incomplete(_)) | Self::Unavailable(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }
}

impl Form {
    /// Reads `Content-Type`.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let value = headers.get(header::CONTENT_TYPE).map_or(&[][..], |value| value.as_bytes());
        let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        [Self::Protobuf, Self::Json]
            .into_iter()
            .find(|form| essence.eq_ignore_ascii_case(form.media_type().as_bytes()))
            .ok_or_else(|| Refusal::MediaType(String::from_utf8_lossy(value).into_owned()))
    }

    /// The answer to an export of which `rejected` records were set aside
    /// (`ExportLogsServiceResponse`).
    pub(super) fn taken(self, rejected: u64) -> Response<Full<Bytes>> {
        let message = "they were set aside as invalid; the log of profile-http says why";
        let body = match self {
            Self::Protobuf if rejected == 0 => Vec::new(),
            Self::Protobuf => {
                write::bytes(1, [write::number(1, rejected), write::bytes(2, message)].concat())
            }
            Self::Json => {
                let partial_success = (rejected > 0).then(|| PartialSuccess {
                    rejected_log_records: rejected.to_string(),
                    error_message: message,
                });
                json(&Taken { partial_success })
            }
        };
        self.answer(StatusCode::OK, body)
    }

    /// The answer that says why an export is not taken (`google.rpc.Status`).
    pub(super) fn refused(self, refusal: &Refusal) -> Response<Full<Bytes>> {
        let message = refusal.to_string();
        let body = match self {
            Self::Protobuf => write::bytes(2, message),
            Self::Json => json(&Status { message }),
        };
        let mut answer = self.answer(refusal.status(), body);
        let hint = match refusal {
            Refusal::Method => (header::ALLOW, "POST, GET, HEAD"),
            Refusal::Body(BodyError::Encoded(_)) => (header::ACCEPT_ENCODING, ENCODINGS),
            refusal if refusal.is_temporary() => (header::RETRY_AFTER, "1"),
            _ => return answer,
        };
        answer.headers_mut().insert(hint.0, HeaderValue::from_static(hint.1));
        answer
    }

    fn answer(self, status: StatusCode, body: Vec<u8>) -> Response<Full<Bytes>> {
        let mut answer = Response::new(Full::from(body));
        *answer.status_mut() = status;
        let media_type = HeaderValue::from_static(self.media_type());
        answer.headers_mut().insert(header::CONTENT_TYPE, media_type);
        answer
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// `ExportLogsServiceResponse`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Taken {
    #[serde(skip_serializing_if = "Option::is_none")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PartialSuccess {
    /// Text, as 64-bit integers are in protobuf's JSON.
    rejected_log_records: String,
    error_message: &'static str,
}

/// `google.rpc.Status`
#[derive(Serialize)]
struct Status {
    message: String,
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("counts and texts can be written as JSON")
}
