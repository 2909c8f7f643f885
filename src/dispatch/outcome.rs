//! What an answer means for the version that was sent, seen among the answers to others.
//!
//! An endpoint that refuses everything is broken, not its profiles: refusals in a row close the
//! gate and are taken back.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use http::{Response, StatusCode};

use super::{batch::Item, export::Finished, letter, suspects::Suspects};
use crate::{
    clock::Micros,
    delivery::{AttemptError, Class, results::ItemResult},
    profile::ProfileId,
    store::{Claim, Outcome},
};

/// Refusals in a row after which the endpoint is held to refuse everything.
const REFUSALS: usize = 20;

/// Versions that are revived when everything is refused, at most; what is beyond stays a dead
/// letter.
const REVIVED: usize = 100_000;

type Version = (ProfileId, u64);

#[derive(Debug, Default)]
pub(super) struct Outcomes {
    /// Refusals since the last other answer. What is said of the parts of a batch that was refused
    /// is not counted.
    row: usize,
    /// The versions that became dead letters by them.
    refused: Vec<Version>,
    /// Whether everything was refused and nothing was delivered since.
    refuses_everything: bool,
    /// The versions that are to become due again because everything was refused.
    revive: Option<Vec<Version>>,
    /// The versions that were refused along with everything else and got another try.
    second_try: HashMap<ProfileId, u64>,
    /// The versions that were refused as probes since the last delivery.
    refused_probes: HashMap<ProfileId, u64>,
    suspects: Suspects,
}

/// What is to be done about a version.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) outcome: Outcome,
    /// The name of the outcome in metrics.
    pub(super) label: &'static str,
}

/// What is to be done about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Each of its profiles is [decided](Outcomes::decide) about.
    Decide,
    /// One of its profiles is at fault, or its size.
    Halve,
}

impl Outcomes {
    /// Takes note of the answer to a request.
    pub(super) fn hear(&mut self, finished: &Finished, class: Option<Class>) -> Verdict {
        let items = &finished.parcel.items;
        match summary(finished, class) {
            None => {}
            Some(Class::Delivered) => {
                self.suspects.hear_delivery();
                self.row = 0;
                self.refused.clear();
                self.refuses_everything = false;
                self.refused_probes.clear();
            }
            Some(Class::Later) => {
                self.break_row();
                self.suspects.hear_trouble(items);
            }
            Some(Class::Endpoint) => {
                self.break_row();
                if items.len() > 1 {
                    self.suspects.suspect(items);
                }
            }
            // A refused probe says only that the endpoint does not want this profile. It stays
            // due, and the next probe takes another. Refused again, there is none that was not,
            // and it is as any that is refused: else it would be probed with for ever.
            Some(Class::Refused)
                if finished.trail.probe().is_some() && !self.was_refused_as_probe(&items[0]) => {}
            Some(Class::Refused) => return self.hear_refusal(finished),
        }
        Verdict::Decide
    }

    fn hear_refusal(&mut self, finished: &Finished) -> Verdict {
        let items = &finished.parcel.items;
        let whole = items.len() > 1 && finished.results().is_none();
        self.suspects.hear_trouble(items);
        if self.refuses_everything {
            return Verdict::Decide;
        }
        let by_size = whole && is_too_large(finished);
        let is_news = items.iter().any(|item| !self.is_second_try(item));
        if is_news && !by_size && !finished.parcel.is_part() {
            self.row += 1;
        }
        if !whole {
            return Verdict::Decide;
        }
        if self.row >= REFUSALS {
            self.give_up();
            return Verdict::Decide;
        }
        Verdict::Halve
    }

