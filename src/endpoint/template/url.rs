use std::{str::FromStr, sync::Arc};

use bytes::Bytes;
use http::{Uri, uri::PathAndQuery};

use super::{Template, Unrenderable, UrlError, Value, percent};

/// A URL whose path and query may have holes.
#[derive(Clone, Debug)]
pub struct UrlTemplate {
    /// The URL itself; with holes only its scheme, host and port.
    url: Uri,
    /// Path and query, where they have holes.
    rest: Option<Arc<Template>>,
}

impl UrlTemplate {
    /// A URL of this text, which is whole: with scheme and host, without fragment.
    pub fn new(text: &Template) -> Result<Self, UrlError> {
        let [first, others @ ..] = text.literals() else { return Err(UrlError::Origin) };
        if others.is_empty() {
            return Ok(Self { url: first.parse()?, rest: None });
        }
        let host = first.find("://").map(|at| at + "://".len()).ok_or(UrlError::Origin)?;
        let path = first[host..].find(['/', '?']).map(|at| host + at).ok_or(UrlError::Origin)?;
        let url = first[..path].parse()?;
        let root = if first[path..].starts_with('/') { "" } else { "/" };
        let mut literals = text.literals().iter().enumerate();
        let mut rest = text.clone();
        rest.map_literals(|literal| match literals.next() {
            Some((0, first)) => format!("{root}{}", &first[path..]),
            _ => literal.clone(),
        });
        let filled = rest.filled_with("x");
        filled.parse::<PathAndQuery>()?;
        if has_dot_segment(&filled) {
            return Err(UrlError::DotSegment);
        }
        Ok(Self { url, rest: Some(Arc::new(rest)) })
    }

    /// Scheme, host and port, which are the same for every profile.
    pub fn origin(&self) -> &Uri {
        &self.url
    }

    /// The URL, if it has no holes.
    pub fn fixed(&self) -> Option<&Uri> {
        self.rest.is_none().then_some(&self.url)
    }

    /// The names of the holes, in their order.
    pub fn names(&self) -> &[String] {
        self.rest.as_ref().map_or(&[], |rest| rest.names())
    }

    /// The same URL without those parameters of the query that have a hole which `leave_out` names.
    pub fn without_parameters(&self, leave_out: impl Fn(&str) -> bool) -> Self {
        let (mut rest, query) = self.parts();
        let parameters = query.map(|query| query.split('&')).unwrap_or_default();
        let kept =
            parameters.into_iter().filter(|one| !one.names().iter().any(|name| leave_out(name)));
        for (i, parameter) in kept.enumerate() {
            rest.append(Template::literal(if i == 0 { "?" } else { "&" }));
            rest.append(parameter);
        }
        let rest = self.rest.as_ref().map(|_| Arc::new(rest));
        Self { url: self.url.clone(), rest }
    }

    /// The names of the holes of the path.
    pub fn path_names(&self) -> Vec<String> {
        self.parts().0.names().to_vec()
    }

    /// The path as it was written, with its holes.
    pub fn path(&self) -> String {
        self.parts().0.to_string()
    }

    /// The URL as it was written but for its query, which may hold a secret.
    pub fn without_query(&self) -> String {
        self.at_origin(&self.path())
    }

    /// The URL for these values of the holes.
    pub fn render(&self, values: &[Value<'_>]) -> Result<Uri, Unrenderable> {
        let Some(rest) = &self.rest else { return Ok(self.url.clone()) };
        let text = rest.render(values, percent::write)?;
        if has_dot_segment(&text) {
            return Err(Unrenderable::DotSegment);
        }
        let length = text.len();
        let mut parts = self.url.clone().into_parts();
        // Encoded, it holds no character that a URL cannot hold: only its length can be wrong.
        let path = PathAndQuery::from_maybe_shared(Bytes::from(text));
        parts.path_and_query = Some(path.map_err(|_| Unrenderable::TooLong(length))?);
        Uri::from_parts(parts).map_err(|_| Unrenderable::TooLong(length))
    }

    /// How a URL shows to people: `url`, rendered from this template, or where absent the template
    /// itself. Any literal value of the query may be a key, whatever its name, and shows as
    /// `hidden`; a value that is one hole shows.
    pub fn shown(&self, url: Option<&Uri>, hidden: &str) -> String {
        let (path, query) = self.parts();
        let path = url.map_or_else(|| path.to_string(), |url| url.path().to_owned());
        let parameters = query.map(|query| query.split('&')).unwrap_or_default();
        // Values are encoded, so that parameters stand where they stand in the template.
        let mut rendered = url.and_then(Uri::query).into_iter().flat_map(|query| query.split('&'));
        let shown = parameters.into_iter().map(|parameter| {
            let (name, value) = match parameter.split_once('=') {
                Some((name, value)) => (format!("{name}="), value),
                None => (String::new(), parameter),
            };
            let rendered = rendered.next();
            let rendered = rendered.map(|text| text.split_once('=').map_or(text, |(_, v)| v));
            match rendered {
                _ if !value.is_one_hole() => name + hidden,
                Some(rendered) => name + rendered,
                None => format!("{name}{value}"),
            }
        });
        let query: Vec<_> = shown.collect();
        let mark = if query.is_empty() { "" } else { "?" };
        self.at_origin(&format!("{path}{mark}{}", query.join("&")))
    }

    fn at_origin(&self, path: &str) -> String {
        let scheme = self.url.scheme_str().unwrap_or_default();
        let host = self.url.authority().map_or("", |authority| authority.as_str());
        format!("{scheme}://{host}{path}")
    }

    /// Path and query as they were written.
    fn parts(&self) -> (Template, Option<Template>) {
        let Some(rest) = &self.rest else {
            return (Template::literal(self.url.path()), self.url.query().map(Template::literal));
        };
        match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (Template::clone(rest), None),
        }
    }
}

impl FromStr for UrlTemplate {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        Self::new(&Template::parse(text)?)
    }
}

impl From<Uri> for UrlTemplate {
    /// A URL without holes.
    fn from(url: Uri) -> Self {
        Self { url, rest: None }
    }
}

/// Whether the path would mean another one to whoever decodes it before resolving dot segments
/// (RFC 3986 section 5.2.4), as some servers and proxies do, also those that take a backslash for a
/// slash or drop what follows a semicolon.
fn has_dot_segment(path_and_query: &str) -> bool {
    let path = path_and_query.split('?').next().unwrap_or_default();
    percent::decoded(path).split(|byte| matches!(byte, b'/' | b'\\')).any(|segment| {
        let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        matches!(name, b"." | b"..")
    })
}
