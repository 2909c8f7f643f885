//! Where exports go: one URL for all, or what a template makes of each profile.

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
    Each(Arc<Templates>),
}

pub(super) struct Templates {
    url: UrlTemplate,
    headers: Vec<HeaderTemplate>,
    /// What reads the values of all holes, those of the URL first.
    fields: Result<Fields, ExportError>,
}

impl Targets {
    pub(super) fn new(settings: &DeliverySettings, mapping: &Mapping) -> Self {
        let (url, headers) = (settings.endpoint.clone(), settings.header_templates.clone());
        match url.fixed() {
            Some(url) if headers.is_empty() => {
                Self::One(Target { uri: url.clone(), headers: Vec::new() })
            }
            _ => {
                let names = headers.iter().flat_map(|header| header.value.names());
                let fields = fields(url.names().iter().chain(names), mapping);
                Self::Each(Arc::new(Templates { url, headers, fields }))
            }
        }
    }

    /// Where this profile goes.
    pub(super) fn of(&self, known: &Known) -> Result<Target, ExportError> {
        match self {
            Self::One(target) => Ok(target.clone()),
            Self::Each(templates) => templates.fill(known),
        }
    }
}

impl Templates {
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
