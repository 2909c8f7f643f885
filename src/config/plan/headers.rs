use std::ops::Range;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    Read, Section,
    template::{self, Holes},
};
use crate::{
    config::{
        mask,
        problem::{Place, Problem},
        written::{Text, Value},
    },
    delivery::AuthSettings,
    endpoint::template::{HeaderTemplate, Template},
};

/// Headers that are about one connection and not about the request (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers that belong to each request.
const OWN: [&str; 4] = ["host", "content-length", "idempotency-key", "profile-version"];

/// The custom headers of a sink.
#[derive(Default)]
pub(super) struct Headers {
    /// Those that are the same for every profile.
    pub(super) fixed: HeaderMap,
    /// Those that are filled in from it.
    pub(super) templates: Vec<HeaderTemplate>,
}

impl Headers {
    fn has(&self, name: &HeaderName) -> bool {
        let filled_in = self.templates.iter().any(|template| template.name == name);
        filled_in || self.fixed.contains_key(name)
    }
}

/// The options that set headers of their own.
pub(super) struct Others<'a> {
    pub(super) auth: Option<&'a AuthSettings>,
    /// Whether bodies are compressed.
    pub(super) compressed: bool,
    /// Whether requests are signed.
    pub(super) signed: bool,
}

impl Others<'_> {
    /// The option that sets this header.
    fn which_sets(&self, name: &HeaderName) -> Option<&'static str> {
        let authenticated = self.auth.is_some_and(|auth| !matches!(auth, AuthSettings::None));
        match name.as_str() {
            "authorization" if authenticated => Some("auth"),
            name if self.signed && name.starts_with("webhook-") => Some("signing"),
            "content-encoding" if self.compressed => Some("request.compression"),
            _ => None,
        }
    }
}

/// A header as it was written.
#[derive(Debug, PartialEq, Eq)]
struct Written {
    name: String,
    value: String,
    /// Whether a variable is part of the name, which then is not shown either.
    name_varies: bool,
    /// The parts of the value that come from variables, which hold no templates.
    variables: Vec<Range<usize>>,
}

/// Reads `custom_headers` in either form. Values that may be secret are marked as sensitive, and
/// templates are added to `holes`.
pub(super) fn read(sink: &mut Section<'_>, others: &Others<'_>, holes: &mut Holes) -> Headers {
    let mut headers = Headers::default();
    let findings = sink.findings();
    let Some(entry) = sink.take("custom_headers") else { return headers };
    let place = entry.value.place.clone();
    let mut add = |header: Written, place: &Place| match checked(&header, others, &headers) {
        Ok(header) if header.value.names().is_empty() => {
            let value = header.value.literals().concat();
            let mut value = HeaderValue::from_str(&value).expect("the literals were checked");
            value.set_sensitive(header.sensitive);
            headers.fixed.insert(header.name, value);
        }
        Ok(header) => {
            holes.add(&header.value, place, header.sensitive, findings);
            headers.templates.push(header);
        }
        Err((message, help)) => findings.error(Problem::at(place, message).help(help)),
    };
    match entry.value.value {
        Value::Text(text) => match split(&text) {
            Ok(split) => split.into_iter().for_each(|header| add(header, &place)),
            Err(message) => findings.error(Problem::at(&place, message).help(
                "write `name:value,name:value`, with `\\,` for a comma inside a value, or a map",
            )),
        },
        Value::Map(entries) => {
            for entry in entries {
                if let Some(text) = Text::read(&entry.key, entry.value, findings) {
                    let header = Written {
                        name: entry.key,
                        value: text.text,
                        name_varies: false,
                        variables: text.variables,
                    };
                    add(header, &entry.key_place);
                }
            }
        }
        _ => findings.error(
            Problem::at(&place, "`custom_headers` must be text or a map")
                .help("write `name:value,name:value`, or a map of names and values"),
        ),
    }
    headers
}

fn checked(
    header: &Written,
    others: &Others<'_>,
    known: &Headers,
) -> Result<HeaderTemplate, (String, String)> {
    let Written { name, value, .. } = header;
    let shown = if header.name_varies { "named by a variable" } else { &format!("`{name}`") };
    let problem = |what: &str, help: &str| Err((format!("header {shown} {what}"), help.to_owned()));
    let Ok(parsed) = name.parse::<HeaderName>() else {
        return problem("has a name that no header can have", "use letters, digits and `-`");
    };
    if known.has(&parsed) {
        return problem("is named twice", "remove one of the two; case makes no difference");
    }
    if HOP_BY_HOP.contains(&parsed.as_str()) {
        return problem("is about a single connection and cannot be set", "remove it");
    }
    if OWN.contains(&parsed.as_str()) {
        return problem("is set by the sink itself for each request", "remove it");
    }
    if let Some(option) = others.which_sets(&parsed) {
        return problem(&format!("is what `{option}` sets"), "keep one of the two");
    }
    let from_variable = |at| header.variables.iter().any(|range| range.contains(&at));
    let template = Template::parse_around(value, from_variable)
        .map_err(|error| template::explained(&format!("header {shown}"), error))?;
    let is_template = !template.names().is_empty();
    if parsed == http::header::AUTHORIZATION && is_template {
        return problem(
            "has a template, but says who sends, which no profile decides",
            "write its value as it is to be sent",
        );
    }
    let unfit = |literal: &String| {
        HeaderValue::from_str(literal).is_err() || is_template && !HeaderTemplate::can_hold(literal)
    };
    if template.literals().iter().any(unfit) {
        return problem(
            "has a character in its value that a header cannot hold",
            "use visible ASCII characters and spaces; no line breaks",
        );
    }
    let sensitive = !header.variables.is_empty() || mask::is_sensitive(name);
    Ok(HeaderTemplate { name: parsed, value: template, sensitive })
}

