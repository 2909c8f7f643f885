use std::borrow::Cow;

use super::{
    Attributes, FieldError, Invalid, Known, Mapping, Path,
    compile::{has_own_meaning, namespace},
    json,
    reading::{self, CONSENTS, Plan, Reading},
    tree::Node,
};

/// Values that are picked out of what is known of a profile, each as text.
///
/// Only what is mapped can be picked: the rest is not kept, and not allowed to leave.
#[derive(Debug)]
pub struct Fields {
    tree: Node,
    places: Vec<Place>,
    /// The paths of the places, as they are shown.
    names: Vec<String>,
}

#[derive(Debug)]
enum Place {
    Namespace(String),
    Slot(usize),
}

impl Mapping {
    /// What reads the values at these paths.
    pub fn fields(&self, paths: &[Path]) -> Result<Fields, FieldError> {
        for path in paths {
            self.check_field(path)?;
        }
        let tree = Node::new([], paths.iter().filter(|path| namespace(path).is_none()));
        let place = |path| match namespace(path) {
            Some(name) => Place::Namespace(name.to_owned()),
            None => Place::Slot(tree.slot_of(path).expect("every such path was put into the tree")),
        };
        let places = paths.iter().map(place).collect();
        let names = paths.iter().map(ToString::to_string).collect();
        Ok(Fields { tree, places, names })
    }

    fn check_field(&self, path: &Path) -> Result<(), FieldError> {
        if let Some(name) = namespace(path) {
            let exported = self.exports(name);
            return if exported { Ok(()) } else { Err(FieldError::NotExported(name.to_owned())) };
        }
        if let Some(prefix) = &self.spec.strip_prefix
            && path.0.iter().any(|key| key.starts_with(prefix.as_str()))
        {
            return Err(FieldError::Prefixed { path: path.clone(), prefix: prefix.clone() });
        }
        if has_own_meaning(path) {
            return Err(FieldError::NoValue(path.clone()));
        }
        match &self.spec.attributes {
            Attributes::All if path.0.first().is_some_and(|key| key == CONSENTS) => {
                Err(FieldError::NoValue(path.clone()))
            }
            Attributes::All => Ok(()),
            Attributes::Listed(mapped) if mapped.iter().any(|m| path.0.starts_with(&m.0)) => Ok(()),
            Attributes::Listed(_) => Err(FieldError::NotMapped(path.clone())),
        }
    }
}

impl Fields {
    /// The values, in the order of the paths: strings, numbers as they were written, booleans. Of a
    /// namespace, the id that would be its profile's key. Objects, arrays and `null` have none, and
    /// of a profile that has withdrawn its consent nothing that does not tell who it is.
    ///
    /// # Errors
    ///
    /// What is kept of the profile cannot be read: the store is damaged.
    pub fn read<'k>(&self, known: &'k Known) -> Result<Vec<Option<Cow<'k, str>>>, Invalid> {
        let plan = Plan { tree: &self.tree, all: false, prefix: None };
        let reading = reading::read(plan, known.sendable()?)?;
        let value = |(place, name): (&Place, &String)| {
            let is_key = known.withdrawn.is_some() && *name == known.key.path;
            place.value(&reading).or_else(|| is_key.then_some(Cow::Borrowed(&*known.key.text)))
        };
        Ok(self.places.iter().zip(&self.names).map(value).collect())
    }
}

impl Place {
    fn value<'k>(&self, reading: &Reading<'k>) -> Option<Cow<'k, str>> {
        match self {
            Self::Namespace(name) => reading.chosen_identity(name),
            Self::Slot(slot) => {
                let raw = reading.slots[*slot]?;
                match raw.as_bytes() {
                    [b'"', ..] => json::text(raw),
                    [b'{' | b'[', ..] | b"null" => None,
                    _ => Some(Cow::Borrowed(raw)),
                }
            }
        }
    }
}
