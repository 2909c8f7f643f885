//! The wire: one request in, one whole answer out, over hyper and rustls.
//!
//! [`Transport`] is a Tower service that knows nothing of profiles, retries or tokens; those are
//! layers above it. [`template`] makes URLs and headers that are filled in for each request.

mod client;
pub(crate) mod crypto;
mod error;
pub mod template;
pub mod tls;

#[cfg(test)]
mod tests;

pub use client::{ANSWER_LIMIT, AnswerLimit, Transport};
pub use error::{EndpointError, SendError};
pub use tls::{TlsSettings, TlsVersion};
