//! Which profile goes as a probe.

use std::{collections::HashSet, time::Duration};

use crate::{
    profile::ProfileId,
    store::{Claim, Outcome, Settled, Store, StoreError},
};

/// Profiles that are claimed at once to find one that was not probed yet.
const STEP: usize = 64;

/// The profiles that were probed since the gate closed. Each probe takes another one as long as
/// there is one, so that one poisonous profile cannot hold the sink.
#[derive(Debug, Default)]
pub(super) struct Probes {
    closure: u64,
    probed: HashSet<ProfileId>,
}

impl Probes {
    /// Claims the next profile to probe in this closure of the gate: one that was not probed yet,
    /// or else the one whose turn was longest ago. Where none is ready, says how long until the
    /// next one is, if one will be.
    pub(super) async fn claim<S: Store>(
        &mut self,
        store: &S,
        closure: u64,
    ) -> Result<(Option<Claim>, Option<Duration>), StoreError> {
        if self.closure != closure {
            *self = Self { closure, probed: HashSet::new() };
        }
        let mut chosen = None;
        // In the order of the queue, which they keep when they are released at its end.
        let mut passed = Vec::new();
        let next_in = loop {
            let max = STEP.min(self.probed.len() + 1 - passed.len());
            let claims = store.claim(max).await?;
            let exhausted = claims.ready.len() < max;
            for claim in claims.ready {
                if chosen.is_none() && !self.probed.contains(&claim.id) {
                    chosen = Some(claim);
                } else {
                    passed.push(claim);
                }
            }
            if chosen.is_some() || exhausted {
                break claims.next_in;
            }
        };
        if chosen.is_none() && !passed.is_empty() {
            chosen = Some(passed.remove(0));
        }
        if !passed.is_empty() {
            store.settle(passed.iter().map(release).collect()).await?;
        }
        self.probed.extend(chosen.as_ref().map(|claim| claim.id));
        Ok((chosen, next_in))
    }
}

/// The claim goes back as it was.
fn release(claim: &Claim) -> Settled {
    Settled { id: claim.id, version: claim.version, outcome: Outcome::Released, unknown: false }
}
