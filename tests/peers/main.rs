//! Tests against real servers and senders, not stand-ins of our own: nginx, the proxy tinyproxy, the
//! OAuth2 server `oidc-provider` on Node.js, the validator Ajv, the fluent loggers of Node.js and Python, and
//! OpenTelemetry's exporter.
//!
//! `tests/run` installs them and sets `PROFILE_HTTP_PEERS=required`, under which a test whose
//! server is not there fails. Without it such a test says so and is skipped.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "the tests that need no server use the rest")]
#[path = "../it/support.rs"]
mod support;

mod http2;
mod mutual_tls;
mod nginx;
mod oidc;
mod peer;

mod curl;
mod fluent;
mod limit_req;
mod opentelemetry;
mod program;
mod proxy;
mod schema;
mod stack;
mod tinyproxy;
mod tokens;
mod transport;
