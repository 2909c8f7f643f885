//! Where exports go: one URL for all, or what a template makes of each profile.
//!
//! The last export of a profile that has withdrawn its consent carries nothing but who it is, in
//! its URL and headers too. So that it reaches the endpoint all the same, headers and parameters of
//! the query that need more are left out; only where the path needs more, nothing can be sent.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Uri};

use crate::{
    delivery::DeliverySettings,
    endpoint::template::{HeaderTemplate, Unrenderable, UrlTemplate, Value},
    profile::{FieldError, Fields, Invalid, Known, Mapping, Path, PathError},
};

/// Where an export goes. Exports of one target may share a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The URL.
    pub uri: Uri,
    /// The headers that are filled in from the profile.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// Why there is nothing to send of a profile.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ExportError {
    /// What is kept of it cannot be read: the store is damaged.
    #[error(transparent)]
    Damaged(#[from] Invalid),
    /// A template cannot be filled in from it.
    #[error(transparent)]
    Unrenderable(#[from] Unrenderable),
    /// A template names what cannot be had of any profile. Found when a configuration is read.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// A template names what is no path. Found when a configuration is read.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl ExportError {
    /// What kind of error it is, as metrics name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Damaged(_) => "render_failed",
            Self::Unrenderable(_) | Self::Field(_) | Self::Path(_) => "unrenderable",
        }
    }
}

/// The targets of all profiles.
#[derive(Clone)]
pub(super) enum Targets {
    /// The same for each.
    One(Target),
    Each {
        ordinary: Arc<Templates>,
        /// For profiles that have withdrawn their consent.
        withdrawn: Arc<Templates>,
    },
}

pub(super) struct Templates {
    url: UrlTemplate,
    headers: Vec<HeaderTemplate>,
    /// What reads the values of all holes, those of the URL first.
    fields: Result<Fields, ExportError>,
}

impl Targets {
    pub(super) fn new(settings: &DeliverySettings, mapping: &Mapping) -> Self {
        Self::of_templates(settings.endpoint.clone(), settings.header_templates.clone(), mapping)
    }

    fn of_templates(url: UrlTemplate, headers: Vec<HeaderTemplate>, mapping: &Mapping) -> Self {
        match url.fixed() {
            Some(url) if headers.is_empty() => {
                Self::One(Target { uri: url.clone(), headers: Vec::new() })
            }
            _ => {
                let needs_more =
                    |name: &str| name.parse::<Path>().is_ok_and(|path| !mapping.identifies(&path));
                let mut fewer = headers.clone();
                fewer.retain(|header| !header.value.names().iter().any(|name| needs_more(name)));
                let withdrawn = Templates::new(url.without_parameters(needs_more), fewer, mapping);
                let ordinary = Templates::new(url, headers, mapping);
                Self::Each { ordinary: Arc::new(ordinary), withdrawn: Arc::new(withdrawn) }
            }
        }
    }

    /// Where this profile goes.
    pub(super) fn of(&self, known: &Known) -> Result<Target, ExportError> {
        match self {
            Self::One(target) => Ok(target.clone()),
            Self::Each { withdrawn, .. } if known.withdrawn.is_some() => withdrawn.fill(known),
            Self::Each { ordinary, .. } => ordinary.fill(known),
        }
    }
}

impl Templates {
    fn new(url: UrlTemplate, headers: Vec<HeaderTemplate>, mapping: &Mapping) -> Self {
        let names = headers.iter().flat_map(|header| header.value.names());
        let fields = fields(url.names().iter().chain(names), mapping);
        Self { url, headers, fields }
    }

