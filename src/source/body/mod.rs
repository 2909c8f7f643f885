//! Bodies of requests: the whole of one, decompressed, of a bounded size.

mod collect;
mod encoding;
mod reading;

pub(super) use collect::{collect, discard};
pub(super) use encoding::{ENCODINGS, Encoding};
pub(super) use reading::Reading;

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
    /// It is compressed in an unknown way.
    #[error("Content-Encoding {0:?} is not one of {ENCODINGS}")]
    Encoding(String),
    /// It cannot be decompressed.
    #[error("the {encoding} body is damaged: {reason}")]
    Damaged {
        /// How it should be compressed.
        encoding: Encoding,
        /// What the decompressor said.
        reason: String,
    },
}

impl BodyError {
    /// The `error_type` under which it is counted.
    pub(super) fn error_type(&self) -> &'static str {
        match self {
            Self::Incomplete(_) => "incomplete_body",
            Self::TooLarge(_) => "body_too_large",
            Self::Encoding(_) => "content_encoding",
            Self::Damaged { .. } => "unreadable_body",
        }
    }
}
