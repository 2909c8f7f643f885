use std::sync::Arc;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_TYPE, USER_AGENT},
};
use tower::Layer;

use super::Headers;

const AGENT: &str = concat!("profile-http/", env!("CARGO_PKG_VERSION"));

/// Writes headers into each request; see [`Headers`].
#[derive(Clone, Debug)]
pub struct HeadersLayer {
    fixed: Arc<HeaderMap>,
}

impl HeadersLayer {
    /// A layer that writes these headers beside its own. `Content-Type` and `User-Agent` among them
    /// replace ours. Values whose name tells of a secret are marked sensitive, so that no debug
    /// output shows them.
    pub fn new(custom: HeaderMap) -> Self {
        let mut fixed = custom;
        for (name, value) in &mut fixed {
            if tells_of_a_secret(name) {
                value.set_sensitive(true);
            }
        }
        fixed.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        fixed.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
        Self { fixed: Arc::new(fixed) }
    }
}

impl<S> Layer<S> for HeadersLayer {
    type Service = Headers<S>;

    fn layer(&self, inner: S) -> Headers<S> {
        Headers { inner, fixed: Arc::clone(&self.fixed) }
    }
}

fn tells_of_a_secret(name: &HeaderName) -> bool {
    ["auth", "cookie", "key", "password", "secret", "signature", "token"]
        .iter()
        .any(|word| name.as_str().contains(word))
}
