use std::{collections::BTreeMap, fmt::Write, ops::Range};

use serde_json::{Value, json};

use crate::pipeline::Pipeline;

/// Updates of profiles, in the order in which they happen.
pub(crate) const UPDATES: u64 = 100_000;

/// The rounds in which they come; something is killed in each but the last.
pub(crate) const ROUNDS: u64 = 4;

/// Profiles of a round. They are updated in this round alone, so that each round leaves states which
/// no later one makes up for.
const PROFILES: u64 = 5000;

/// The updates of a round.
pub(crate) fn of_round(round: u64) -> Range<u64> {
    let each = UPDATES / ROUNDS;
    round * each..(round + 1) * each
}

/// The profile of an update: those of a round in turn.
pub(crate) fn profile(update: u64) -> u64 {
    let round = update / (UPDATES / ROUNDS);
    round * PROFILES + update % PROFILES
}

/// An update as a line, with its number where the examples look for the version.
pub(crate) fn line(update: u64) -> Value {
    // One of them is large.
    let blanks = if update == 10_000 { 200_000 } else { 0 };
    json!({
        "identityMap": { "crmid": [{ "id": format!("c-{}", profile(update)) }] },
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
    /// Waits until the first update of a round has arrived, while most others have not.
    pub(crate) async fn sees_begin(&self, round: u64) {
        let first = of_round(round).start;
        let begun = || self.update_of(profile(first)) >= Some(first);
        self.wait_until("the round's first update", begun).await;
    }

    /// Waits until the endpoint has the last state of every profile after so many updates, and
    /// checks one of them.
    pub(crate) async fn has_everything(&self, updates: u64) {
        let last: BTreeMap<_, _> = (0..updates).map(|update| (profile(update), update)).collect();
        for (profile, update) in last {
            let arrived = || self.update_of(profile) == Some(update);
            self.wait_until(&format!("update {update}"), arrived).await;
        }
        assert_eq!(self.endpoint.report().order_violations, 0);
        let state = self.state(7).unwrap();
        assert_eq!(state["personalEmail"]["address"], "ada@example.org");
        assert_eq!(state["loyalty"]["tier"], "gold");
        let members = &state["segmentMembership"]["ups"];
        assert_eq!(members["59bd2fcd-3c48-4b18-bf56-4f5c5e6967ae"]["status"], "realized");
        assert_eq!(state["internal"], Value::Null);
    }

    /// The number of the update that the endpoint has of a profile.
    fn update_of(&self, profile: u64) -> Option<u64> {
        let state = self.state(profile)?;
        state["person"]["name"]["firstName"].as_str()?.strip_prefix("Ada ")?.parse().ok()
    }

    fn state(&self, profile: u64) -> Option<Value> {
        let received = self.endpoint.received("crmid", &format!("c-{profile}"))?;
        Some(serde_json::from_slice(&received.body).unwrap())
    }
}
