//! Templates: URLs and header values with holes that each export fills in.
//!
//! `{name}` is a hole; `\{` and `\}` stand for the characters themselves. What the names mean is
//! the caller's affair: it hands in a value for each. A value is data wherever it comes from, so a
//! URL keeps the parts that it was written with, and a header stays one header:
//!
//! - scheme, host and port are literal;
//! - in a URL everything but unreserved characters (RFC 3986 section 2.3) is percent-encoded, and a
//!   path that has a dot segment once it is decoded is refused;
//! - a header value holds printable ASCII only.
//!
//! ```
//! use profile_http::endpoint::template::UrlTemplate;
//!
//! let template: UrlTemplate = "https://api.example/contacts/{id}?tier={tier}".parse()?;
//! let url = template.render(&[Some("a/b".into()), Some("gold & more".into())])?;
//! assert_eq!(url, "https://api.example/contacts/a%2Fb?tier=gold%20%26%20more");
//! assert!(template.render(&[Some("../admin".into()), Some("gold".into())]).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod header;
mod percent;
mod text;
mod url;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use error::{TemplateError, Unrenderable, UrlError};
pub use header::HeaderTemplate;
pub use percent::percent_encoded;
pub use text::Template;
pub use url::UrlTemplate;

/// A value for a hole, if there is one.
pub type Value<'v> = Option<Cow<'v, str>>;
