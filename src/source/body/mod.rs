//! Bodies of requests: the whole of one, decompressed, of a bounded size.

mod collect;
mod reading;

pub(super) use collect::{collect, discard};
pub(super) use reading::Reading;

use crate::encoding::EncodingError;
pub(super) use crate::encoding::{ENCODINGS, Encoding};

/// The option that bounds a body, as it is sent and as it is after decompression.
pub(super) const LIMIT: &str = "max_body_bytes";

/// How much the records of a body may take in memory, whose limit is `limit`: JSON is longer than
/// what it is written from, and very many very small records take more than their text.
pub(super) fn room(limit: usize) -> usize {
    limit.saturating_mul(4)
}

/// Why a body cannot be had.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    /// It broke off or stopped coming.
    #[error("the body did not arrive whole: {0}")]
    Incomplete(String),
    /// It is longer than the limit.
    #[error(
        "the body is longer than {LIMIT}, {0}, or holds too many records for it; send smaller batches or raise it"
    )]
    TooLarge(usize),
    /// It cannot be decompressed.
    #[error(transparent)]
    Encoded(EncodingError),
}

impl BodyError {
    /// The `error_type` under which it is counted.
    pub(super) fn error_type(&self) -> &'static str {
        match self {
            Self::Incomplete(_) => "incomplete_body",
            Self::TooLarge(_) => "body_too_large",
            Self::Encoded(EncodingError::Unknown(_)) => "content_encoding",
            Self::Encoded(_) => "unreadable_body",
        }
    }
}

impl From<EncodingError> for BodyError {
    fn from(error: EncodingError) -> Self {
        match error {
            EncodingError::TooLong(limit) => Self::TooLarge(limit),
            error => Self::Encoded(error),
        }
    }
}
