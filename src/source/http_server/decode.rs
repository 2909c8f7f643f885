use std::io::{self, Read};

use bytes::Bytes;
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, header};

use super::refusal::Refusal;

/// The largest window a zstd body may ask for: 8 MiB, as RFC 9659 bounds it for HTTP.
const ZSTD_WINDOW_LOG: u32 = 23;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
    Deflate,
}

impl Encoding {
    /// Reads `Content-Encoding`.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let Some(value) = headers.get(header::CONTENT_ENCODING) else {
            return Ok(Self::Identity);
        };
        let name = String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase();
        match name.as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            "deflate" => Ok(Self::Deflate),
            _ => Err(Refusal::Encoding(name)),
        }
    }

    /// Decompresses a body to at most `limit` bytes.
    pub(super) fn decode(self, sent: Bytes, limit: usize) -> Result<Bytes, Refusal> {
        let damaged = |error: io::Error| {
            Refusal::Unreadable(format!("the {} body is damaged: {error}", self.name()))
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
            return Err(Refusal::TooLarge(limit));
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
