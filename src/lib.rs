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

pub mod clock;
pub mod config; // what the operator wrote, and what will run
pub mod delivery; // the Tower stack, layer by layer, and the classes of answers
pub mod dispatch; // claims what is due, delivers it, settles what became of it
pub mod endpoint; // the wire: hyper client and TLS
pub mod listen; // HTTP/1.1 connections of the HTTP source and the local endpoint
pub mod local_endpoint; // a third-party endpoint to try things against
pub mod profile; // identity, mapping, projection, fingerprints, the export
pub mod record; // one JSON object with its place, and the acknowledgement of it
pub mod sample; // sample profiles to try, test and measure with
pub mod source; // where records come from, one file a source
pub mod store; // the latest state of each profile and the version that was confirmed
pub mod telemetry; // logs and metrics // wall-clock time, replaceable in tests
