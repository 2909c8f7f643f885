//! Dispatch: claims what is due as far as the gate and the stack let it through, renders and
//! delivers it, and settles what became of it.
//!
//! One task for each sink. It holds no queue of its own beyond what is in flight: back-pressure is
//! simply not claiming, so that what waits can still be replaced by newer updates.

mod batch;
mod dispatcher;
mod export;
mod letter;
mod outcome;
mod probes;
mod suspects;
mod target;
#[cfg(test)]
mod tests;

pub use batch::{BatchSettings, Framing};
pub use dispatcher::{Dispatcher, Phase};
pub use export::{Export, Exporter, idempotency_key};
pub use letter::unrenderable;
pub use target::{ExportError, Target};
