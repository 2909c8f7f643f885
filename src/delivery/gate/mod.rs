//! The gate of one sink: it closes when the endpoint as a whole cannot take anything, and opens
//! when a probe has been delivered.
//!
//! While it is closed nothing is claimed from the store, so updates coalesce there and no profile
//! collects failures that are not its own. Whoever claims [asks](Gate::ask) before; the
//! [layer](GateLayer) asks again for each attempt just before it is sent, with permit and slot in
//! hand, and tells the gate how it ended.
//!
//! It closes on
//! - an answer of class *endpoint*: the message says what an operator has to do;
//! - ten attempts in a row of class *later*, with none answered as delivered or refused between;
//! - `Retry-After` on 429 or 503;
//! - [`Gate::close`], for what only dispatch can see;
//! - [`Gate::pause`], which only [`Gate::resume`] ends.
//!
//! When its time T has come one profile goes as a probe. A probe that fails sets a new T, from one
//! second on doubling to thirty. An answer to a request that was sent before the gate closed does
//! not open it. Of several reasons to be closed the one with the latest T holds.
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response, StatusCode};
//! use profile_http::{
//!     delivery::{Admission, AttemptError, Classes, Gate, Reason, gate::GateLayer},
//!     telemetry::Component,
//! };
//! use std::time::Duration;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let gate = Gate::new(Duration::from_secs(300), Component::detached());
//! let service = ServiceBuilder::new()
//!     .layer(GateLayer::new(&gate, Classes::default()))
//!     .service(service_fn(async |_: Request<Bytes>| {
//!         let answer = Response::builder().status(403).body(Bytes::new());
//!         Ok::<_, AttemptError>(answer.expect("status and headers are valid"))
//!     }));
//! assert!(service.oneshot(Request::new(Bytes::new())).await.is_ok());
//! assert!(matches!(gate.ask(), Admission::Closed { .. }));
//! assert_eq!(gate.status().reason, Some(Reason::Endpoint(StatusCode::FORBIDDEN)));
//! # }
//! ```

mod cause;
mod handle;
mod layer;
mod probe;
mod service;
mod state;

#[cfg(test)]
mod tests;

pub use cause::Reason;
pub use handle::{Admission, Gate, GateState, GateStatus};
pub use layer::GateLayer;
pub use probe::Probe;
pub use service::{Gated, GatedFuture};
