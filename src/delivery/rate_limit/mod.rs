//! Keeps the pace that was promised to the endpoint, or that it turns out to want: every attempt
//! takes a slot, and slots are evenly spaced.
//!
//! The rule is the generic cell rate algorithm (ITU-T I.371): one moment, at which the next slot
//! falls due, is all the state there is. [`RateLimiter`] is the handle: clones share the slots, and
//! whoever sends past the layer can take one from it.
//!
//! A fast endpoint that allows fifty attempts a second cannot be held to that by bounding how many
//! are under way: one at a time may be a thousand a second. So where
//! [asked to](RateLimitLayer::learning) the pace is learned from answers of 429: it is slowed by
//! each that is not for what was sent before it was slowed, feels its way up again so slowly that
//! about one attempt in 150 is refused, and is forgotten when none was for ten minutes. It outlives
//! a closing of the gate. And where [asked to](RateLimitLayer::heeding_headers) what answers say
//! about a quota (`RateLimit`, `RateLimit-*`, `X-RateLimit-*`) slows the pace before a 429 comes.
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
