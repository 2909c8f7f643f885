//! Reads the results of the single profiles out of the answer to a request that carries several.
//!
//! A request that says what is [`Expected`] of its answer, and whose answer is 207, or any other
//! success where a [`ResultsPointer`] says where the list lies, must come back with one result for
//! each profile, in order. They are added to the answer's extensions as [`Results`]. An answer
//! whose list is missing, or of another length, says nothing about any profile: it fails with
//! [`AttemptError::Results`](super::AttemptError::Results), and as much of the answer as results
//! may take is kept ([`AnswerLimit`](crate::endpoint::AnswerLimit)).
//!
//! One result is
//! - a status (`201`), or an object with `status`, `statusCode`, `status_code` or `code`, a number
//!   or its digits;
//! - else an object with `success` or `ok`, true or false;
//! - else an object with `error` or `errors`: delivered where it is empty, null or false.
//!
//! Anything else is not guessed at.
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! use profile_http::delivery::{
//!     AttemptError, Class, Classes,
//!     results::{Expected, Results, ResultsLayer},
//! };
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), AttemptError> {
//! let service = ServiceBuilder::new()
//!     .layer(ResultsLayer::new(Classes::default()))
//!     .service(service_fn(async |_: Request<Bytes>| {
//!         let mut answer = Response::new(Bytes::from(r#"[{"status":201},{"status":422}]"#));
//!         *answer.status_mut() = http::StatusCode::MULTI_STATUS;
//!         Ok(answer)
//!     }));
//! let mut request = Request::new(Bytes::new());
//! request.extensions_mut().insert(Expected { items: 2, at: None });
//! let answer = service.oneshot(request).await?;
//! let Results(results) = answer.extensions().get().expect("it has a list");
//! assert_eq!(results[1].class, Class::Refused);
//! # Ok(()) }
//! ```

mod layer;
mod list;
mod pointer;
mod service;

#[cfg(test)]
mod tests;

pub use layer::ResultsLayer;
pub use list::{ItemResult, Results};
pub use pointer::{PointerError, ResultsPointer};
pub use service::{Expected, ItemResults, ItemResultsFuture};
