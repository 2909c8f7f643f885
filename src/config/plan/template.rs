use super::Findings;
use crate::{
    config::problem::{Place, Problem},
    endpoint::template::{Template, TemplateError, UrlTemplate},
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

    /// Reports each hole that no export may fill, or not every export can: of a profile that has
    /// withdrawn its consent no attribute is sent.
    pub(super) fn check(
        self,
        mapping: &Mapping,
        endpoint: Option<&UrlTemplate>,
        findings: &Findings,
    ) {
        let asks = !mapping.spec().consent.is_empty();
        let in_path = endpoint.map(UrlTemplate::path_names).unwrap_or_default();
        for Hole { path, place, secret } in self.0 {
            let beyond = asks && !mapping.identifies(&path);
            let is_in_path = in_path.iter().any(|name| name.parse().as_ref() == Ok(&path));
            match mapping.fields(std::slice::from_ref(&path)) {
                Ok(_) if beyond && !secret => {
                    findings.warn(unsent_after_withdrawal(&path, &place, is_in_path));
                }
                Ok(_) => {}
                Err(_) if secret => findings.error(unnamed(&place)),
                Err(error) => findings.error(Problem::with_remedy(&place, &error)),
            }
        }
    }
}

fn unsent_after_withdrawal(path: &Path, place: &Place, is_in_path: bool) -> Problem {
    let (what, help) = if is_in_path {
        (
            "the endpoint is not told of withdrawn consent, as the path of its URL needs the \
             attribute",
            "name an identity namespace in the path, as in {identityMap.crmid}: identities are \
             sent with a withdrawal, attributes are not",
        )
    } else {
        (
            "what tells the endpoint of withdrawn consent goes without the header or parameter \
             that needs the attribute",
            "make sure that the endpoint takes it without, or name an identity namespace",
        )
    };
    Problem::at(place, format!("{what} {path}")).help(help)
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
