//! The comparison of an update with what is known, and what follows from it.
//!
//! Due is decided against the state last known, not the state last delivered: A, then B, then A
//! again while waiting is sent once, because B may have reached the endpoint.

use std::cmp::Ordering;

use super::{Triggers, Update, Verdict, row::Row};
use crate::{
    clock::Micros,
    profile::{Fingerprints, SourceVersion, When},
};

/// What an update was found to be, apart from what it made of the row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) verdict: Verdict,
    /// Whether what is kept of the profile differs and has to be written.
    pub(super) keep: bool,
}

/// Judges `update` and brings `row` up to date with it. `offered` says whether the endpoint has,
/// or may have, seen any version of the profile; `mint` makes the next version.
pub(super) fn judge(
    row: &mut Row,
    update: &Update,
    when: When,
    offered: bool,
    mint: impl FnOnce() -> u64,
) -> Judgement {
    if let Some(judgement) = judge_version(row, update) {
        return judgement;
    }

    let keep = row.prints.kept != update.prints.kept;
    let was_followed = row.followed;
    let mut triggers = Triggers::default();
    if was_followed {
        triggers |= changes(&row.prints, &update.prints);
    }
    match (was_followed, update.followed) {
        (false, true) => triggers |= Triggers::FOLLOWED,
        (true, false) => triggers |= Triggers::UNFOLLOWED,
        (true, true) if when == When::Always => triggers |= Triggers::ALWAYS,
        _ => {}
    }
    row.prints = update.prints;
    row.followed = update.followed;
    // A record says whether it consents.
    row.held = false;

    let verdict = if was_followed && !row.followed && !offered {
        // Whoever joined and left before the endpoint heard of them is none of its business.
        withdraw(row);
        Verdict::NotFollowed
    } else if !triggers.is_empty() {
        mark_due(row, triggers, mint(), update.received);
        Verdict::Changed(triggers)
    } else if row.followed {
        Verdict::Unchanged
    } else {
        Verdict::NotFollowed
    };
    Judgement { verdict, keep }
}

/// The same where it is still not known whether the profile consents. What changes is due, and held
/// until that is known; whether the profile is followed is judged then.
pub(super) fn judge_held(row: &mut Row, update: &Update, mint: impl FnOnce() -> u64) -> Judgement {
    if let Some(judgement) = judge_version(row, update) {
        return judgement;
    }
    let keep = row.prints.kept != update.prints.kept;
    let triggers = changes(&row.prints, &update.prints);
    row.prints = update.prints;
    if row.followed && !triggers.is_empty() {
        mark_due(row, triggers, mint(), update.received);
    }
    Judgement { verdict: Verdict::NotFollowed, keep }
}

/// Notes the source version of an update, or says what is wrong with it.
fn judge_version(row: &mut Row, update: &Update) -> Option<Judgement> {
    if let (Some(known), Some(new)) = (row.source_version, update.source_version) {
        match compare(new, known) {
            None => return Some(Judgement { verdict: Verdict::Invalid, keep: false }),
            Some(Ordering::Less) => {
                return Some(Judgement { verdict: Verdict::Stale, keep: false });
            }
            Some(Ordering::Equal | Ordering::Greater) => {}
        }
    }
    row.source_version = update.source_version.or(row.source_version);
    None
}

/// Makes a profile due under a new version. Its delay goes on if it waits for one, so that a
/// stream of updates cannot hurry an endpoint that fails; a dead letter is superseded.
pub(super) fn mark_due(row: &mut Row, triggers: Triggers, version: u64, now: Micros) {
    if row.dead {
        row.dead = false;
        row.failures = 0;
        row.not_before = 0;
    }
    if !row.due {
        row.due = true;
        row.due_since = now;
        row.triggers = Triggers::default();
    }
    row.triggers |= triggers;
    // Of leaving and joining only the later holds.
    if triggers.contains(Triggers::FOLLOWED) {
        row.triggers.remove(Triggers::UNFOLLOWED);
    }
    if triggers.contains(Triggers::UNFOLLOWED) {
        row.triggers.remove(Triggers::FOLLOWED);
    }
    row.version = version;
}

/// Takes back whatever waits to be delivered.
pub(super) fn withdraw(row: &mut Row) {
    row.due = false;
    row.dead = false;
    row.triggers = Triggers::default();
    row.failures = 0;
    row.not_before = 0;
}

/// What differs between two states that would be exported.
pub(super) fn changes(known: &Fingerprints, new: &Fingerprints) -> Triggers {
    let mut triggers = Triggers::default();
    if known.memberships != new.memberships {
        triggers |= Triggers::MEMBERSHIP;
    }
    if known.identities != new.identities {
        triggers |= Triggers::IDENTITY;
    }
    if known.attributes != new.attributes {
        triggers |= Triggers::ATTRIBUTE;
    }
    triggers
}

