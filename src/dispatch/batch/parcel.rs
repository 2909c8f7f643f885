use crate::{
    clock::Micros,
    delivery::Trail,
    dispatch::Export,
    profile::ProfileId,
    store::{Claim, Outcome, Settled},
};

/// A claimed profile as a part of a request.
#[derive(Debug)]
pub(in crate::dispatch) struct Item {
    pub(in crate::dispatch) id: ProfileId,
    pub(in crate::dispatch) version: u64,
    /// Attempts of this version that came before.
    pub(in crate::dispatch) attempts: u32,
    /// Whether the endpoint may have taken one of those of this claim.
    pub(in crate::dispatch) unknown: bool,
    pub(in crate::dispatch) due_since: Micros,
    pub(in crate::dispatch) trigger: &'static str,
    pub(in crate::dispatch) export: Export,
}

/// The profiles of one request. There is at least one.
#[derive(Debug)]
pub(in crate::dispatch) struct Parcel {
    pub(in crate::dispatch) items: Vec<Item>,
    /// Where it stands in a batch that was refused.
    part: Option<Part>,
}

/// A part of a batch that was refused.
#[derive(Debug, Default)]
struct Part {
    /// The parts that are still to be sent, the next one last.
    rest: Vec<Vec<Item>>,
    /// Whether this is the left half of what was refused for one of its profiles, the right half
    /// being the next part: if this one is delivered, the right one holds the fault.
    is_left: bool,
}

impl Item {
    pub(in crate::dispatch) fn new(claim: &Claim, export: Export) -> Self {
        Self {
            id: claim.id,
            version: claim.version,
            attempts: claim.failures,
            unknown: false,
            due_since: claim.due_since,
            trigger: claim.triggers.names().next().unwrap_or("none"),
            export,
        }
    }

    /// Its settlement after the attempts that `trail` tells of.
    pub(in crate::dispatch) fn settled(&self, outcome: Outcome, trail: &Trail) -> Settled {
        let unknown = self.unknown || trail.unknown();
        Settled { id: self.id, version: self.version, outcome, unknown }
    }
}

impl Parcel {
    pub(in crate::dispatch) fn new(items: Vec<Item>) -> Self {
        Self { items, part: None }
    }

    /// Whether it is a part of a batch that was refused.
    pub(in crate::dispatch) fn is_part(&self) -> bool {
        self.part.is_some()
    }

    /// The left half, after this parcel of several was refused; the right one is the part after
    /// that. Where `by_size`, no profile is at fault.
    pub(in crate::dispatch) fn halved(mut self, trail: &Trail, by_size: bool) -> Self {
        for item in &mut self.items {
            item.attempts = item.attempts.saturating_add(trail.attempts());
            item.unknown |= trail.unknown();
        }
        halved(self.items, self.part.unwrap_or_default().rest, !by_size)
    }

    /// Its left half, where it is known before it is sent that it is too large as a whole.
    pub(in crate::dispatch) fn halved_unsent(self) -> Self {
        halved(self.items, self.part.unwrap_or_default().rest, false)
    }

    /// The part to be sent after this one, which was delivered as a whole or not.
    pub(in crate::dispatch) fn next(self, delivered: bool) -> Option<Self> {
        let Part { mut rest, is_left } = self.part?;
        let items = rest.pop()?;
        if is_left && delivered && items.len() > 1 {
            // What is known to be refused is not sent whole.
            return Some(halved(items, rest, true));
        }
        Some(Self { items, part: Some(Part { rest, is_left: false }) })
    }

    /// Its profiles and those of the parts that were to be sent after it.
    pub(in crate::dispatch) fn into_items(self) -> impl Iterator<Item = Item> {
        let rest = self.part.unwrap_or_default().rest;
        self.items.into_iter().chain(rest.into_iter().flatten())
    }
}

fn halved(mut items: Vec<Item>, mut rest: Vec<Vec<Item>>, is_left: bool) -> Parcel {
    rest.push(items.split_off(items.len() / 2));
    Parcel { items, part: Some(Part { rest, is_left }) }
}
