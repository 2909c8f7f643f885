//! Puts each delivery into a span, logs what became of it at debug level, and counts the failures
//! by kind.
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! use profile_http::{
//!     delivery::{AttemptError, observe::ObserveLayer},
//!     telemetry::Component,
//! };
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), AttemptError> {
//! let component = Component::detached();
//! let service = ServiceBuilder::new()
//!     .layer(ObserveLayer::new(component.clone()))
//!     .service(service_fn(async |_: Request<Bytes>| {
//!         Err::<Response<Bytes>, _>(AttemptError::Connect("refused".into()))
//!     }));
//! assert!(service.oneshot(Request::new(Bytes::new())).await.is_err());
//! assert_eq!(component.errors("connect_failed", "sending").get(), 1);
//! # Ok(()) }
//! ```

mod layer;
mod service;

#[cfg(test)]
mod tests;

pub use layer::ObserveLayer;
pub use service::{Observe, ObserveFuture};
