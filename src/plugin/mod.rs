//! The output plugin of Fluent Bit, `libprofile_http.so`, by the interface that it has for plugins
//! written in Go. That one is small, and the same in all versions from 2.1 on as long as only the
//! fields are touched that all of them have.
//!
//! ```sh
//! cargo rustc --release --lib --crate-type cdylib -- -C link-arg=-Wl,-z,nodelete
//! ```
//!
//! What shapes it, beside the calls themselves:
//!
//! - A flush runs on a coroutine's stack of 24 KiB without a guard page. Nothing happens on it but
//!   a copy of the bytes; all else does on the instance's own thread.
//! - A flush blocks a worker, or without workers all of Fluent Bit, so it ends within seconds,
//!   with [`Verdict::Retry`] if it must.
//! - As a daemon Fluent Bit closes stdout and stderr and uses their numbers for something else.
//!   Nothing is written there; see [`logs`].
//! - It forks after the registration, so that threads begin with an instance.
//! - It may be reloaded while it runs: whatever can be per instance is.

mod abi;
mod instance;
mod logs;
mod options;

/// What Fluent Bit is told of a chunk, by the numbers that it has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
enum Verdict {
    /// It can never be read; Fluent Bit drops it.
    Error = 0,
    /// It is on disk.
    Ok = 1,
    /// It cannot be taken now; Fluent Bit keeps it and comes again.
    Retry = 2,
}
