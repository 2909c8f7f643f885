use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

use super::BodyError;

/// How long a body may stop coming.
const STALL: Duration = Duration::from_mins(1);

/// How much of a body that is too long is still read.
const DISCARDED: usize = 64 * 1024 * 1024;

/// The most that is reserved on the word of `Content-Length` alone.
const RESERVED: usize = 1024 * 1024;

/// The whole body as it was sent, of at most `limit` bytes.
pub(in crate::source) async fn collect(
    mut body: Incoming,
    headers: &HeaderMap,
    limit: usize,
) -> Result<Bytes, BodyError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        discard(&mut body, headers).await;
        return Err(BodyError::TooLarge(limit));
    }
    let mut whole = BytesMut::new();
    let mut only = Bytes::new();
    while let Some(data) = next(&mut body).await? {
        if whole.len() + only.len() + data.len() > limit {
            read_on(&mut body).await;
            return Err(BodyError::TooLarge(limit));
        }
        // A body that comes in one piece, as small ones do, is not copied.
        if whole.is_empty() && only.is_empty() {
            only = data;
            continue;
        }
        if whole.is_empty() {
            whole.reserve(announced.clamp(only.len() + data.len(), RESERVED));
            whole.extend_from_slice(&std::mem::take(&mut only));
        }
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { only } else { whole.freeze() })
}

async fn next(body: &mut Incoming) -> Result<Option<Bytes>, BodyError> {
    loop {
        match timeout(STALL, body.frame()).await {
            Err(_) => {
                return Err(BodyError::Incomplete(format!(
                    "nothing came for {}s",
                    STALL.as_secs()
                )));
            }
            Ok(None) => return Ok(None),
            Ok(Some(Err(error))) => return Err(BodyError::Incomplete(error.to_string())),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// Reads a body that is not wanted, so that the sender reads the answer instead of failing to write.
pub(in crate::source) async fn discard(body: &mut Incoming, headers: &HeaderMap) {
    // A sender that waits to be told to go on need not send it at all.
    if !headers.contains_key(header::EXPECT) {
        read_on(body).await;
    }
}

/// Reads the rest, but not without end.
async fn read_on(body: &mut Incoming) {
    let mut left = DISCARDED;
    while let Ok(Some(data)) = next(body).await {
        left = match left.checked_sub(data.len()) {
            Some(left) => left,
            None => return,
        };
    }
}
