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
        // Room for what most profiles have.
        Self { groups: Vec::with_capacity(4), items: Vec::with_capacity(16) }
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

    /// Ends a namespace whose items were pushed since `mark`: puts them in order, and of equals
    /// keeps the last, into which the former ones are merged.
    pub(super) fn close(
        &mut self,
        name: Cow<'a, str>,
        mark: usize,
        compare: fn(&T, &T) -> Ordering,
        merge: fn(&T, &mut T),
    ) {
        sort_and_keep_last(&mut self.items, mark, compare, merge);
        self.groups.push((name, mark..self.items.len()));
    }

    /// Ends the whole. Of namespaces with one name the last stays.
    pub(super) fn finish(&mut self) {
        sort_and_keep_last(&mut self.groups, 0, |a, b| a.0.cmp(&b.0), |_, _| ());
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

/// Puts what follows `start` in order, and of equals keeps the last, into which the former ones
/// are merged.
pub(super) fn sort_and_keep_last<T>(
    items: &mut Vec<T>,
    start: usize,
    compare: impl Fn(&T, &T) -> Ordering,
    merge: impl Fn(&T, &mut T),
) {
    // Most senders write in one order and nothing twice.
    if items[start..].is_sorted_by(|a, b| compare(a, b).is_lt()) {
        return;
    }
    items[start..].sort_by(&compare);
    let mut kept = start;
    for i in start..items.len() {
        if let [item, next, ..] = &mut items[i..]
            && compare(item, next).is_eq()
        {
            merge(item, next);
            continue;
        }
        items.swap(kept, i);
        kept += 1;
    }
    items.truncate(kept);
}
