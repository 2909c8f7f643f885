//! Dead letters and invalid records on disk.
//!
//! Both are looked through in the order of their times. Invalid records lie in it; dead letters
//! lie under the ids of their profiles, so a keyspace beside them holds the order.

use std::ops::Bound;

use fjall::{Guard, Keyspace};

use super::{Batch, Disk, Space, decode, encode, failed};
use crate::{
    clock::Micros,
    profile::ProfileId,
    store::{DeadLetter, InvalidRecord, Letter, LetterId, LetterPlace, StoreError},
};

/// A time and the id of a profile.
const DEAD_KEY: usize = 8 + 16;

/// A time and a number.
const INVALID_KEY: usize = 8 + 8;

/// Where to begin, or to end, looking through keys.
type Limit = Bound<Vec<u8>>;

impl Disk {
    pub(in crate::store::embedded) fn dead_letter(
        &self,
        id: &ProfileId,
    ) -> Result<Option<DeadLetter>, StoreError> {
        self.in_use()?.get(Space::Dead, &id.0)?.map(|bytes| decode(&bytes)).transpose()
    }

    /// How many dead letters and how many invalid records there are. Looks at every key.
    pub(in crate::store::embedded) fn count_letters(&self) -> Result<(u64, u64), StoreError> {
        let count = |keyspace: &Keyspace| {
            keyspace.iter().try_fold(0, |count, entry| {
                entry.key().map_err(failed)?;
                Ok(count + 1)
            })
        };
        let spaces = self.in_use()?;
        Ok((count(spaces.of(Space::DeadOrder))?, count(spaces.of(Space::Invalid))?))
    }

    /// The places of at most `max` dead letters after `after`, oldest first.
    pub(in crate::store::embedded) fn dead_after(
        &self,
        after: Option<LetterPlace>,
        max: usize,
    ) -> Result<Vec<LetterPlace>, StoreError> {
        let (start, _) = limits(after);
        let spaces = self.in_use()?;
        let range = spaces.of(Space::DeadOrder).range((start, Bound::Unbounded));
        range.take(max).map(dead_place).collect()
    }

    /// The places of at most `max` invalid records after `after`, oldest first.
    pub(in crate::store::embedded) fn invalid_after(
        &self,
        after: Option<LetterPlace>,
        max: usize,
    ) -> Result<Vec<LetterPlace>, StoreError> {
        let (_, start) = limits(after);
        let spaces = self.in_use()?;
        let range = spaces.of(Space::Invalid).range((start, Bound::Unbounded));
        range.take(max).map(invalid_place).collect()
    }

    /// The places of at most `max` letters before `before`, latest first.
    pub(in crate::store::embedded) fn letters_before(
        &self,
        before: Option<LetterPlace>,
        max: usize,
    ) -> Result<Vec<LetterPlace>, StoreError> {
        let (dead, invalid) = limits(before);
        let spaces = self.in_use()?;
        let dead = spaces.of(Space::DeadOrder).range((Bound::Unbounded, dead)).rev();
        let invalid = spaces.of(Space::Invalid).range((Bound::Unbounded, invalid)).rev();
        let dead = dead.take(max).map(dead_place);
        let mut places =
            dead.chain(invalid.take(max).map(invalid_place)).collect::<Result<Vec<_>, _>>()?;
        places.sort_unstable_by(|one, other| other.cmp(one));
        places.truncate(max);
        Ok(places)
    }

    pub(in crate::store::embedded) fn letter(
        &self,
        id: LetterId,
    ) -> Result<Option<Letter>, StoreError> {
        match id {
            LetterId::Profile(id) => {
                let Some(letter) = self.dead_letter(&id)? else { return Ok(None) };
                let key = self.known(&id)?.map(|known| known.key);
                Ok(Some(Letter::Dead { id, key, letter }))
            }
            LetterId::Invalid { received, number } => {
                let key = invalid_key(received, number);
                let bytes = self.in_use()?.get(Space::Invalid, &key)?;
                let record = bytes.map(|bytes| decode(&bytes)).transpose()?;
                Ok(record.map(|record| Letter::Invalid { id, record }))
            }
        }
    }

