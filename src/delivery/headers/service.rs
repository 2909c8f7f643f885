use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tower::Service;

use crate::delivery::{AttemptError, IdempotencyKey, ProfileVersion};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PROFILE_VERSION: HeaderName = HeaderName::from_static("profile-version");

/// Writes the fixed headers, `Idempotency-Key` and `Profile-Version` into each request. A header
/// that the request already has is left as it is.
#[derive(Clone, Debug)]
pub struct Headers<S> {
    pub(super) inner: S,
    pub(super) fixed: Arc<HeaderMap>,
}

impl<S> Service<Request<Bytes>> for Headers<S>
where
    S: Service<Request<Bytes>, Response = Response<Bytes>, Error = AttemptError>,
{
    type Response = Response<Bytes>;
    type Error = AttemptError;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Bytes>) -> Self::Future {
        let key = request.extensions().get::<IdempotencyKey>().copied();
        let version = request.extensions().get::<ProfileVersion>().copied();
        let headers = request.headers_mut();
        // Cloning the fixed headers whole is cheaper than inserting them one by one.
        let own = mem::replace(headers, HeaderMap::clone(&self.fixed));
        if let Some(key) = key {
            headers.insert(IDEMPOTENCY_KEY, hex(key));
        }
        if let Some(version) = version {
            headers.insert(PROFILE_VERSION, HeaderValue::from(version.0));
        }
        let mut name = None;
        for (next, value) in own {
            if let Some(next) = next {
                headers.insert(&next, value);
                name = Some(next);
            } else if let Some(name) = &name {
                headers.append(name, value);
            }
        }
        self.inner.call(request)
    }
}

fn hex(key: IdempotencyKey) -> HeaderValue {
    let digits = std::array::from_fn::<u8, 32, _>(|place| {
        let nibble = key.0 >> (124 - 4 * place) & 0xf;
        b"0123456789abcdef"[nibble as usize]
    });
    HeaderValue::from_bytes(&digits).expect("hex digits are a valid header value")
}
