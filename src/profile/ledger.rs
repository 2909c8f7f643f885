use std::cmp::Ordering;

use super::{Advanced, Kept, Known, Mapping, Membership, Reported, Status, Withdrawn};
use crate::clock::Micros;

impl Mapping {
    /// What is known once a record is taken in: the record *is* the profile now, and only the
    /// history of its memberships is carried over. `now` should be no less than any version given
    /// out before, since versions are compared with the times noted here.
    ///
    /// A membership that the record no longer names has ended now. Consent that is refused was
    /// withdrawn when it was first refused.
    pub fn advance(&self, previous: Option<&Known>, kept: Kept, now: Micros) -> Advanced {
        let Kept { key, document, memberships: reported, covered, refused } = kept;
        // The one under which it is stored, whatever else a patch may have added.
        let key = previous.map_or(key, |known| known.key.clone());
        let now = if refused.is_some() { now.max(not_before(previous)) } else { now };
        let withdrawn = refused.map(|document| {
            let former = previous.and_then(|known| known.withdrawn.clone());
            former.unwrap_or(Withdrawn { at: now, document })
        });
        let mut known = previous.map_or(&[][..], |known| &known.memberships).iter().peekable();
        let mut memberships = Vec::with_capacity(reported.len().max(known.len()));
        let mut exits_by_absence = 0;
        let mut absent = |membership: &Membership| {
            if !membership.status.is_member() {
                return membership.clone();
            }
            let mapped = self.segment(&membership.namespace, &membership.id).is_some();
            exits_by_absence += u32::from(mapped);
            let at = i64::try_from(now).ok().filter(|_| self.keeps_time(mapped));
            Membership { status: Status::Exited, at, updated: now, ..membership.clone() }
        };

        // Both are in byte order, so one pass pairs them.
        for report in reported {
            let mut former = None;
            while let Some(membership) = known.next_if(|next| order(next, &report).is_le()) {
                if order(membership, &report) == Ordering::Equal {
                    former = Some(membership);
                } else {
                    memberships.push(absent(membership));
                }
            }
            memberships.push(reported_now(report, former, now));
        }
        memberships.extend(known.map(absent));
        let known = Known { key, document, memberships, covered, withdrawn };
        Advanced { known, exits_by_absence }
    }
}

/// The time from which on a record that does not consent can have come. What was known before a
/// withdrawal and what came after it are told apart by their times, and times of arrival may be
/// behind versions that were minted meanwhile.
fn not_before(previous: Option<&Known>) -> Micros {
    let Some(known) = previous else { return 0 };
    let latest = || known.memberships.iter().map(|membership| membership.updated + 1).max();
    known.withdrawn.as_ref().map(|withdrawn| withdrawn.at).or_else(latest).unwrap_or(0)
}

fn order(membership: &Membership, report: &Reported) -> Ordering {
    (&membership.namespace, &membership.id).cmp(&(&report.namespace, &report.id))
}

fn reported_now(report: Reported, former: Option<&Membership>, now: Micros) -> Membership {
    let Reported { namespace, id, status, at } = report;
    let (created, updated) = match former {
        Some(former) if former.status.is_member() == status.is_member() => {
            (former.created, former.updated)
        }
        Some(former) => (former.created, now),
        None => (now, now),
    };
    Membership { namespace, id, status, at, created, updated }
}
