use std::{fmt::Write, ops::Range};

use serde_json::{Value, json};

use crate::pipeline::Pipeline;

/// Updates of profiles, each as often as any other, in the order in which they happen.
pub(crate) const UPDATES: u64 = 100_000;
pub(crate) const PROFILES: u64 = 20_000;

/// The rounds in which they come; something is killed in each but the last.
pub(crate) const ROUNDS: u64 = 4;

/// The updates of a round.
pub(crate) fn of_round(round: u64) -> Range<u64> {
    let each = UPDATES / ROUNDS;
    round * each..(round + 1) * each
}

/// An update as a line, with its number where the examples look for the version.
pub(crate) fn line(update: u64) -> Value {
    // One of them is large.
    let blanks = if update == 10_000 { 200_000 } else { 0 };
    json!({
        "identityMap": { "crmid": [{ "id": format!("c-{}", update % PROFILES) }] },
        "_acme": { "updatedAt": update },
        "person": { "name": { "firstName": format!("Ada {update}") } },
        "personalEmail": { "address": "ada@example.org" },
        "loyalty": { "tier": "gold" },
        "segmentMembership": { "ups": {
            "59bd2fcd-3c48-4b18-bf56-4f5c5e6967ae": { "status": "realized" },
        } },
        "internal": " ".repeat(blanks),
    })
}

pub(crate) fn lines(updates: Range<u64>) -> String {
    updates.fold(String::new(), |mut text, update| {
        writeln!(text, "{}", line(update)).unwrap();
        text
    })
}

impl Pipeline {
    /// Waits until the endpoint has taken some profiles more than it had.
    pub(crate) async fn takes_more(&self, than: u64) {
        let enough = || self.endpoint.report().taken >= than + 500;
        self.wait_until("more profiles", enough).await;
    }

    /// Waits until the endpoint has the last state of every profile after so many updates, and
    /// checks one of them.
    pub(crate) async fn has_everything(&self, updates: u64) {
        for update in updates.saturating_sub(PROFILES)..updates {
            let state = || self.state(update % PROFILES);
            let name = format!("Ada {update}");
            let arrived =
                || state().is_some_and(|state| state["person"]["name"]["firstName"] == *name);
            self.wait_until(&name, arrived).await;
        }
        assert_eq!(self.endpoint.report().order_violations, 0);
        let state = self.state(7).unwrap();
        assert_eq!(state["personalEmail"]["address"], "ada@example.org");
        assert_eq!(state["loyalty"]["tier"], "gold");
        let members = &state["segmentMembership"]["ups"];
        assert_eq!(members["59bd2fcd-3c48-4b18-bf56-4f5c5e6967ae"]["status"], "realized");
        assert_eq!(state["internal"], Value::Null);
    }

    fn state(&self, profile: u64) -> Option<Value> {
        let received = self.endpoint.received("crmid", &format!("c-{profile}"))?;
        Some(serde_json::from_slice(&received.body).unwrap())
    }
}
