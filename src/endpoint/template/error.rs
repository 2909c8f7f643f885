use http::{HeaderName, uri::InvalidUri};

/// Why a text is no template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A hole that does not end.
    #[error("has a `{{` without a `}}`; close it, or write `\\{{` for the character itself")]
    Unclosed,
    /// An end without a hole.
    #[error("has a `}}` without a `{{`; remove it, or write `\\}}` for the character itself")]
    Unopened,
    /// A hole without a name.
    #[error("has nothing between `{{` and `}}`; write a path, as in {{identityMap.crmid}}")]
    Nameless,
    /// Two braces, as other template languages write them.
    #[error("has two braces in a row; write one, as in {{identityMap.crmid}}")]
    Doubled,
}

/// Why a template is no URL.
#[derive(Debug, thiserror::Error)]
pub enum UrlError {
    /// The text is no template.
    #[error("the URL {0}")]
    Template(#[from] TemplateError),
    /// A hole in the scheme, the host or the port.
    #[error(
        "the URL has a template in its scheme, host or port; write these as they are, so that no \
         profile can choose where it is sent"
    )]
    Origin,
    /// The URL leads to another path than it says.
    #[error("the path of the URL has a `.` or `..` in it; write the path that it leads to")]
    DotSegment,
    /// What is left without the holes is no URL.
    #[error("the URL is not valid: {0}")]
    Invalid(#[from] InvalidUri),
}

/// Why a template cannot be filled in. Never says what the values are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unrenderable {
    /// There is no value.
    #[error("{{{0}}} has no value, or one that is no text, number or boolean")]
    Missing(String),
    /// The value is empty.
    #[error("{{{0}}} is empty")]
    Empty(String),
    /// The value is `.` or `..`.
    #[error("{{{0}}} is a dot segment, which means another path")]
    Dots(String),
    /// The path has a dot segment once it is decoded.
    #[error("the path of the URL would have a dot segment, which means another path")]
    DotSegment,
    /// The URL is longer than any can be.
    #[error("the URL would be too long ({0} bytes)")]
    TooLong(usize),
    /// The value of a header holds a control character, or one that is not ASCII.
    #[error("the header {0} would hold a character that no header can carry")]
    Header(HeaderName),
}
