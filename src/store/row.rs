//! A row: what is compared and what is due of one profile. Small, hot, of fixed length.

use super::{StoreError, Triggers};
use crate::{
    clock::Micros,
    profile::{Fingerprints, SourceVersion},
};

/// The state of one profile but for its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// The version minted last, 0 when none was.
    pub(super) version: u64,
    /// The version confirmed last, 0 when none was.
    pub(super) confirmed: u64,
    /// The sender's version of what is known.
    pub(super) source_version: Option<SourceVersion>,
    /// Fingerprints of what is known.
    pub(super) prints: Fingerprints,
    /// The generation of the mapping under which the fingerprints were taken.
    pub(super) generation: u32,
    /// Whether changes are exported.
    pub(super) followed: bool,
    /// Whether `version` still has to be delivered.
    pub(super) due: bool,
    /// Whether the endpoint has, or may have, seen any version.
    pub(super) offered: bool,
    /// Whether `version` was refused and lies among the dead letters.
    pub(super) dead: bool,
    /// Whether the mapping asks for consent of which nothing was kept. Until the next record says
    /// whether it is given, all else stays as it is and nothing is exported: what is due waits.
    pub(super) held: bool,
    /// Whether the profile is forgotten once `version`, its last export, has been answered.
    pub(super) leaving: bool,
    /// Why it is due.
    pub(super) triggers: Triggers,
    /// Deliveries that failed since the last one that succeeded.
    pub(super) failures: u32,
    /// Wall-clock time before which it is not delivered.
    pub(super) not_before: Micros,
    /// Since when it is due.
    pub(super) due_since: Micros,
}

const LENGTH: usize = 123;

const FOLLOWED: u8 = 1;
const DUE: u8 = 1 << 1;
const OFFERED: u8 = 1 << 2;
const DEAD: u8 = 1 << 3;
const HELD: u8 = 1 << 4;
const LEAVING: u8 = 1 << 7;

impl Row {
    /// Whether it waits to be delivered, or is in flight.
    pub(super) fn is_deliverable(&self) -> bool {
        self.due && !self.held
    }

    /// The stored form: little-endian fields one after the other.
    pub(super) fn encode(&self) -> [u8; LENGTH] {
        let flags = [
            (self.followed, FOLLOWED),
            (self.due, DUE),
            (self.offered, OFFERED),
            (self.dead, DEAD),
            (self.held, HELD),
            (self.leaving, LEAVING),
        ];
        let flags = flags.iter().filter(|(set, _)| *set).fold(0, |all, (_, flag)| all | flag);
        let (kind, source_version) = match self.source_version {
            None => (0, 0),
            Some(SourceVersion::Number(number)) => (1, number),
            Some(SourceVersion::Time(time)) => (2, time),
        };
        let mut out = Writer { bytes: [0; LENGTH], at: 0 };
        out.put(self.version.to_le_bytes());
        out.put(self.confirmed.to_le_bytes());
        out.put([kind]);
        out.put(source_version.to_le_bytes());
        out.put(self.prints.attributes.to_le_bytes());
        out.put(self.prints.identities.to_le_bytes());
        out.put(self.prints.memberships.to_le_bytes());
        out.put(self.prints.kept.to_le_bytes());
        out.put(self.generation.to_le_bytes());
        out.put([flags]);
        out.put([self.triggers.0]);
        out.put(self.failures.to_le_bytes());
        out.put(self.not_before.to_le_bytes());
        out.put(self.due_since.to_le_bytes());
        out.bytes
    }

    /// Reads the stored form.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let damaged = || StoreError::Damaged(format!("a row of {} bytes", bytes.len()));
        let fields: &[u8; LENGTH] = bytes.try_into().map_err(|_| damaged())?;
        let mut reader = Reader(fields);
        let version = u64::from_le_bytes(reader.take());
        let confirmed = u64::from_le_bytes(reader.take());
        let [kind] = reader.take();
        let value = i128::from_le_bytes(reader.take());
        let source_version = match kind {
            0 => None,
            1 => Some(SourceVersion::Number(value)),
            2 => Some(SourceVersion::Time(value)),
            _ => return Err(damaged()),
        };
        let prints = Fingerprints {
            attributes: u128::from_le_bytes(reader.take()),
            identities: u128::from_le_bytes(reader.take()),
            memberships: u128::from_le_bytes(reader.take()),
            kept: u128::from_le_bytes(reader.take()),
        };
        let generation = u32::from_le_bytes(reader.take());
        let [flags] = reader.take();
        let [triggers] = reader.take();
        Ok(Self {
            version,
            confirmed,
            source_version,
            prints,
            generation,
            followed: flags & FOLLOWED != 0,
            due: flags & DUE != 0,
            offered: flags & OFFERED != 0,
            dead: flags & DEAD != 0,
            held: flags & HELD != 0,
            leaving: flags & LEAVING != 0,
            triggers: Triggers(triggers),
            failures: u32::from_le_bytes(reader.take()),
            not_before: u64::from_le_bytes(reader.take()),
            due_since: u64::from_le_bytes(reader.take()),
        })
    }
}

struct Writer {
    bytes: [u8; LENGTH],
    at: usize,
}

impl Writer {
    fn put<const N: usize>(&mut self, field: [u8; N]) {
        self.bytes[self.at..self.at + N].copy_from_slice(&field);
        self.at += N;
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) =
            self.0.split_first_chunk().expect("the fields add up to the length that was checked");
        self.0 = rest;
        *field
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_back_as_it_was_written() {
        let row = Row {
            version: 7,
            confirmed: 6,
            source_version: Some(SourceVersion::Time(-5)),
            prints: Fingerprints { attributes: 1, identities: 2, memberships: 3, kept: u128::MAX },
            generation: 9,
            followed: true,
            due: false,
            offered: true,
            dead: true,
            held: true,
            leaving: true,
            triggers: Triggers::MEMBERSHIP | Triggers::ATTRIBUTE,
            failures: 4,
            not_before: 10,
            due_since: 11,
        };
        assert_eq!(Row::decode(&row.encode()).unwrap(), row);
        assert_eq!(Row::decode(&Row::default().encode()).unwrap(), Row::default());
    }

    #[test]
    fn a_row_of_another_length_is_damage_not_a_panic() {
        assert!(Row::decode(&[0; LENGTH - 1]).is_err());
        assert!(Row::decode(&[0xff; LENGTH]).is_err());
    }
}