fn compare(new: SourceVersion, known: SourceVersion) -> Option<Ordering> {
    match (new, known) {
        (SourceVersion::Number(new), SourceVersion::Number(known))
        | (SourceVersion::Time(new), SourceVersion::Time(known)) => Some(new.cmp(&known)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::ProfileId;

    fn update(memberships: u128, attributes: u128) -> Update {
        Update {
            id: ProfileId([0; 16]),
            prints: Fingerprints { attributes, identities: 1, memberships, kept: attributes },
            followed: memberships != 0,
            source_version: None,
            received: 100,
            record: bytes::Bytes::new(),
            kept: None,
        }
    }

    fn judged(row: &mut Row, update: &Update, offered: bool) -> Verdict {
        judge(row, update, When::Changed, offered, || 7).verdict
    }

    #[test]
    fn a_profile_that_becomes_followed_is_due() {
        let mut row = Row::default();
        assert_eq!(judged(&mut row, &update(1, 1), false), Verdict::Changed(Triggers::FOLLOWED));
        assert!(row.due && row.followed);
        assert_eq!((row.version, row.due_since), (7, 100));
    }

    #[test]
    fn a_profile_that_is_not_followed_is_remembered_but_not_due() {
        let mut row = Row::default();
        let judgement = judge(&mut row, &update(0, 1), When::Always, false, || 7);
        assert_eq!(judgement, Judgement { verdict: Verdict::NotFollowed, keep: true });
        assert!(!row.due);
    }

    #[test]
    fn each_relevant_change_names_its_trigger() {
        let mut row = Row::default();
        judged(&mut row, &update(1, 1), false);
        assert_eq!(judged(&mut row, &update(1, 1), false), Verdict::Unchanged);
        assert_eq!(judged(&mut row, &update(1, 2), false), Verdict::Changed(Triggers::ATTRIBUTE));
        assert_eq!(judged(&mut row, &update(2, 2), false), Verdict::Changed(Triggers::MEMBERSHIP));
        let mut identity = update(2, 2);
        identity.prints.identities = 9;
        assert_eq!(judged(&mut row, &identity, false), Verdict::Changed(Triggers::IDENTITY));
    }

    #[test]
    fn whoever_left_before_anything_was_offered_is_withdrawn() {
        let mut row = Row::default();
        judged(&mut row, &update(1, 1), false);
        assert_eq!(judged(&mut row, &update(0, 1), false), Verdict::NotFollowed);
        assert!(!row.due);
    }

    #[test]
    fn whoever_left_after_something_was_offered_gets_one_last_export() {
        let mut row = Row::default();
        judged(&mut row, &update(1, 1), false);
        let verdict = judged(&mut row, &update(0, 1), true);
        assert_eq!(verdict, Verdict::Changed(Triggers::UNFOLLOWED | Triggers::MEMBERSHIP));
        assert!(row.due);
        assert_eq!(judged(&mut row, &update(0, 2), true), Verdict::NotFollowed);
        assert!(row.due, "the last export still waits");
    }

    #[test]
    fn every_update_counts_when_exports_are_always_made() {
        let mut row = Row::default();
        judge(&mut row, &update(1, 1), When::Always, false, || 7);
        let again = judge(&mut row, &update(1, 1), When::Always, false, || 8);
        assert_eq!(again.verdict, Verdict::Changed(Triggers::ALWAYS));
        assert_eq!(row.version, 8);
    }

    #[test]
    fn a_lower_source_version_is_stale_and_an_equal_or_absent_one_is_not() {
        let mut row = Row::default();
        let versioned =
            |version, attributes| Update { source_version: version, ..update(1, attributes) };
        let five = Some(SourceVersion::Number(5));
        judged(&mut row, &versioned(five, 1), false);
        let before = row;
        let stale = versioned(Some(SourceVersion::Number(4)), 2);
        assert_eq!(judged(&mut row, &stale, false), Verdict::Stale);
        assert_eq!(row, before, "a stale update is otherwise ignored");
        assert!(matches!(judged(&mut row, &versioned(five, 3), false), Verdict::Changed(_)));
        assert!(matches!(judged(&mut row, &versioned(None, 4), false), Verdict::Changed(_)));
        assert_eq!(row.source_version, five, "the known one stays");
        let time = versioned(Some(SourceVersion::Time(9)), 5);
        assert_eq!(judged(&mut row, &time, false), Verdict::Invalid);
    }

    #[test]
    fn a_higher_source_version_is_remembered_though_nothing_else_changed() {
        let mut row = Row::default();
        judged(&mut row, &update(1, 1), false);
        let newer = Update { source_version: Some(SourceVersion::Number(5)), ..update(1, 1) };
        assert_eq!(judged(&mut row, &newer, false), Verdict::Unchanged);
        assert_eq!(row.source_version, newer.source_version);
    }

    #[test]
    fn a_newer_version_waits_for_the_delay_but_supersedes_a_dead_letter() {
        let mut row = Row::default();
        judged(&mut row, &update(1, 1), false);
        (row.failures, row.not_before) = (3, 500);
        judged(&mut row, &update(1, 2), false);
        assert_eq!((row.failures, row.not_before), (3, 500));
        (row.due, row.dead) = (false, true);
        judged(&mut row, &update(1, 3), false);
        assert_eq!((row.dead, row.failures, row.not_before), (false, 0, 0));
    }
}
