use http::{HeaderName, HeaderValue};

use super::{Template, Unrenderable, Value};

/// A header whose value has holes.
#[derive(Clone, Debug)]
pub struct HeaderTemplate {
    /// Its name.
    pub name: HeaderName,
    /// Its value.
    pub value: Template,
    /// Whether the value may be secret, so that no debug output shows it.
    pub sensitive: bool,
}

impl HeaderTemplate {
    /// Whether a header can hold this text: printable ASCII characters and blanks. HTTP allows tabs
    /// and other bytes too, which recipients read as anything.
    pub fn can_hold(text: &str) -> bool {
        text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
    }

    /// The header for these values of the holes. Blanks at its ends are dropped: no receiver would
    /// see them (RFC 9110 section 5.5).
    ///
    /// # Errors
    ///
    /// A value is missing, empty, `.` or `..`, or the whole would hold anything but printable ASCII
    /// characters and blanks.
    pub fn render(&self, values: &[Value<'_>]) -> Result<HeaderValue, Unrenderable> {
        let text = self.value.render(values, |value, out| out.push_str(value))?;
        let unfit = || Unrenderable::Header(self.name.clone());
        if !Self::can_hold(&text) {
            return Err(unfit());
        }
        let mut value = HeaderValue::from_str(text.trim_matches(' ')).map_err(|_| unfit())?;
        if value.is_empty() {
            return Err(unfit());
        }
        value.set_sensitive(self.sensitive);
        Ok(value)
    }
}
