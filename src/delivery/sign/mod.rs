//! Signs requests by [Standard Webhooks](https://www.standardwebhooks.com) 1.0.0, so that an
//! endpoint knows who sent a body, that it is unchanged, and that nobody plays it back later.
//!
//! | header | value |
//! |---|---|
//! | `webhook-id` | the [`IdempotencyKey`](super::IdempotencyKey) of the request, the same for each attempt |
//! | `webhook-timestamp` | seconds since the epoch, of this attempt |
//! | `webhook-signature` | of `id.timestamp.body`: `v1,` and an HMAC-SHA256 for each secret, `v1a,` and an Ed25519 signature, with spaces between |
//!
//! Several secrets are for rotation: an endpoint accepts a request if it knows any of them. Those
//! that come from files are read again when they change.
//!
//! ```
//! # use bytes::Bytes;
//! use http::{Request, Response};
//! use profile_http::{
//!     clock::Clock,
//!     delivery::{AttemptError, IdempotencyKey, Secret, SigningSettings, sign::SignLayer},
//! };
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), AttemptError> {
//! let secret = Secret::Text("whsec_ZXhhbXBsZS1zZWNyZXQtbm90LWZvci11c2U=".into());
//! let settings = SigningSettings { secrets: vec![secret], ed25519_key: None };
//! let service = ServiceBuilder::new()
//!     .layer(SignLayer::new(settings, Clock::system()))
//!     .service(service_fn(async |request: Request<Bytes>| {
//!         assert_eq!(request.headers()["webhook-id"], "00000000000000000000000000000007");
//!         assert_eq!(request.headers()["webhook-signature"].len(), "v1,".len() + 44);
//!         Ok(Response::new(Bytes::new()))
//!     }));
//! let mut request = Request::new(Bytes::from_static(b"{}"));
//! request.extensions_mut().insert(IdempotencyKey(7));
//! service.oneshot(request).await?;
//! # Ok(()) }
//! ```

mod keys;
mod layer;
mod service;
mod signer;

#[cfg(test)]
mod tests;

pub use keys::{KeyKind, SigningError, check};
pub use layer::SignLayer;
pub use service::{Sign, SignFuture};
