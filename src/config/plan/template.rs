use super::Findings;
use crate::{
    config::problem::{Place, Problem},
    endpoint::template::{Template, TemplateError},
    profile::{Mapping, Path},
};

/// What stands between the braces of a sink's templates, until it is known what is mapped.
#[derive(Default)]
pub(super) struct Holes(Vec<Hole>);

struct Hole {
    path: Path,
    place: Place,
    secret: bool,
}

impl Holes {
    /// Takes note of the holes of a template. Of one that may be part of a secret nothing is shown.
    pub(super) fn add(
        &mut self,
        template: &Template,
        place: &Place,
        secret: bool,
        findings: &Findings,
    ) {
        for name in template.names() {
            match name.parse() {
                Ok(path) => self.0.push(Hole { path, place: place.clone(), secret }),
                Err(_) if secret => findings.error(unnamed(place)),
                Err(error) => findings.error(Problem::with_remedy(place, &error)),
            }
        }
    }

    /// Reports each hole that no export may fill.
    pub(super) fn check(self, mapping: &Mapping, findings: &Findings) {
        for Hole { path, place, secret } in self.0 {
            match mapping.fields(&[path]) {
                Ok(_) => {}
                Err(_) if secret => findings.error(unnamed(&place)),
                Err(error) => findings.error(Problem::with_remedy(&place, &error)),
            }
        }
    }
}

fn unnamed(place: &Place) -> Problem {
    Problem::at(place, "what stands between braces here is nothing that is mapped").help(
        "name a mapped attribute or an exported identity namespace, or write `\\{` and `\\}` for \
         the characters themselves",
    )
}

/// What is wrong with a template, and what would be right, in the words of its option.
pub(super) fn explained(what: &str, error: TemplateError) -> (String, String) {
    let text = error.to_string();
    let (message, help) = text.split_once("; ").unwrap_or((&text, ""));
    (format!("{what} {message}"), help.to_owned())
}
