//! Bounds the time of a whole delivery, repetitions and their pauses included.
//!
//! The time begins with the call, so what a caller waits for in `poll_ready`, a permit or a slot of
//! the rate limit, does not count: that is our time, not the endpoint's. What was sent and has no
//! answer by then may have been taken by the endpoint.
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! use profile_http::delivery::{AttemptError, deadline::DeadlineLayer};
//! use std::{future::pending, time::Duration};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let service = ServiceBuilder::new()
//!     .layer(DeadlineLayer::new(Duration::from_millis(10)))
//!     .service(service_fn(|_: Request<Bytes>| pending::<Result<Response<Bytes>, _>>()));
//! let result = service.oneshot(Request::new(Bytes::new())).await;
//! assert!(matches!(result, Err(AttemptError::Deadline(_))));
//! # }
//! ```

mod layer;
mod service;

#[cfg(test)]
mod tests;

pub use layer::DeadlineLayer;
pub use service::Deadline;
