//! Repeats a delivery whose answer is of class [`Class::Later`](super::Class::Later), few times and
//! for a short while: the store does the long waiting.
//!
//! Before the n-th repetition it pauses for a random time up to `initial · 2^(n-1)` (full jitter:
//! from zero on, so that what failed together does not come back together), and never beyond
//! `max_duration` from the beginning. A `Retry-After` is waited for as well; one that asks for more
//! than what is left ends the delivery at once. During the pause the inner service is not held: a
//! concurrency limit below this layer has its permit back.
//!
//! A [`Budget`] bounds the repetitions of all deliveries together. Probes are never repeated, nor
//! is what the gate held back.
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! use profile_http::{
//!     delivery::{AttemptError, BackoffSettings, Classes, retry::RetryLayer},
//!     telemetry::Component,
//! };
//! use std::{sync::atomic::{AtomicU32, Ordering}, time::Duration};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), AttemptError> {
//! let settings = BackoffSettings {
//!     attempts: 3,
//!     initial: Duration::from_millis(5),
//!     max_duration: Duration::from_secs(10),
//! };
//! static CALLS: AtomicU32 = AtomicU32::new(0);
//! let service = ServiceBuilder::new()
//!     .layer(RetryLayer::new(settings, Classes::default(), Component::detached()))
//!     .service(service_fn(async |_: Request<Bytes>| match CALLS.fetch_add(1, Ordering::Relaxed) {
//!         0 => Err(AttemptError::Connect("refused".into())),
//!         _ => Ok(Response::new(Bytes::new())),
//!     }));
//! service.oneshot(Request::new(Bytes::new())).await?;
//! assert_eq!(CALLS.load(Ordering::Relaxed), 2);
//! # Ok(()) }
//! ```

mod budget;
mod layer;
mod pauses;
mod policy;
mod service;

#[cfg(test)]
mod tests;

pub use budget::Budget;
pub use layer::RetryLayer;
pub use pauses::Pauses;
pub use service::Retry;
