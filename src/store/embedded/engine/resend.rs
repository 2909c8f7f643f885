//! Profiles that are sent again because an operator wants it.

use super::{Engine, next_version};
use crate::{
    profile::ProfileId,
    store::{Resent, StoreError, Triggers, judge::mark_due},
};

impl Engine {
    /// Makes followed profiles due as they are now, under a new version. Those that are not known
    /// are passed over.
    pub(in crate::store::embedded) fn resend(
        &mut self,
        ids: &[ProfileId],
    ) -> Result<Resent, StoreError> {
        let mut resent = Resent::default();
        for id in ids {
            let Some(before) = self.row(id)? else { continue };
            let mut row = self.current(id, before)?;
            if row.followed && !row.held {
                row.offered |= self.is_uncertain(&row);
                let version = next_version(&mut self.last_version, &self.clock);
                mark_due(&mut row, Triggers::RESEND, version, self.clock.now());
                resent.resent += 1;
            } else {
                resent.not_followed += 1;
            }
            self.write(*id, Some(&before), row);
        }
        Ok(resent)
    }
}
