use std::{fmt, sync::Arc};

use super::handle::Shared;

/// The permission to send one delivery through a closed gate. Dropped before the delivery has been
/// sent, it is given back, so that another probe can go.
pub struct Probe {
    gate: Arc<Shared>,
    id: u64,
    closure: u64,
    /// Whether it has been handed to a delivery, whose end the asker waits for.
    handed_on: bool,
}

impl Probe {
    pub(super) fn new(gate: Arc<Shared>, id: u64, closure: u64) -> Self {
        Self { gate, id, closure, handed_on: false }
    }

    /// A number that is the same for all probes from a closing of the gate to its opening.
    pub fn closure(&self) -> u64 {
        self.closure
    }

    /// Notes that the probe is a delivery's now.
    pub(in crate::delivery) fn hand_on(&mut self) {
        self.handed_on = true;
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.gate.give_back(self.id, self.handed_on);
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").field("id", &self.id).finish_non_exhaustive()
    }
}
