//! Tests against real servers, not stand-ins of our own: nginx, and the OAuth2 server
//! `oidc-provider` on Node.js.
//!
//! `tests/run` installs both and sets `PROFILE_HTTP_PEERS=required`, under which a test whose
//! server is not there fails. Without it such a test says so and is skipped.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "the tests that need no server use the rest")]
#[path = "../it/support.rs"]
mod support;

mod nginx;
mod oidc;
mod peer;

mod limit_req;
mod program;
mod stack;
mod tokens;
mod transport;
