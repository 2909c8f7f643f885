use std::io;

use crate::source::msgpack::{Full, Malformed};

/// Why a connection is closed. What was not acknowledged stays with the sender.
#[derive(Debug, thiserror::Error)]
pub(in crate::source) enum Trouble {
    /// The bytes are not the forward protocol at all.
    #[error("{0}")]
    Foreign(&'static str),
    /// The bytes are no `MessagePack`.
    #[error("a message cannot be read: {0}; it may have been damaged on the way")]
    Malformed(#[from] Malformed),
    /// The values are not what the protocol says.
    #[error(
        "a message is not as the forward protocol has it: {0}; check that the sender's output is \
         `forward`"
    )]
    Shape(&'static str),
    /// The message is too long.
    #[error("a message is longer than max_frame_bytes, {0}; send smaller chunks or raise it")]
    TooLong(usize),
    /// What is in the message is too long.
    #[error(
        "what a message holds is longer than max_decompressed_bytes, {0}; send smaller chunks or \
         raise it"
    )]
    TooLarge(usize),
    /// The entries are compressed in an unknown way.
    #[error("`compressed: {0}` is not known; set `compress` of the sender to gzip or zstd")]
    Compression(String),
    /// What is compressed cannot be decompressed.
    #[error("the {0} data of a message is damaged: {1}")]
    Damaged(&'static str, io::Error),
    /// The sender did not prove itself.
    #[error("{0}")]
    Denied(&'static str),
    /// The shared key or a password cannot be read.
    #[error("cannot read a secret, so nobody is let in: {0}")]
    Secret(String),
    /// Nothing came for too long in the middle of a message.
    #[error("the rest of a message did not come within {0}s")]
    Stalled(u64),
    /// Acknowledgements are not read.
    #[error("the sender did not read its acknowledgements for {0}s")]
    Unread(u64),
    /// The records cannot be made safe now, and the sender asked for no acknowledgement.
    #[error("{0}")]
    Unavailable(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
}

impl Trouble {
    pub(super) fn shape(what: &'static str) -> Self {
        Self::Shape(what)
    }

    /// Why records could not be written with this limit.
    pub(super) fn full(full: Full, limit: usize) -> Self {
        match full {
            Full::Malformed(malformed) => malformed.into(),
            Full::Limit => Self::TooLarge(limit),
        }
    }

    /// What the first bytes of a connection that are no message look like.
    pub(super) fn foreign(first: &[u8]) -> Option<Self> {
        let what = match first {
            [0x16, 0x03, ..] => {
                "the sender speaks TLS; give this source `tls`, or switch it off in the sender"
            }
            [b'{' | b'[', ..] => {
                "the sender speaks JSON; only MessagePack is understood here, as Fluentd, Fluent \
                 Bit and their loggers send it"
            }
            [first, ..] if first.is_ascii_uppercase() => {
                "the sender speaks HTTP or another protocol; this port is for `forward`, a source \
                 of type `http_server` takes HTTP"
            }
            _ => return None,
        };
        Some(Self::Foreign(what))
    }

    /// The `error_type` under which it is counted.
    pub(in crate::source) fn error_type(&self) -> &'static str {
        match self {
            Self::Foreign(_) => "foreign_protocol",
            Self::Malformed(_) => "malformed_message",
            Self::Shape(_) => "unexpected_message",
            Self::TooLong(_) => "message_too_long",
            Self::TooLarge(_) => "content_too_large",
            Self::Compression(_) => "unknown_compression",
            Self::Damaged(..) => "damaged_compression",
            Self::Denied(_) => "authentication",
            Self::Secret(_) => "secret",
            Self::Stalled(_) => "incomplete_message",
            Self::Unread(_) => "unread_acknowledgement",
            Self::Unavailable(_) => "unavailable",
            Self::Broken(_) => "connection",
        }
    }
}
