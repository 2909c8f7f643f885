//! What an answer means for the version that was sent, seen among the answers to others.
//!
//! An endpoint that refuses everything is broken, not its profiles: refusals in a row close the
//! gate and are taken back. And a profile that alone draws the endpoint's faults, while all others
//! are delivered, is at fault itself.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use http::Response;

use super::{export::Finished, letter};
use crate::{
    clock::Micros,
    delivery::{AttemptError, Class},
    profile::ProfileId,
    store::Outcome,
};

/// Refusals in a row after which the endpoint is held to refuse everything.
const REFUSALS: usize = 20;

/// Endpoint answers to one version after which the version is at fault, if all others were
/// delivered meanwhile, at least `WITNESSES` of them.
const FAULTS: u32 = 3;
const WITNESSES: u64 = 10;

type Version = (ProfileId, u64);

#[derive(Debug, Default)]
pub(super) struct Outcomes {
    delivered: u64,
    /// Refusals since the last other answer.
    refused: Vec<Version>,
    /// Whether everything was refused and nothing was delivered since.
    refuses_everything: bool,
    /// The versions that were refused along with everything else and got another try.
    second_try: HashMap<ProfileId, u64>,
    suspect: Option<Suspect>,
}

/// A version that drew an endpoint answer.
#[derive(Debug)]
struct Suspect {
    version: Version,
    faults: u32,
    delivered_before: u64,
}

/// What is to be done about a version.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) outcome: Outcome,
    /// The name of the outcome in metrics.
    pub(super) label: &'static str,
    /// The endpoint refuses everything: these are to become due again.
    pub(super) revive: Vec<Version>,
}

impl Outcomes {
    pub(super) fn decide(
        &mut self,
        finished: &Finished,
        class: Option<Class>,
        now: Micros,
    ) -> Decided {
        let version = (finished.id, finished.version);
        match class {
            None => plain(Outcome::Released, "released"),
            Some(Class::Delivered) => {
                self.delivered += 1;
                self.refused.clear();
                self.refuses_everything = false;
                self.second_try.remove(&finished.id);
                plain(Outcome::Delivered, "delivered")
            }
            Some(Class::Later) => {
                self.break_row(version);
                // A probe is the gate's affair: its profile stays due, without a delay.
                let probe = finished.trail.probe().is_some();
                plain(if probe { Outcome::Released } else { Outcome::Later }, "later")
            }
            Some(Class::Endpoint) => {
                self.break_row(version);
                if self.is_at_fault(version) {
                    self.suspect = None;
                    let reason = "the endpoint took all others and answered this one ";
                    let letter = letter::refused(finished, reason, now);
                    return plain(Outcome::Refused(Arc::new(letter)), "refused");
                }
                plain(Outcome::Released, "endpoint")
            }
            // A refused probe says only that the endpoint does not want this profile. It stays
            // due, and the next probe takes another.
            Some(Class::Refused) if finished.trail.probe().is_some() => {
                plain(Outcome::Released, "released")
            }
            Some(Class::Refused) => self.refuse(finished, version, now),
        }
    }

    fn refuse(&mut self, finished: &Finished, version: Version, now: Micros) -> Decided {
        self.clear_other_suspect(version);
        if self.refuses_everything {
            // It was in flight when the gate closed: as good as any of the row.
            self.second_try.insert(finished.id, finished.version);
            return plain(Outcome::Released, "released");
        }
        let letter = letter::refused(finished, "", now);
        let mut decided = plain(Outcome::Refused(Arc::new(letter)), "refused");
        if self.second_try.get(&finished.id) == Some(&finished.version) {
            self.second_try.remove(&finished.id);
            return decided;
        }
        self.refused.push(version);
        if self.refused.len() >= REFUSALS {
            decided.revive = std::mem::take(&mut self.refused);
            self.second_try.extend(decided.revive.iter().copied());
            self.refuses_everything = true;
        }
        decided
    }

    /// Notes an answer that is neither a delivery nor a refusal.
    fn break_row(&mut self, version: Version) {
        self.refused.clear();
        self.clear_other_suspect(version);
    }

    fn clear_other_suspect(&mut self, version: Version) {
        if self.suspect.as_ref().is_some_and(|suspect| suspect.version != version) {
            self.suspect = None;
        }
    }

    fn is_at_fault(&mut self, version: Version) -> bool {
        let delivered = self.delivered;
        let suspect =
            self.suspect.get_or_insert(Suspect { version, faults: 0, delivered_before: delivered });
        suspect.faults += 1;
        suspect.faults >= FAULTS && delivered - suspect.delivered_before >= WITNESSES
    }
}

fn plain(outcome: Outcome, label: &'static str) -> Decided {
    Decided { outcome, label, revive: Vec::new() }
}

/// An answer or its absence in a few words.
pub(super) fn describe(result: &Result<Response<Bytes>, AttemptError>) -> String {
    match result {
        Ok(answer) => answer.status().to_string(),
        Err(error) => error.to_string(),
    }
}
