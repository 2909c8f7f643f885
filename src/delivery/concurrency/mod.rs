//! Bounds the number of attempts that are under way at once, by a fixed limit or by one that finds
//! out what the endpoint bears.
//!
//! A service is ready when it has a permit; the attempt holds it until its result is there. A
//! handle that has become ready must be called soon or dropped: its permit is nobody else's.
//!
//! [`ConcurrencyLimit`] is the handle of the limit. Permits are taken far outside, but what an
//! adaptive limit learns from is measured at the wire, where no time is spent waiting for a slot or
//! a token: there an [`AttemptLayer`](super::attempt::AttemptLayer) reports to the limit. The rule
//! is that of congestion control: additive increase while the time to an answer holds,
//! multiplicative decrease when it rises or the endpoint pushes back.
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! use profile_http::{
//!     delivery::{
//!         AttemptError, Classes, ConcurrencyLimit, ConcurrencySettings, attempt::AttemptLayer,
//!         concurrency::ConcurrencyLayer,
//!     },
//!     telemetry::Component,
//! };
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), AttemptError> {
//! let component = Component::detached();
//! let limit = ConcurrencyLimit::new(ConcurrencySettings::Adaptive { max: 200 }, &component);
//! let service = ServiceBuilder::new()
//!     .layer(ConcurrencyLayer::new(limit.clone()))
//!     .layer(AttemptLayer::new(component).reporting_to(limit.clone(), Classes::default()))
//!     .service(service_fn(async |_: Request<Bytes>| Ok(Response::new(Bytes::new()))));
//! service.oneshot(Request::new(Bytes::new())).await?;
//! assert_eq!(limit.current(), 4);
//! # Ok(()) }
//! ```

mod control;
mod layer;
mod limit;
mod round;
mod service;

#[cfg(test)]
mod tests;

pub use layer::ConcurrencyLayer;
pub use limit::{ConcurrencyLimit, Ended};
pub use service::{Concurrency, ConcurrencyFuture};
