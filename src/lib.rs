//! profile-http streams customer profiles from an observability-style pipeline to a third-party
//! HTTP endpoint as profile JSON.
//!
//! It is *level-triggered*: it keeps the latest state of every profile and the version of it that
//! the endpoint has confirmed, and reconciles the two. The modules below stand in the order in
//! which data flows; only acknowledgements and outcomes come back.
//!
//! ```text
//! source -> record -> profile -> store -> dispatch -> delivery -> endpoint
//! ```

pub mod config; // what the operator wrote, and what will run
pub mod source; // where records come from, one file a source
pub mod record; // one JSON object with its place, and the acknowledgement of it
pub mod profile; // identity, mapping, projection, fingerprints, the export
pub mod sink; // projects records and commits them to its store
pub mod store; // the latest state of each profile and the version that was confirmed
pub mod dispatch; // claims what is due, delivers it, settles what became of it
pub mod delivery; // the Tower stack, layer by layer, and the classes of answers
pub mod endpoint; // the wire: hyper client and TLS
pub mod console; // the admin API of a running process
pub mod run; // wires all of it, and brings it to an end
mod plugin; // the same as an output plugin of Fluent Bit
pub mod secret; // secrets: their text or the file that holds it
pub mod telemetry; // logs and metrics
pub mod clock; // wall-clock time, replaceable in tests
pub mod encoding; // compressed bodies that arrive
pub mod listen; // addresses, TLS and HTTP/1.1 connections, for what listens
pub mod local_endpoint; // a third-party endpoint on this machine, to try and test things against
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing; // what decoders promise of any bytes, for fuzz/ and the tests
pub mod sample; // sample profiles, for the demo, tests and benches
