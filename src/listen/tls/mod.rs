//! TLS for connections that come in: the server's certificate, and clients that must show one of
//! theirs (mutual TLS). The files are read again when they change, so that a certificate can be
//! renewed while the process runs.

mod acceptor;
mod files;

#[cfg(test)]
mod tests;

pub(super) use acceptor::Acceptor;
pub use files::{TlsError, TlsFiles};
