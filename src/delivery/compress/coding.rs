use std::io::{self, Write};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderValue, Request, header::CONTENT_ENCODING};

use crate::delivery::Coding;

/// Of 800 KB of profiles this leaves 4 % more than the usual level 6, in a third of the time.
const LEVEL_GZIP: u32 = 1;

/// The level that zstd itself calls its default.
const LEVEL_ZSTD: i32 = 3;

impl Coding {
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// The request with this body in place of its own; as it was where compressing failed, for
    /// want of memory.
    pub(super) fn replace(
        self,
        mut request: Request<Bytes>,
        compressed: io::Result<Vec<u8>>,
    ) -> Request<Bytes> {
        match compressed {
            Ok(body) => {
                *request.body_mut() = body.into();
                let name = HeaderValue::from_static(self.name());
                request.headers_mut().insert(CONTENT_ENCODING, name);
            }
            Err(error) => tracing::warn!(%error, "a body is sent uncompressed"),
        }
        request
    }

    pub(super) fn compress(self, body: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip => {
                let room = Vec::with_capacity(body.len() / 2);
                let mut encoder = GzEncoder::new(room, Compression::new(LEVEL_GZIP));
                encoder.write_all(body)?;
                encoder.finish()
            }
            Self::Zstd => zstd::bulk::compress(body, LEVEL_ZSTD),
        }
    }
}
