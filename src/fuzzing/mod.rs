//! What the decoders of arriving bytes promise, whatever the bytes are.
//!
//! Each [`Target`] is a decoder with a check that panics where a promise is broken. The fuzzer in
//! `fuzz/` looks for bytes that make it panic; the tests try its seeds, whole and damaged.

mod profile;

use crate::source::fuzzing as source;

/// A decoder and its check.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of its program in `fuzz/` and of its folder there.
    pub name: &'static str,
    /// Panics where bytes make the decoder break its promise.
    pub check: fn(&[u8]),
    /// Bytes to begin with, as senders write them.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Single MessagePack values.
pub const MSGPACK: Target =
    Target { name: "msgpack", check: source::msgpack, seeds: source::msgpack_seeds };
/// Entries in MessagePack outside of messages: chunks of Fluent Bit, bodies over HTTP.
pub const ENTRIES: Target =
    Target { name: "entries", check: source::entries, seeds: source::entries_seeds };
/// Messages of the forward protocol.
pub const FLUENT: Target =
    Target { name: "fluent", check: source::fluent, seeds: source::fluent_seeds };
/// Messages of Vector.
pub const VECTOR: Target =
    Target { name: "vector", check: source::vector, seeds: source::vector_seeds };
/// OTLP exports, in protobuf and in JSON.
pub const OPENTELEMETRY: Target = Target {
    name: "opentelemetry",
    check: source::opentelemetry,
    seeds: source::opentelemetry_seeds,
};
/// Bodies of HTTP requests in JSON.
pub const HTTP_BODY: Target =
    Target { name: "http_body", check: source::http_body, seeds: source::http_body_seeds };
/// Content codings; the first byte says which.
pub const ENCODINGS: Target =
    Target { name: "encodings", check: source::encodings, seeds: source::encodings_seeds };
/// Records, from their projection to what is kept and exported of them.
pub const PROJECTION: Target =
    Target { name: "projection", check: profile::projection, seeds: profile::projection_seeds };
/// What a store holds; the first byte says what.
pub const STORED: Target =
    Target { name: "stored", check: profile::stored, seeds: profile::stored_seeds };

/// All of them.
pub const TARGETS: [Target; 9] =
    [MSGPACK, ENTRIES, FLUENT, VECTOR, OPENTELEMETRY, HTTP_BODY, ENCODINGS, PROJECTION, STORED];

/// Whether bytes are one JSON value. How deep it is nested is no matter here.
pub(crate) fn is_json(text: &[u8]) -> bool {
    str::from_utf8(text).is_ok() && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests;
