//! The wire: one request in, one whole answer out, over hyper and rustls.
//!
//! [`Transport`] is a Tower service that knows nothing of profiles, retries or tokens; those are
//! layers above it. [`template`] makes URLs and headers that are filled in for each request.

mod client;
mod connector;
pub(crate) mod crypto;
pub mod diagnose;
mod error;
pub(crate) mod files;
mod proxy;
pub mod template;
pub mod tls;

#[cfg(test)]
mod tests;

pub use client::{ANSWER_LIMIT, AnswerLimit, Http2, Transport, TransportSettings};
pub use error::{EndpointError, SendError};
pub use proxy::{Proxy, ProxySettings};
pub use tls::{IdentitySettings, TlsSettings, TlsVersion};
