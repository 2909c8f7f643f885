use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
};

use super::document::{ALL, Document};
use crate::profile::json;

/// Unites the identities of a patch with those that are known, by namespace and id.
pub(super) fn united<'a>(known: Option<Document<'a>>, patch: Document<'a>) -> Option<Document<'a>> {
    let namespaces = patch.entries()?;
    let known = known.and_then(Document::entries).unwrap_or_default();
    Some(Document::Object(known.joined(namespaces, namespace)))
}

/// An identity that is known already is merged with what the patch says of it. Where the patch
/// names a primary one, the former primary one no longer is.
fn namespace<'a>(known: Option<Document<'a>>, patch: Document<'a>) -> Document<'a> {
    let mut identities = known.map(Document::items).unwrap_or_default();
    let new: Vec<_> =
        patch.items().into_iter().filter_map(|item| Some((id(&item)?, item))).collect();
    if new.iter().any(|(_, item)| is_primary(item)) {
        for identity in &mut identities {
            if let Document::Object(entries) = identity {
                entries.take("primary");
            }
        }
    }
    let known = identities.iter().enumerate();
    let mut places: HashMap<_, _> = known.filter_map(|(i, item)| Some((id(item)?, i))).collect();
    for (id, item) in new {
        match places.entry(id) {
            Entry::Occupied(place) => {
                let former = &mut identities[*place.get()];
                let known = std::mem::replace(former, Document::Text("null"));
                *former = Document::merged(Some(known), item, ALL);
            }
            Entry::Vacant(place) => {
                place.insert(identities.len());
                identities.push(Document::merged(None, item, ALL));
            }
        }
    }
    Document::Array(identities)
}

fn id<'a>(identity: &Document<'a>) -> Option<Cow<'a, str>> {
    match identity {
        Document::Object(entries) => match entries.get("id") {
            Some(Document::Text(raw)) => json::text(raw),
            _ => None,
        },
        Document::Text(_) | Document::Array(_) => None,
    }
}

fn is_primary(identity: &Document<'_>) -> bool {
    match identity {
        Document::Object(entries) => matches!(entries.get("primary"), Some(Document::Text("true"))),
        Document::Text(_) | Document::Array(_) => false,
    }
}
