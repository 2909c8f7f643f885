//! What is claimed, and what became of it.

use std::time::Duration;

use super::{Engine, LONGEST_DELAY, Scan};
use crate::{
    clock::Micros,
    profile::ProfileId,
    store::{
        Claim, Claims, Outcome, Settled, StoreError, Triggers, embedded::disk::Durability,
        judge::withdraw,
    },
};

/// The first delay of a profile whose delivery failed; each next one is twice as long.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// Rows of an older mapping that one call judges at most; they can be claimed with the next one.
const JUDGED: usize = 64;

impl Engine {
    /// Takes at most `max` profiles off the queue, in lots of `lot`. What this group has changed is
    /// left there.
    pub(in crate::store::embedded) fn claim(
        &mut self,
        max: usize,
        lot: usize,
    ) -> Result<Claims, StoreError> {
        let mut claims = Claims::default();
        let mut judged = 0;
        let max = if lot > 1 { self.queue.ready().min(max) / lot * lot } else { max };
        // A queue full of rows of an older mapping is not judged in one call.
        while claims.ready.len() < max && judged < JUDGED {
            let Some(id) = self.queue.pop() else { break };
            if self.group.rows.contains_key(&id) {
                continue; // the commit puts it back
            }
            let Some(before) = self.row(&id)? else { continue };
            let row = self.current(&id, before)?;
            if row != before {
                judged += 1;
                self.write(id, Some(&before), row);
                continue;
            }
            if !row.is_deliverable() {
                continue;
            }
            let Some(known) = self
                .fresh
                .take(&id)
                .map_or_else(|| self.disk.known(&id), |known| Ok(Some(known)))?
            else {
                tracing::error!(profile = %id, "a due profile has no content and is not exported");
                let mut gone = row;
                withdraw(&mut gone);
                self.write(id, Some(&row), gone);
                continue;
            };
            self.queue.begin(id, row.due_since);
            claims.ready.push(Claim {
                id,
                version: row.version,
                confirmed: row.confirmed,
                triggers: row.triggers,
                failures: row.failures,
                due_since: row.due_since,
                known,
            });
        }
        claims.left = self.queue.ready();
        claims.next_in = self.queue.next_in();
        if self.overflowed && self.scan.is_none() && self.queue.is_worked_off() {
            self.overflowed = false;
            self.scan = Some(Scan { after: None });
        }
        Ok(claims)
    }

    pub(in crate::store::embedded) fn settle(
        &mut self,
        outcomes: Vec<Settled>,
    ) -> Result<(), StoreError> {
        outcomes.into_iter().try_for_each(|settled| self.settle_one(settled))
    }

    fn settle_one(&mut self, settled: Settled) -> Result<(), StoreError> {
        let Settled { id, version, outcome, unknown } = settled;
        if !self.queue.end(&id) {
            return Ok(());
        }
        let was_forgotten = self.dismissed.has_landed(&id);
        let Some(before) = self.row(&id)? else { return Ok(()) };
        if was_forgotten {
            // The profile that it speaks of is forgotten; this one is new, and waits behind it.
            self.write(id, Some(&before), before);
            return Ok(());
        }
        let mut row = before;
        // A version that is refused now may have been taken before a crash.
        row.offered |= unknown || self.is_uncertain(&row);
        let superseded = row.version != version || !row.due;
        match outcome {
            Outcome::Delivered => {
                row.offered = true;
                row.confirmed = row.confirmed.max(version);
                row.failures = 0;
                row.not_before = 0;
                if !superseded {
                    row.due = false;
                    row.triggers = Triggers::default();
                }
            }
            Outcome::Later => {
                row.failures = row.failures.saturating_add(1);
                row.not_before = self.clock.now() + delay_micros(row.failures);
            }
            Outcome::Refused(letter) => {
                row.failures = 0;
                row.not_before = 0;
                if !superseded {
                    row.due = false;
                    row.dead = row.followed;
                    if row.dead {
                        self.group.dead.insert(id, Some(letter));
                    }
                }
            }
            Outcome::Released => {}
        }
        if row.leaving && !row.due {
            return self.remove(id, &before, Durability::Os);
        }
        self.write(id, Some(&before), row);
        Ok(())
    }

    /// Makes refused versions due again unless their profiles have moved on.
    pub(in crate::store::embedded) fn revive(
        &mut self,
        versions: Vec<(ProfileId, u64)>,
    ) -> Result<(), StoreError> {
        for (id, version) in versions {
            let Some(before) = self.row(&id)? else { continue };
            // A last export that was refused leaves no dead letter.
            let refused = before.dead || (!before.due && !before.followed && before.offered);
            if !refused || before.version != version || before.confirmed >= version {
                continue;
            }
            let mut row = before;
            row.dead = false;
            row.due = true;
            row.due_since = version;
            self.write(id, Some(&before), row);
        }
        Ok(())
    }
}

/// Exponential backoff with full jitter.
fn delay_micros(failures: u32) -> Micros {
    let doublings = failures.saturating_sub(1).min(16);
    let longest = FIRST_DELAY.saturating_mul(1 << doublings).min(LONGEST_DELAY);
    fastrand::u64(0..=u64::try_from(longest.as_micros()).unwrap_or(u64::MAX))
}