/// Splits the string form at commas, then each part at its first colon. `\,` is a comma and `\\` a
/// backslash. What a variable holds is not split, unless the variable is the whole text.
fn split(text: &Text) -> Result<Vec<Written>, &'static str> {
    let varies = |at: usize| text.variables.iter().any(|range| range.contains(&at));
    let mut headers = Vec::new();
    let mut part = Part::default();
    let mut characters = text.text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let varies = varies(at);
        let splits = !varies || text.is_variable();
        match c {
            ',' if splits => headers.push(std::mem::take(&mut part).finish()?),
            ':' if splits && part.value.is_none() => part.value = Some(Piece::default()),
            '\\' if splits && matches!(characters.peek(), Some((_, ',' | '\\'))) => {
                let escaped = characters.next().map_or('\\', |(_, c)| c);
                part.push(escaped, varies);
            }
            _ => part.push(c, varies),
        }
    }
    headers.push(part.finish()?);
    Ok(headers)
}

/// Name or value of a header.
#[derive(Default)]
struct Piece {
    text: String,
    /// The parts that come from variables.
    variables: Vec<Range<usize>>,
}

impl Piece {
    /// Without the blanks at its ends.
    fn trimmed(self) -> (String, Vec<Range<usize>>) {
        let before = self.text.len() - self.text.trim_start().len();
        let text = self.text.trim().to_owned();
        let within = |at: usize| at.saturating_sub(before).min(text.len());
        let variables = self.variables.iter().map(|range| within(range.start)..within(range.end));
        let variables = variables.collect();
        (text, variables)
    }
}

/// What stands between two commas.
#[derive(Default)]
struct Part {
    name: Piece,
    value: Option<Piece>,
}

impl Part {
    fn push(&mut self, c: char, varies: bool) {
        let piece = self.value.as_mut().unwrap_or(&mut self.name);
        let start = piece.text.len();
        piece.text.push(c);
        let end = piece.text.len();
        match piece.variables.last_mut() {
            _ if !varies => {}
            Some(last) if last.end == start => last.end = end,
            _ => piece.variables.push(start..end),
        }
    }

    fn finish(self) -> Result<Written, &'static str> {
        let (name, in_name) = self.name.trimmed();
        match self.value {
            Some(value) => {
                let (value, variables) = value.trimmed();
                Ok(Written { name, value, name_varies: !in_name.is_empty(), variables })
            }
            None if name.is_empty() => Err("`custom_headers` has an empty part"),
            // Without a colon it may be the rest of a value, which must not be shown.
            None => Err("`custom_headers` has a part without a colon"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;

    fn split_literal(text: &str) -> Result<Vec<(String, String)>, &'static str> {
        let text = Text { text: text.to_owned(), variables: Vec::new() };
        split(&text).map(|headers| headers.into_iter().map(|h| (h.name, h.value)).collect())
    }

    fn partly_variable(text: &str, variable: Range<usize>) -> Text {
        Text { text: text.to_owned(), variables: [variable].into() }
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_string_form_splits_at_commas_then_at_the_first_colon() {
        assert_eq!(
            split_literal("x-source:cdp, x-url: http://a:1/").unwrap(),
            pairs(&[("x-source", "cdp"), ("x-url", "http://a:1/")])
        );
    }

    #[test]
    fn a_comma_in_a_value_is_escaped() {
        assert_eq!(
            split_literal(r"a:1\,2,b:c\d\\e").unwrap(),
            pairs(&[("a", "1,2"), ("b", r"c\d\e")])
        );
    }

    #[test]
    fn a_part_that_is_no_header_is_an_error() {
        for text in ["", "a:1,", "a:1,,b:2", "a"] {
            assert!(split_literal(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_variable_cannot_add_a_header() {
        let headers = split(&partly_variable("k:a,x-admin:1,b:2", 2..13)).unwrap();
        assert_eq!(headers.len(), 2);
        assert_eq!(headers[0].value, "a,x-admin:1");
        assert_eq!(headers[0].variables.first(), Some(&(0..headers[0].value.len())));
        assert!(headers[1].variables.is_empty());
    }

    #[test]
    fn a_variable_that_is_the_whole_text_may_hold_all_headers() {
        assert_eq!(split(&partly_variable("a:1,b:2", 0..7)).unwrap().len(), 2);
    }
}
