//! Listening: addresses, connections with or without TLS, and HTTP/1.1 or HTTP/2 over them.
//!
//! A source binds a [`Listener`], gives it TLS where the configuration wants it
//! ([`Listener::with_tls`]), and serves each connection as a [`Stream`] that no longer shows
//! whether it is encrypted.

mod connections;
mod http;
mod http2;
mod stream;
pub mod tls;

pub(crate) use self::http::json_answer;
pub use self::http::{Peer, Reset, serve};
pub use self::http2::serve_http2;
pub use connections::{ListenError, Listener, bind};
pub use stream::Stream;
pub use tls::{TlsError, TlsFiles};
