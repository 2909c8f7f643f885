//! The store: the latest state of each profile and the version that the endpoint confirmed.

pub mod embedded;
mod ids;
mod judge;
mod letter;
mod profile;
mod queue;
mod row;
mod types;

use std::future::Future;

pub use letter::{
    DeadLetter, InvalidRecord, Letter, LetterBounds, LetterId, LetterKind, LetterPlace, NoLetterId,
    Replayed,
};
pub use profile::{Dismissal, Forgotten, ProfileState, Resent};
pub use types::{
    Applied, Claim, Claims, Counts, Outcome, SentPart, Settled, StoreError, Triggers, Update,
    Verdict,
};

use crate::profile::ProfileId;

/// Whether bytes are a row, which then has to read back as it is written.
#[cfg(any(test, fuzzing))]
pub(crate) fn is_row(bytes: &[u8]) -> bool {
    let Ok(row) = row::Row::decode(bytes) else { return false };
    assert_eq!(row::Row::decode(&row.encode()).ok(), Some(row));
    true
}

/// Keeps profiles and what is due of them. Implementations are shared by cloning.
pub trait Store: Clone + Send + Sync + 'static {
    /// Compares each update with what is known, keeps it and marks the profile due if something
    /// relevant changed. Durable when it returns; the verdicts stand in the order of the updates.
    fn apply(
        &self,
        updates: Vec<Update>,
        invalid: Vec<InvalidRecord>,
    ) -> impl Future<Output = Result<Vec<Verdict>, StoreError>> + Send {
        async { Ok(self.apply_once(updates, invalid, Vec::new()).await?.verdicts) }
    }

    /// The same where the sender may send again what it sent. `parts` says what came under which
    /// id, from the first update and the first invalid record on; a part whose id is remembered is
    /// skipped. An id is remembered with what came under it, in the same commit.
    fn apply_once(
        &self,
        updates: Vec<Update>,
        invalid: Vec<InvalidRecord>,
        parts: Vec<SentPart>,
    ) -> impl Future<Output = Result<Applied, StoreError>> + Send;

    /// At most `max` due profiles, none of which is in flight. They are in flight until settled.
    fn claim(&self, max: usize) -> impl Future<Output = Result<Claims, StoreError>> + Send {
        self.claim_lots(max, 1)
    }

    /// The same in whole lots of `lot` profiles each. What fills no lot stays where it is, so that
    /// newer updates can still replace it.
    fn claim_lots(
        &self,
        max: usize,
        lot: usize,
    ) -> impl Future<Output = Result<Claims, StoreError>> + Send;

    /// What became of claimed profiles. Outcomes of forgotten profiles are dropped.
    fn settle(&self, outcomes: Vec<Settled>)
    -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Makes exactly these versions, which were refused, due again under the same version. What has
    /// moved on is left alone.
    fn revive(
        &self,
        versions: Vec<(ProfileId, u64)>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Waits until something may have become due, or all profiles are counted, since this was last
    /// waited for. One waiter at a time.
    fn wait_due(&self) -> impl Future<Output = ()> + Send;

    /// How many profiles are in which state now.
    fn counts(&self) -> Counts;
}
