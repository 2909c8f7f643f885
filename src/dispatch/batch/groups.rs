use std::collections::{HashMap, hash_map::Entry};

use super::{Framing, Item, Parcel, Sizes};
use crate::dispatch::Target;

/// Puts profiles that go to the same place together, as far as they fit into a request.
#[derive(Debug)]
pub(in crate::dispatch) struct Groups<'a> {
    framing: &'a Framing,
    max_profiles: usize,
    max_bytes: usize,
    requests: Vec<Group>,
    /// For each target the group that is not full.
    open: HashMap<Target, usize>,
}

#[derive(Debug)]
struct Group {
    items: Vec<Item>,
    bytes: usize,
}

impl<'a> Groups<'a> {
    pub(in crate::dispatch) fn new(framing: &'a Framing, sizes: &Sizes) -> Self {
        Self {
            framing,
            max_profiles: sizes.max_profiles(),
            max_bytes: sizes.bytes(),
            requests: Vec::new(),
            open: HashMap::new(),
        }
    }

    pub(in crate::dispatch) fn add(&mut self, item: Item) {
        let weight = self.framing.weight(&item.export);
        let next = self.requests.len();
        let (max_profiles, max_bytes) = (self.max_profiles, self.max_bytes);
        let fits =
            |group: &Group| group.items.len() < max_profiles && group.bytes + weight <= max_bytes;
        match self.open.entry(item.export.target.clone()) {
            Entry::Occupied(open) if fits(&self.requests[*open.get()]) => {
                let group = &mut self.requests[*open.get()];
                group.items.push(item);
                group.bytes += weight;
            }
            entry => {
                entry.insert_entry(next);
                self.requests
                    .push(Group { items: vec![item], bytes: self.framing.frame() + weight });
            }
        }
    }

    /// The requests, in the order of their first profiles.
    pub(in crate::dispatch) fn parcels(self) -> Vec<Parcel> {
        self.requests.into_iter().map(|group| Parcel::new(group.items)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        delivery::IdempotencyKey,
        dispatch::{BatchSettings, Export},
        profile::ProfileId,
    };

    /// A profile of so many bytes that goes there, its number for an id.
    fn item(number: u8, path: &str, bytes: usize) -> Item {
        let target = Target {
            uri: format!("http://a.example/{path}").parse().unwrap(),
            headers: Vec::new(),
        };
        let body = vec![b'x'; bytes].into();
        Item {
            id: ProfileId([number; 16]),
            version: 1,
            attempts: 0,
            unknown: false,
            due_since: 0,
            trigger: "none",
            export: Export { target, body, version: 1, key: IdempotencyKey(0) },
        }
    }

    /// The ids of each request.
    fn grouped(max_profiles: usize, max_bytes: usize, items: Vec<Item>) -> Vec<Vec<u8>> {
        let settings = BatchSettings { max_profiles, max_bytes, ..BatchSettings::default() };
        let mut groups = Groups::new(&settings.framing, &Sizes::new(&settings));
        for item in items {
            groups.add(item);
        }
        let ids = |parcel: Parcel| parcel.items.iter().map(|item| item.id.0[0]).collect();
        groups.parcels().into_iter().map(ids).collect()
    }

    #[test]
    fn profiles_are_grouped_by_count_and_bytes() {
        let five = || (0..5).map(|number| item(number, "", 10)).collect();
        assert_eq!(grouped(2, 1000, five()), [vec![0, 1], vec![2, 3], vec![4]]);
        assert_eq!(grouped(9, 2 + 3 * 11, five()), [vec![0, 1, 2], vec![3, 4]]);
        assert_eq!(grouped(9, 1 + 3 * 11, five()), [vec![0, 1], vec![2, 3], vec![4]]);
    }

    #[test]
    fn a_profile_that_is_too_large_goes_alone() {
        let items = vec![item(0, "", 10), item(1, "", 500), item(2, "", 10), item(3, "", 10)];
        assert_eq!(grouped(9, 100, items), [vec![0], vec![1], vec![2, 3]]);
    }

    #[test]
    fn profiles_that_go_to_different_places_are_never_mixed() {
        let places = ["a", "b", "a", "c", "b", "a"];
        let items = places.iter().zip(0..).map(|(path, number)| item(number, path, 10)).collect();
        assert_eq!(grouped(2, 1000, items), [vec![0, 2], vec![1, 4], vec![3], vec![5]]);
    }
}