    /// What becomes of one of the profiles of a request, after it was [heard](Self::hear).
    pub(super) fn decide(
        &mut self,
        finished: &Finished,
        place: usize,
        class: Option<Class>,
        now: Micros,
    ) -> Decided {
        let item = &finished.parcel.items[place];
        let result = finished.results().map(|results| &results[place]);
        let is_probe = finished.trail.probe().is_some();
        match result.map_or(class, |result| Some(result.class)) {
            None => plain(Outcome::Released, "released"),
            Some(Class::Delivered) => {
                self.second_try.remove(&item.id);
                self.suspects.remove(&item.id);
                plain(Outcome::Delivered, "delivered")
            }
            // A probe is the gate's affair: its profile stays due, without a delay.
            Some(Class::Later) if is_probe => plain(Outcome::Released, "later"),
            Some(Class::Later) => plain(Outcome::Later, "later"),
            Some(Class::Endpoint) => {
                if finished.parcel.items.len() == 1 && self.suspects.is_at_fault(item) {
                    self.suspects.remove(&item.id);
                    let reason = "the endpoint took all others and answered this one ";
                    let letter = letter::refused(finished, item, None, reason, now);
                    return plain(Outcome::Refused(Arc::new(letter)), "refused");
                }
                plain(Outcome::Released, "endpoint")
            }
            Some(Class::Refused) if is_probe && !self.was_refused_as_probe(item) => {
                self.refused_probes.insert(item.id, item.version);
                plain(Outcome::Released, "released")
            }
            Some(Class::Refused) => self.refuse(finished, item, result, now),
        }
    }

    fn refuse(
        &mut self,
        finished: &Finished,
        item: &Item,
        result: Option<&ItemResult>,
        now: Micros,
    ) -> Decided {
        if self.refuses_everything {
            // It was in flight when the gate closed: as good as any of the row.
            self.second_try.insert(item.id, item.version);
            return plain(Outcome::Released, "released");
        }
        let letter = letter::refused(finished, item, result, "", now);
        self.suspects.remove(&item.id);
        if self.is_second_try(item) {
            self.second_try.remove(&item.id);
        } else if (result.is_none() || self.row > 0) && self.refused.len() < REVIVED {
            self.refused.push((item.id, item.version));
        }
        if self.row >= REFUSALS {
            self.give_up();
        }
        plain(Outcome::Refused(Arc::new(letter)), "refused")
    }

    /// The versions that are to become due again, once after the endpoint was found to refuse
    /// everything.
    pub(super) fn take_revived(&mut self) -> Option<Vec<Version>> {
        self.revive.take()
    }

    /// Whether a claimed version is to share its request with none.
    pub(super) fn goes_alone(&mut self, claim: &Claim) -> bool {
        self.suspects.goes_alone(claim)
    }

    fn give_up(&mut self) {
        self.row = 0;
        let revive = std::mem::take(&mut self.refused);
        self.second_try.extend(revive.iter().copied());
        self.revive.get_or_insert_default().extend(revive);
        self.refuses_everything = true;
    }

    fn was_refused_as_probe(&self, item: &Item) -> bool {
        self.refused_probes.get(&item.id) == Some(&item.version)
    }

    fn is_second_try(&self, item: &Item) -> bool {
        self.second_try.get(&item.id) == Some(&item.version)
    }

    /// Notes an answer that is neither a delivery nor a refusal.
    fn break_row(&mut self) {
        self.row = 0;
        self.refused.clear();
    }
}

/// Whether the endpoint says that there is too much in the request.
pub(super) fn is_too_large(finished: &Finished) -> bool {
    let answer = finished.result.as_ref();
    answer.is_ok_and(|answer| answer.status() == StatusCode::PAYLOAD_TOO_LARGE)
}

/// What an answer says about the request as a whole: the best of what it says about its profiles.
fn summary(finished: &Finished, class: Option<Class>) -> Option<Class> {
    let Some(results) = finished.results() else { return class };
    let has = |class| results.iter().any(|result| result.class == class);
    [Class::Delivered, Class::Refused].into_iter().find(|class| has(*class)).or(Some(Class::Later))
}

fn plain(outcome: Outcome, label: &'static str) -> Decided {
    Decided { outcome, label }
}

/// An answer or its absence in a few words.
pub(super) fn describe(result: &Result<Response<Bytes>, AttemptError>) -> String {
    match result {
        Ok(answer) => answer.status().to_string(),
        Err(error) => error.to_string(),
    }
}
