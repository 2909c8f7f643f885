//! Where records come from, one module a source. Each hands on batches of records and tells its
//! sender that they were taken once they are safe, never before.

pub mod fluent;
pub mod http_server;
pub mod opentelemetry;
pub mod stdin;
pub mod vector;

mod body;
mod chunk;
mod feed;
mod json;
mod lines;
mod msgpack;
mod protobuf;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod testing;

pub(crate) use chunk::{ChunkError, take_chunk};
pub use feed::Feed;
