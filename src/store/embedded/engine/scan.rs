//! The scan that fills the queue from the rows.

use super::Engine;
use crate::store::StoreError;

/// Rows that one step of a scan looks at.
const SCAN_STEP: usize = 1024;

impl Engine {
    /// Goes on with the scan that fills the queue from the rows; the first one after opening also
    /// counts them, fills the cache and finds rows of an older mapping.
    pub(in crate::store::embedded) fn scan_step(&mut self) -> Result<(), StoreError> {
        let Some(scan) = &mut self.scan else { return Ok(()) };
        let rows = self.disk.rows_after(scan.after, SCAN_STEP)?;
        let counting = !self.tally.is_complete();
        let Some((last, _)) = rows.last() else {
            self.scan = None;
            self.tally.complete();
            if counting {
                self.begin_reconcile();
            }
            self.publish();
            return Ok(());
        };
        scan.after = Some(*last);
        if counting {
            self.tally.count(&rows);
        }
        let now = self.clock.now();
        for (id, row) in rows {
            if counting && self.cache.len() < self.room() {
                self.cache.insert(id, row);
            }
            if counting && row.generation != self.record.generation {
                self.reconcile.found(id);
            }
            if row.is_deliverable() {
                self.enqueue(id, &row, now);
            }
        }
        self.publish();
        Ok(())
    }
}
