//! Sees each request that goes to the wire, repetitions and authentication replays included: notes
//! it on the delivery's [`Trail`](super::Trail) and counts it and its answer.
//!
//! It stands directly above the transport. An attempt that is dropped before its answer came, for
//! want of time or because its caller went away, leaves the outcome unknown like a lost connection.
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! use profile_http::{
//!     delivery::{AttemptError, Trail, attempt::AttemptLayer},
//!     telemetry::Component,
//! };
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), AttemptError> {
//! let service = ServiceBuilder::new()
//!     .layer(AttemptLayer::new(Component::detached()))
//!     .service(service_fn(async |_: Request<Bytes>| {
//!         Err::<Response<Bytes>, _>(AttemptError::Interrupted("reset".into()))
//!     }));
//! let trail = Trail::default();
//! let mut request = Request::new(Bytes::new());
//! request.extensions_mut().insert(trail.clone());
//! assert!(service.oneshot(request).await.is_err());
//! assert_eq!((trail.attempts(), trail.unknown()), (1, true));
//! # Ok(()) }
//! ```

mod answers;
mod layer;
mod service;

#[cfg(test)]
mod tests;

pub use layer::AttemptLayer;
pub use service::{Attempt, AttemptFuture};