    pub(in crate::store::embedded) fn has_invalid(
        &self,
        received: Micros,
        number: u64,
    ) -> Result<bool, StoreError> {
        let spaces = self.in_use()?;
        let there = spaces.of(Space::Invalid).contains_key(invalid_key(received, number));
        there.map_err(failed)
    }
}

impl Batch<'_> {
    /// Puts a dead letter, or its absence, in the place of `former`.
    pub(in crate::store::embedded) fn dead_letter(
        &mut self,
        id: &ProfileId,
        former: Option<&DeadLetter>,
        letter: Option<&DeadLetter>,
    ) -> Result<(), StoreError> {
        if let Some(former) = former {
            self.remove(Space::DeadOrder, &dead_key(former.at, *id));
        }
        match letter {
            Some(letter) => {
                self.insert(Space::Dead, &id.0, &encode(letter)?);
                self.insert(Space::DeadOrder, &dead_key(letter.at, *id), &[]);
            }
            None => self.remove(Space::Dead, &id.0),
        }
        Ok(())
    }

    /// Files an invalid record under its time of arrival and a number that is not in use there.
    pub(in crate::store::embedded) fn invalid_record(
        &mut self,
        number: u64,
        record: &InvalidRecord,
    ) -> Result<(), StoreError> {
        let key = invalid_key(record.received, number);
        self.insert(Space::Invalid, &key, &encode(record)?);
        Ok(())
    }

    pub(in crate::store::embedded) fn remove_invalid(&mut self, received: Micros, number: u64) {
        self.remove(Space::Invalid, &invalid_key(received, number));
    }
}

/// What parts the dead letters, and the invalid records, before a place from those after it. Of
/// one time, dead letters come before invalid records.
fn limits(place: Option<LetterPlace>) -> (Limit, Limit) {
    let Some(LetterPlace { at, id }) = place else { return (Bound::Unbounded, Bound::Unbounded) };
    let (dead, invalid) = match id {
        LetterId::Profile(id) => (dead_key(at, id), at.to_be_bytes().to_vec()),
        LetterId::Invalid { number, .. } => {
            // The key that follows the last one of that time.
            let mut dead = dead_key(at, ProfileId([0xff; 16]));
            dead.push(0);
            (dead, invalid_key(at, number))
        }
    };
    (Bound::Excluded(dead), Bound::Excluded(invalid))
}

fn dead_key(at: Micros, id: ProfileId) -> Vec<u8> {
    [&at.to_be_bytes()[..], &id.0].concat()
}

fn invalid_key(received: Micros, number: u64) -> Vec<u8> {
    [received.to_be_bytes(), number.to_be_bytes()].concat()
}

fn dead_place(entry: Guard) -> Result<LetterPlace, StoreError> {
    let key = entry.key().map_err(failed)?;
    let key: &[u8; DEAD_KEY] = (*key).try_into().map_err(|_| misshapen())?;
    let (at, id) = key.split_first_chunk().ok_or_else(misshapen)?;
    let id = ProfileId(id.try_into().map_err(|_| misshapen())?);
    Ok(LetterPlace { at: u64::from_be_bytes(*at), id: LetterId::Profile(id) })
}

fn invalid_place(entry: Guard) -> Result<LetterPlace, StoreError> {
    let key = entry.key().map_err(failed)?;
    let key: &[u8; INVALID_KEY] = (*key).try_into().map_err(|_| misshapen())?;
    let (received, number) = key.split_first_chunk().ok_or_else(misshapen)?;
    let received = u64::from_be_bytes(*received);
    let number = u64::from_be_bytes(number.try_into().map_err(|_| misshapen())?);
    Ok(LetterPlace { at: received, id: LetterId::Invalid { received, number } })
}

fn misshapen() -> StoreError {
    StoreError::Damaged("a dead letter's key has another length than it should".to_owned())
}
