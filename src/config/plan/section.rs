use std::ops::RangeInclusive;

use super::{Findings, Read};
use crate::config::{
    problem::{Place, Problem},
    written::{Entry, Node, Value},
};

/// A value with its place.
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// A map of options, taken out one by one; what is left in the end is unknown.
pub(super) struct Section<'a> {
    title: String,
    place: Place,
    entries: Vec<Entry>,
    known: Vec<&'static str>,
    findings: &'a Findings,
}

impl<'a> Section<'a> {
    /// The options in `node`, which `place` points at (best: its key) and messages call `title`.
    pub(super) fn new(
        title: impl Into<String>,
        place: &Place,
        node: Node,
        findings: &'a Findings,
    ) -> Option<Self> {
        let title = title.into();
        let kind = node.kind();
        let Value::Map(entries) = node.value else {
            findings.error(
                Problem::at(place, format!("{title} must be a map of options, but this is {kind}"))
                    .help("write its options below it, each on a line of its own and indented"),
            );
            return None;
        };
        Some(Self { title, place: place.clone(), entries, known: Vec::new(), findings })
    }

    /// Where the section stands.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Where errors, warnings and needs go.
    pub(super) fn findings(&self) -> &'a Findings {
        self.findings
    }

    /// Whether the option is given and has not been taken.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// Looks at an option without taking it.
    pub(super) fn peek(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Takes an option away, whatever it is.
    pub(super) fn discard(&mut self, key: &'static str) {
        self.known.push(key);
        self.entries.retain(|entry| entry.key != key);
    }

    /// Takes an option as it was written.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Entry> {
        self.known.push(key);
        let at = self.entries.iter().position(|entry| entry.key == key)?;
        let entry = self.entries.remove(at);
        if matches!(entry.value.value, Value::Null) {
            self.findings.error(
                Problem::at(&entry.key_place, format!("`{key}` has no value"))
                    .help("give it one, or remove the line"),
            );
            return None;
        }
        Some(entry)
    }

    /// Takes an option and reads it.
    pub(super) fn get<T: Read>(&mut self, key: &'static str) -> Option<T> {
        T::read(key, self.take(key)?.value, self.findings)
    }

    /// Takes an option and reads it, keeping its place.
    pub(super) fn located<T: Read>(&mut self, key: &'static str) -> Option<Located<T>> {
        let node = self.take(key)?.value;
        let place = node.place.clone();
        Some(Located { value: T::read(key, node, self.findings)?, place })
    }

    /// Takes an option that must be there.
    pub(super) fn required<T: Read>(
        &mut self,
        key: &'static str,
        example: &str,
    ) -> Option<Located<T>> {
        if !self.has(key) {
            self.missing(key, example);
            return None;
        }
        self.located(key)
    }

    /// Takes a whole number that must lie in a range.
    pub(super) fn number<N: TryFrom<i128>>(
        &mut self,
        key: &'static str,
        range: RangeInclusive<i128>,
    ) -> Option<N> {
        let Located { value, place } = self.located::<i128>(key)?;
        if range.contains(&value)
            && let Ok(number) = N::try_from(value)
        {
            return Some(number);
        }
        let (least, most) = range.into_inner();
        self.findings.error(
            Problem::at(&place, format!("`{key}` cannot be {value}"))
                .help(format!("write a whole number from {least} to {most}")),
        );
        None
    }

    /// Reports that an option is not there, unless an unknown one is likely to be meant for it.
    pub(super) fn missing(&mut self, key: &'static str, example: &str) {
        self.known.push(key);
        if self.entries.iter().any(|entry| nearest(&entry.key, [key].into_iter()).is_some()) {
            return;
        }
        let message = format!("{} has no `{key}`", self.title);
        self.findings.error(
            Problem::at(&self.place, message)
                .help(format!("add it, for example `{key}: {example}`")),
        );
    }

    /// Takes an option that is one of a few words.
    pub(super) fn choice<T: Clone>(
        &mut self,
        key: &'static str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let node = self.take(key)?.value;
        let word = match &node.value {
            Value::Text(text) if !text.has_variable() => format!("`{}`", text.text),
            Value::Text(_) => "the variable's value".to_owned(),
            _ => node.kind().to_owned(),
        };
        let text = match &node.value {
            Value::Text(text) => text.text.as_str(),
            _ => "",
        };
        if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == text) {
            return Some(choice.clone());
        }
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        let help = match nearest(text, names.iter().copied()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("write {}", alternatives(&names)),
        };
        let message = format!("`{key}` must be {}, not {word}", alternatives(&names));
        self.findings.error(Problem::at(&node.place, message).help(help));
        None
    }

    /// Takes the section under a key, if there is one.
    pub(super) fn section(&mut self, key: &'static str) -> Option<Section<'a>> {
        let entry = self.take(key)?;
        let title = format!("`{key}` of {}", self.title);
        Section::new(title, &entry.key_place, entry.value, self.findings)
    }

    /// Takes a section that must be there.
    pub(super) fn required_section(
        &mut self,
        key: &'static str,
        example: &str,
    ) -> Option<Section<'a>> {
        if !self.has(key) {
            self.missing(key, example);
            return None;
        }
        self.section(key)
    }

    /// The options that have not been taken.
    pub(super) fn entries(&mut self) -> &mut Vec<Entry> {
        &mut self.entries
    }

    /// Everything that is left, for maps whose keys are names.
    pub(super) fn rest(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }

    /// Reports what was not taken.
    pub(super) fn finish(self) {
        for entry in &self.entries {
            let message = format!("unknown option `{}` in {}", entry.key, self.title);
            let problem = Problem::at(&entry.key_place, message);
            let help = match nearest(&entry.key, self.known.iter().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            self.findings.error(problem.help(help));
        }
    }
}

/// The name that `word` was most likely meant to be, for messages about a name that is not known.
pub fn nearest<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let plain = |name: &str| name.to_lowercase().replace(['-', '_', ' '], "");
    let word = plain(word);
    names
        .map(|name| (strsim::damerau_levenshtein(&plain(name), &word), name))
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// "`a`, `b` or `c`"
fn alternatives(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => format!("`{one}`"),
        [most @ .., last] => {
            let most: Vec<_> = most.iter().map(|name| format!("`{name}`")).collect();
            format!("{} or `{last}`", most.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_whatever_its_spelling() {
        let names = ["http_endpoint", "method", "inputs"];
        assert_eq!(nearest("httpEndpoint", names.into_iter()), Some("http_endpoint"));
        assert_eq!(nearest("inptus", names.into_iter()), Some("inputs"));
        assert_eq!(nearest("colour", names.into_iter()), None);
    }
}
