//! Writes the headers of an export: `Content-Type`, `User-Agent`, the custom headers, and from the
//! request's extensions `Idempotency-Key` and `Profile-Version`.
//!
//! Names and values were checked when the configuration was read, so a call cannot fail.
//!
//! ```
//! # use bytes::Bytes;
//! use http::{HeaderMap, HeaderValue, Request, Response};
//! use profile_http::delivery::{AttemptError, ProfileVersion, headers::HeadersLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), AttemptError> {
//! let mut custom = HeaderMap::new();
//! custom.insert("x-tenant", HeaderValue::from_static("acme"));
//! let service = ServiceBuilder::new()
//!     .layer(HeadersLayer::new(custom))
//!     .service(service_fn(async |request: Request<Bytes>| {
//!         assert_eq!(request.headers()["x-tenant"], "acme");
//!         assert_eq!(request.headers()["profile-version"], "7");
//!         Ok(Response::new(Bytes::new()))
//!     }));
//! let mut request = Request::new(Bytes::new());
//! request.extensions_mut().insert(ProfileVersion(7));
//! service.oneshot(request).await?;
//! # Ok(()) }
//! ```

mod layer;
mod service;

#[cfg(test)]
mod tests;

pub use layer::HeadersLayer;
pub use service::Headers;
