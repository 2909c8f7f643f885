//! Which profile goes as a probe.

use std::collections::HashSet;

use crate::{
    profile::ProfileId,
    store::{Claim, Outcome, Settled, Store, StoreError},
};

/// Profiles looked at to find one that was not probed yet.
const LOOKED_AT: usize = 64;

/// The profiles that were probed since the gate closed. Each probe takes another one as long as
/// there is one, so that one poisonous profile cannot hold the sink.
#[derive(Debug, Default)]
pub(super) struct Probes {
    closure: u64,
    probed: HashSet<ProfileId>,
}

impl Probes {
    /// Claims the next profile to probe in this closure of the gate. What was claimed only to be
    /// looked at is released.
    pub(super) async fn claim<S: Store>(
        &mut self,
        store: &S,
        closure: u64,
    ) -> Result<Option<Claim>, StoreError> {
        if self.closure != closure {
            *self = Self { closure, probed: HashSet::new() };
        }
        let max = LOOKED_AT.min(self.probed.len() + 1);
        let mut claims = store.claim(max).await?.ready;
        if claims.is_empty() {
            return Ok(None);
        }
        let fresh = claims.iter().position(|claim| !self.probed.contains(&claim.id)).unwrap_or(0);
        let chosen = claims.swap_remove(fresh);
        if !claims.is_empty() {
            store.settle(claims.iter().map(release).collect()).await?;
        }
        self.probed.insert(chosen.id);
        Ok(Some(chosen))
    }
}

/// The claim goes back as it was.
fn release(claim: &Claim) -> Settled {
    Settled { id: claim.id, version: claim.version, outcome: Outcome::Released, unknown: false }
}