    fn fill(&self, known: &Known) -> Result<Target, ExportError> {
        let fields = self.fields.as_ref().map_err(Clone::clone)?;
        let values = fields.read(known)?;
        let mut values: &[Value<'_>] = &values;
        let mut next = |holes| {
            let (these, others) = values.split_at(holes);
            values = others;
            these
        };
        let uri = self.url.render(next(self.url.names().len()))?;
        let headers = self.headers.iter().map(|header| {
            let value = header.render(next(header.value.names().len()))?;
            Ok((header.name.clone(), value))
        });
        Ok(Target { uri, headers: headers.collect::<Result<_, Unrenderable>>()? })
    }
}

fn fields<'n>(
    names: impl Iterator<Item = &'n String>,
    mapping: &Mapping,
) -> Result<Fields, ExportError> {
    let paths: Vec<Path> = names.map(|name| name.parse()).collect::<Result<_, _>>()?;
    Ok(mapping.fields(&paths)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        endpoint::template::Template,
        profile::{Attributes, MappingSpec, Removed, Retain, When},
    };

    fn mapping(key: &str) -> Mapping {
        let path = |text: &str| text.parse().unwrap();
        let spec = MappingSpec {
            key: vec![path(key)],
            at: None,
            version: None,
            strip_prefix: None,
            attributes: Attributes::Listed(vec![path("name"), path("no")]),
            segments: Vec::new(),
            identities: None,
            unmapped_segments: false,
            segment_names: false,
            segment_timestamps: false,
            legacy_status: false,
            consent: vec![path("ok")],
            removed: Removed::default(),
            when: When::default(),
            retain: Retain::Profile,
        };
        Mapping::compile(spec).unwrap()
    }

    /// URL and headers of a profile whose value of consent is this.
    fn target(key: &str, url: &str, ok: &str) -> Result<(String, Vec<String>), ExportError> {
        let mapping = mapping(key);
        let header = |name: &'static str, value| HeaderTemplate {
            name: HeaderName::from_static(name),
            value: Template::parse(value).unwrap(),
            sensitive: false,
        };
        let headers = vec![
            header("x-name", "{name}"),
            header("x-id", "id {identityMap.crm}"),
            header("x-both", "{identityMap.crm} {name}"),
        ];
        let targets = Targets::of_templates(url.parse().unwrap(), headers, &mapping);
        let record = format!(
            r#"{{"name":"Ada","no":7,"ok":"{ok}","identityMap":{{"crm":[{{"id":"c1"}}]}}}}"#
        );
        let kept = mapping.project(1, record.as_bytes()).unwrap().keep();
        let Target { uri, headers } = targets.of(&mapping.advance(None, kept, 1).known)?;
        let value = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        let headers = headers.iter().map(|(name, text)| format!("{name}: {}", value(text)));
        Ok((uri.to_string(), headers.collect()))
    }

    #[test]
    fn no_attribute_is_in_url_or_headers_of_what_tells_of_withdrawn_consent() {
        let url = "https://a.example/{identityMap.crm}?t=1&n={name}&c={identityMap.crm}&m=x-{name}";
        let target = |ok| target("identityMap.crm", url, ok).unwrap();
        let (full, headers) = target("y");
        assert_eq!(full, "https://a.example/c1?t=1&n=Ada&c=c1&m=x-Ada");
        assert_eq!(headers, ["x-name: Ada", "x-id: id c1", "x-both: c1 Ada"]);
        let (bare, headers) = target("n");
        assert_eq!(bare, "https://a.example/c1?t=1&c=c1");
        assert_eq!(headers, ["x-id: id c1"]);
    }

    #[test]
    fn a_query_of_attributes_only_goes_altogether() {
        let url = "https://a.example/p?n={name}";
        let (bare, _) = target("identityMap.crm", url, "n").unwrap();
        assert_eq!(bare, "https://a.example/p");
    }

    #[test]
    fn a_path_that_needs_an_attribute_cannot_be_rendered_after_a_withdrawal() {
        let url = "https://a.example/{name}";
        assert!(target("identityMap.crm", url, "y").is_ok());
        let error = target("identityMap.crm", url, "n").unwrap_err();
        assert_eq!(error.kind(), "unrenderable");
        assert!(error.to_string().starts_with("{name} has no value"), "{error}");
    }

    #[test]
    fn an_attribute_that_is_the_key_still_says_who_withdraws_consent() {
        let (url, _) = target("no", "https://a.example/{no}?k={no}", "n").unwrap();
        assert_eq!(url, "https://a.example/7?k=7");
    }
}
