//! Content codings of HTTP bodies that arrive (RFC 9110 section 8.4).

use std::io::{self, Read};

use bytes::Bytes;
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, header};

/// The largest window a zstd body may ask for: 8 MiB, as RFC 9659 bounds it for HTTP.
const ZSTD_WINDOW_LOG: u32 = 23;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// gzip (RFC 1952).
    Gzip,
    /// zstd (RFC 8878).
    Zstd,
    /// deflate (RFC 1951) in a zlib wrapper.
    Deflate,
}

/// Why a body cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodingError {
    /// It is compressed in an unknown way.
    #[error("Content-Encoding {0:?} is not one of gzip, zstd, deflate")]
    Unknown(String),
    /// It is not what `Content-Encoding` says, or not whole.
    #[error("{0}")]
    Damaged(String),
    /// It is longer than the limit once it is decompressed.
    #[error("the body is longer than {0} bytes")]
    TooLong(usize),
}

impl Encoding {
    /// Reads `Content-Encoding`.
    pub fn of(headers: &HeaderMap) -> Result<Self, EncodingError> {
        let Some(value) = headers.get(header::CONTENT_ENCODING) else {
            return Ok(Self::Identity);
        };
        let name = String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase();
        match name.as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            "deflate" => Ok(Self::Deflate),
            _ => Err(EncodingError::Unknown(name)),
        }
    }

    /// Decompresses a body to at most `limit` bytes.
    pub fn decode(self, sent: Bytes, limit: usize) -> Result<Bytes, EncodingError> {
        let damaged = |error: io::Error| {
            EncodingError::Damaged(format!("the {} body is damaged: {error}", self.name()))
        };
        let mut reader: Box<dyn Read + '_> = match self {
            Self::Identity => return Ok(sent),
            Self::Gzip => Box::new(MultiGzDecoder::new(&sent[..])),
            // In HTTP, "deflate" is deflate in a zlib wrapper (RFC 9110 section 8.4.1.2).
            Self::Deflate => Box::new(ZlibDecoder::new(&sent[..])),
            Self::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(&sent[..]).map_err(damaged)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(damaged)?;
                Box::new(decoder)
            }
        };
        let mut text = Vec::new();
        // One byte more than allowed tells a longer body from one of just that length.
        let bound = (limit as u64).saturating_add(1);
        reader.by_ref().take(bound).read_to_end(&mut text).map_err(damaged)?;
        if text.len() > limit {
            return Err(EncodingError::TooLong(limit));
        }
        Ok(text.into())
    }

    fn name(self) -> &'static str {
        match self {
            Self::Identity => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Deflate => "deflate",
        }
    }
}
