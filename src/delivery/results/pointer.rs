use std::{fmt, str::FromStr, sync::Arc};

/// A JSON Pointer (RFC 6901) to the list of results in an answer. The empty one names the whole
/// answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultsPointer(Arc<[String]>);

/// What is wrong with a pointer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    /// It does not begin with a slash.
    #[error("a JSON Pointer begins with `/`; write for example /results or /data/items")]
    Slash,
    /// A tilde stands for nothing.
    #[error("in a JSON Pointer `~` stands only before 0 or 1; write `~0` for `~` and `~1` for `/`")]
    Tilde,
}

impl ResultsPointer {
    pub(super) fn keys(&self) -> &[String] {
        &self.0
    }
}

impl FromStr for ResultsPointer {
    type Err = PointerError;

    fn from_str(text: &str) -> Result<Self, PointerError> {
        if text.is_empty() {
            return Ok(Self(Arc::default()));
        }
        let keys = text.strip_prefix('/').ok_or(PointerError::Slash)?.split('/');
        keys.map(unescaped).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for ResultsPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|key| write!(f, "/{}", key.replace('~', "~0").replace('/', "~1")))
    }
}

fn unescaped(key: &str) -> Result<String, PointerError> {
    let escapes = key.split('~').skip(1);
    if escapes.into_iter().any(|after| !after.starts_with(['0', '1'])) {
        return Err(PointerError::Tilde);
    }
    // In this order, so that `~01` is `~1`.
    Ok(key.replace("~1", "/").replace("~0", "~"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_read_and_written_by_rfc_6901() {
        for (text, keys) in [
            ("", &[][..]),
            ("/results", &["results"]),
            ("/a~1b/m~0n/~01/", &["a/b", "m~n", "~1", ""]),
        ] {
            let pointer: ResultsPointer = text.parse().unwrap();
            assert_eq!(pointer.keys(), keys);
            assert_eq!(pointer.to_string(), text);
        }
        let error = |text: &str| text.parse::<ResultsPointer>().unwrap_err();
        assert_eq!(error("results"), PointerError::Slash);
        assert_eq!(error("$.results"), PointerError::Slash);
        assert_eq!(error("/a~"), PointerError::Tilde);
        assert_eq!(error("/a~2"), PointerError::Tilde);
    }
}
