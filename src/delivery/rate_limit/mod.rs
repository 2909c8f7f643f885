//! Keeps the pace that was promised to the endpoint: every attempt takes a slot, and slots are
//! evenly spaced.
//!
//! The rule is the generic cell rate algorithm (ITU-T I.371): one moment, at which the next slot
//! falls due, is all the state there is. [`RateLimiter`] is the handle: clones share the slots, and
//! whoever sends past the layer can take one from it.
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! use profile_http::delivery::{
//!     AttemptError, RateLimitSettings, RateLimiter, rate_limit::RateLimitLayer,
//! };
//! use std::{num::NonZeroU32, time::Duration};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), AttemptError> {
//! let limiter = RateLimiter::new(RateLimitSettings {
//!     num: NonZeroU32::MIN.saturating_add(99),
//!     per: Duration::from_secs(1),
//!     burst: NonZeroU32::MIN,
//! });
//! let service = ServiceBuilder::new()
//!     .layer(RateLimitLayer::new(limiter.clone()))
//!     .service(service_fn(async |_: Request<Bytes>| Ok(Response::new(Bytes::new()))));
//! service.oneshot(Request::new(Bytes::new())).await?;
//! limiter.take().await; // the next slot, 10 ms later
//! # Ok(()) }
//! ```

mod layer;
mod learned;
mod limiter;
mod pace;
mod service;
mod told;

#[cfg(test)]
mod tests;

pub use layer::RateLimitLayer;
pub use limiter::RateLimiter;
pub use service::{RateLimit, RateLimitFuture};
