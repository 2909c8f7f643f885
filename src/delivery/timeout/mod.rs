//! Bounds the time of one attempt, headers and body of the answer included.
//!
//! The attempt is dropped when its time is over, and with it its connection. The endpoint may have
//! taken the request.
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! use profile_http::delivery::{AttemptError, timeout::TimeoutLayer};
//! use std::{future::pending, time::Duration};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let service = ServiceBuilder::new()
//!     .layer(TimeoutLayer::new(Duration::from_millis(10)))
//!     .service(service_fn(|_: Request<Bytes>| pending::<Result<Response<Bytes>, _>>()));
//! let result = service.oneshot(Request::new(Bytes::new())).await;
//! assert!(matches!(result, Err(AttemptError::Timeout(_))));
//! # }
//! ```

mod layer;
mod service;

#[cfg(test)]
mod tests;

pub use layer::TimeoutLayer;
pub use service::Timeout;
