use std::{borrow::Cow, cmp::Ordering, ops::Range};

/// Namespaces with what they hold, both in byte order: one shape for identities and memberships.
/// Flat, so that reading costs two allocations however many namespaces there are.
#[derive(Debug)]
pub(super) struct Groups<'a, T> {
    groups: Vec<(Cow<'a, str>, Range<usize>)>,
    items: Vec<T>,
}

impl<T> Default for Groups<'_, T> {
    fn default() -> Self {
        Self { groups: Vec::new(), items: Vec::new() }
    }
}

impl<'a, T> Groups<'a, T> {
    pub(super) fn clear(&mut self) {
        self.groups.clear();
        self.items.clear();
    }

    /// How many items there are now; taken before those of a namespace are pushed.
    pub(super) fn mark(&self) -> usize {
        self.items.len()
    }

    pub(super) fn push(&mut self, item: T) {
        self.items.push(item);
    }

    /// Ends a namespace whose items were pushed since `mark`: puts them in order and keeps the
    /// last of those that are the same.
    pub(super) fn close(
        &mut self,
        name: Cow<'a, str>,
        mark: usize,
        compare: fn(&T, &T) -> Ordering,
        same: fn(&T, &T) -> bool,
    ) {
        sort_and_keep_last(&mut self.items, mark, compare, same);
        self.groups.push((name, mark..self.items.len()));
    }

    /// Ends the whole. Of namespaces with one name the last stays.
    pub(super) fn finish(&mut self) {
        sort_and_keep_last(&mut self.groups, 0, |a, b| a.0.cmp(&b.0), |a, b| a.0 == b.0);
    }

    /// All items with their namespaces.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.groups.iter().flat_map(|(name, range)| {
            self.items[range.clone()].iter().map(move |item| (&**name, item))
        })
    }

    /// What a namespace holds.
    pub(super) fn get(&self, name: &str) -> &[T] {
        match self.groups.binary_search_by(|(key, _)| (**key).cmp(name)) {
            Ok(i) => &self.items[self.groups[i].1.clone()],
            Err(_) => &[],
        }
    }
}

/// Sorts what follows `start` (equals stay in order), and keeps the last of those that are the
/// same.
pub(super) fn sort_and_keep_last<T>(
    items: &mut Vec<T>,
    start: usize,
    compare: impl FnMut(&T, &T) -> Ordering,
    same: impl Fn(&T, &T) -> bool,
) {
    items[start..].sort_by(compare);
    let mut kept = start;
    for i in start..items.len() {
        if items.get(i + 1).is_none_or(|next| !same(&items[i], next)) {
            items.swap(kept, i);
            kept += 1;
        }
    }
    items.truncate(kept);
}
