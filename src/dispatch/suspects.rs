//! Which profile is at fault for what looks like the endpoint's fault.
//!
//! A profile that alone draws the endpoint's faults, while all others are delivered, is at fault
//! itself. In a batch each may be the one, so each goes alone from then on.

use std::collections::HashMap;

use super::batch::Item;
use crate::{profile::ProfileId, store::Claim};

/// Endpoint answers to one version after which the version is at fault, if all others were
/// delivered meanwhile, at least `WITNESSES` of them.
const FAULTS: u32 = 3;
const WITNESSES: u64 = 10;

/// Failures of a version after which it goes alone: what fails a batch may be one of its profiles.
const FAILURES: u32 = 3;

/// Versions that are remembered to go alone, at most.
const SUSPECTS: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Suspects {
    delivered: u64,
    /// Answers that were no delivery, and what had been delivered at the last of them.
    troubles: u64,
    troubled_at: u64,
    prime: Option<Prime>,
    /// The versions of batches that drew an endpoint answer, until they are delivered.
    alone: HashMap<ProfileId, Alone>,
}

/// The version that drew the last endpoint answer to one alone.
#[derive(Debug)]
struct Prime {
    version: (ProfileId, u64),
    faults: u32,
    /// What had been delivered at the first fault, and at the last one.
    delivered_before: u64,
    delivered_last: u64,
}

/// A version of a batch that drew an endpoint answer.
#[derive(Clone, Copy, Debug)]
struct Alone {
    version: u64,
    /// The number of that answer among those that were no delivery.
    trouble: u64,
}

impl Suspects {
    /// Takes note of a request that was delivered.
    pub(super) fn hear_delivery(&mut self) {
        self.delivered += 1;
    }

    /// Takes note of an answer to these that was neither a delivery nor an endpoint answer.
    pub(super) fn hear_trouble(&mut self, items: &[Item]) {
        self.clear_other(items);
        self.note_trouble();
    }

    /// Takes note of an endpoint answer to several.
    pub(super) fn suspect(&mut self, items: &[Item]) {
        self.hear_trouble(items);
        if self.alone.len() + items.len() > SUSPECTS {
            self.alone.clear();
        }
        let trouble = self.troubles;
        let alone = |item: &Item| (item.id, Alone { version: item.version, trouble });
        self.alone.extend(items.iter().map(alone));
    }

    /// Takes note of an endpoint answer to one, and says whether it is at fault.
    pub(super) fn is_at_fault(&mut self, item: &Item) -> bool {
        self.clear_other(std::slice::from_ref(item));
        let delivered = self.delivered;
        // It may have drawn such an answer with its batch, and all others were delivered since.
        let with_batch = self
            .alone
            .get(&item.id)
            .is_some_and(|alone| alone.version == item.version && alone.trouble == self.troubles);
        let (faults, delivered_before) =
            if with_batch { (1, self.troubled_at) } else { (0, delivered) };
        self.note_trouble();
        let prime = self.prime.get_or_insert(Prime {
            version: (item.id, item.version),
            faults,
            delivered_before,
            delivered_last: delivered,
        });
        prime.faults += 1;
        prime.delivered_last = delivered;
        let is_at_fault = prime.faults >= FAULTS && delivered - prime.delivered_before >= WITNESSES;
        if is_at_fault {
            self.prime = None;
        }
        is_at_fault
    }

    /// Whether a claimed version is to share its request with none, because it may be what a
    /// batch fails for.
    pub(super) fn goes_alone(&mut self, claim: &Claim) -> bool {
        let is_alone = self.alone.get(&claim.id).map(|alone| alone.version == claim.version);
        if is_alone == Some(false) {
            self.alone.remove(&claim.id);
        }
        is_alone == Some(true) || claim.failures >= FAILURES
    }

    /// A profile need not go alone any more.
    pub(super) fn remove(&mut self, id: &ProfileId) {
        self.alone.remove(id);
    }

    /// Clears the prime suspect if another version draws an answer that is no delivery.
    fn clear_other(&mut self, items: &[Item]) {
        let is_own =
            |prime: &Prime| matches!(items, [item] if prime.version == (item.id, item.version));
        let Some(prime) = self.prime.as_ref().filter(|prime| !is_own(prime)) else { return };
        if items.len() == 1 && prime.delivered_last == self.delivered {
            // Two that went alone, one after the other: no profile is at fault, nor has any to go
            // alone once the endpoint is well.
            self.alone.clear();
        }
        self.prime = None;
    }

    fn note_trouble(&mut self) {
        self.troubles += 1;
        self.troubled_at = self.delivered;
    }
}
