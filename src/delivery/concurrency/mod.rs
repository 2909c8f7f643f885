//! Bounds the number of attempts that are under way at once.
//!
//! A service is ready when it has a permit; the attempt holds it until its result is there. A
//! handle that has become ready must be called soon or dropped: its permit is nobody else's.
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! use profile_http::delivery::{AttemptError, concurrency::ConcurrencyLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), AttemptError> {
//! let service = ServiceBuilder::new()
//!     .layer(ConcurrencyLayer::new(8))
//!     .service(service_fn(async |_: Request<Bytes>| Ok(Response::new(Bytes::new()))));
//! service.oneshot(Request::new(Bytes::new())).await?;
//! # Ok(()) }
//! ```

mod layer;
mod service;

#[cfg(test)]
mod tests;

pub use layer::ConcurrencyLayer;
pub use service::{Concurrency, ConcurrencyFuture};
