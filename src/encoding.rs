//! Content codings of HTTP bodies that arrive (RFC 9110 section 8.4).

use std::{
    fmt,
    io::{self, Read},
};

use bytes::Bytes;
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, header};

/// The encodings, for messages and for `Accept-Encoding`.
pub const ENCODINGS: &str = "gzip, zstd, deflate, snappy";

/// The largest window a zstd body may ask for: 128 MiB. RFC 9659 has HTTP bound it at 8 MiB, but
/// Vector's `level: best` asks for 64 MiB. Only as much of it is used as there is text.
const ZSTD_WINDOW_LOG: u32 = 27;

/// How framed Snappy begins. In a raw block it would be a length and then a copy of what there is
/// not yet.
const SNAPPY_FRAMES: &[u8] = b"\xff\x06\x00\x00sNaPpY";

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
    /// Snappy, one block or framed.
    Snappy,
}

/// Why a body cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodingError {
    /// It is compressed in an unknown way.
    #[error("Content-Encoding {0:?} is not one of {ENCODINGS}")]
    Unknown(String),
    /// It is not what `Content-Encoding` says, or not whole.
    #[error("the {encoding} body is damaged: {reason}")]
    Damaged {
        /// How it should be compressed.
        encoding: Encoding,
        /// What the decompressor said.
        reason: String,
    },
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
            "" | "identity" | "none" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            "deflate" | "zlib" => Ok(Self::Deflate),
            "snappy" | "x-snappy-framed" => Ok(Self::Snappy),
            _ => Err(EncodingError::Unknown(name)),
        }
    }

    /// Decompresses a body to at most `limit` bytes.
    pub fn decode(self, sent: Bytes, limit: usize) -> Result<Bytes, EncodingError> {
        let damaged = |error: io::Error| self.damaged(&error);
        match self {
            Self::Identity => Ok(sent),
            Self::Gzip => self.read(MultiGzDecoder::new(&sent[..]), limit),
            // In HTTP, "deflate" is deflate in a zlib wrapper (RFC 9110 section 8.4.1.2).
            Self::Deflate => self.read(ZlibDecoder::new(&sent[..]), limit),
            Self::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(&sent[..]).map_err(damaged)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(damaged)?;
                self.read(decoder, limit)
            }
            Self::Snappy if sent.starts_with(SNAPPY_FRAMES) => {
                self.read(snap::read::FrameDecoder::new(&sent[..]), limit)
            }
            // One raw block is what Vector and Fluent Bit send.
            Self::Snappy => {
                let damaged = |error: snap::Error| self.damaged(&error);
                if snap::raw::decompress_len(&sent).map_err(damaged)? > limit {
                    return Err(EncodingError::TooLong(limit));
                }
                let text = snap::raw::Decoder::new().decompress_vec(&sent).map_err(damaged)?;
                Ok(text.into())
            }
        }
    }

    fn read(self, reader: impl Read, limit: usize) -> Result<Bytes, EncodingError> {
        let mut text = Vec::new();
        // One byte more than allowed tells a longer body from one of just that length.
        let bound = (limit as u64).saturating_add(1);
        reader.take(bound).read_to_end(&mut text).map_err(|error| self.damaged(&error))?;
        if text.len() > limit {
            return Err(EncodingError::TooLong(limit));
        }
        Ok(text.into())
    }

    fn damaged(self, error: &impl ToString) -> EncodingError {
        EncodingError::Damaged { encoding: self, reason: error.to_string() }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identity => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Deflate => "deflate",
            Self::Snappy => "snappy",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn streamed(level: i32, text: &[u8]) -> Vec<u8> {
        let mut encoder = zstd::Encoder::new(Vec::new(), level).unwrap();
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn snappy_is_taken_as_one_block_and_in_frames() {
        let text = b"{\"n\":1}\n".repeat(100);
        let block = snap::raw::Encoder::new().compress_vec(&text).unwrap();
        let mut frames = snap::write::FrameEncoder::new(Vec::new());
        frames.write_all(&text).unwrap();
        for body in [block, frames.into_inner().unwrap()] {
            assert_eq!(Encoding::Snappy.decode(body.clone().into(), 800), Ok(text.clone().into()));
            let over = Encoding::Snappy.decode(body.clone().into(), 799);
            assert_eq!(over, Err(EncodingError::TooLong(799)));
            let cut = Bytes::from(body).split_to(20);
            assert!(matches!(
                Encoding::Snappy.decode(cut, 800),
                Err(EncodingError::Damaged { .. })
            ));
        }
    }

    #[test]
    fn the_length_that_a_block_announces_is_not_believed() {
        let announced = Bytes::from_static(b"\xff\xff\xff\xff\x0f\x00");
        let refused = Encoding::Snappy.decode(announced, 1 << 20);
        assert_eq!(refused, Err(EncodingError::TooLong(1 << 20)));
    }

    #[test]
    fn what_vector_calls_its_best_compression_is_taken() {
        let text = vec![b' '; 100_000];
        let body = streamed(21, &text);
        assert_eq!(Encoding::Zstd.decode(body.into(), 100_000), Ok(text.into()));
    }
}
