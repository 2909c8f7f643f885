use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::PathError;

/// A path into a record: the keys to follow from the root of the profile.
///
/// Parsed from `person.name`, with keys that hold a dot quoted as in `"acme.io".id` (`\"` and `\\`
/// inside), or from a JSON Pointer such as `/acme.io/id` (RFC 6901). A path leads through objects
/// only; it may name a whole array but no item of one.
///
/// ```
/// # use profile_http::profile::Path;
/// let dotted: Path = r#""acme.io".id"#.parse()?;
/// assert_eq!(dotted, "/acme.io/id".parse()?);
/// # Ok::<(), profile_http::profile::PathError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Path(pub Vec<String>);

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Err(PathError::Empty);
        }
        let keys = match text.strip_prefix('/') {
            Some(pointer) => pointer.split('/').map(|key| from_pointer(key, text)).collect(),
            None => from_dotted(text),
        };
        keys.map(Self)
    }
}

impl fmt::Display for Path {
    /// Writes the dotted form, which parses to the same path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, key) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            if key.is_empty() || key.trim() != key || key.contains(['.', '"', '/', '[', ']']) {
                write!(f, "\"{}\"", key.replace('\\', r"\\").replace('"', r#"\""#))?;
            } else {
                f.write_str(key)?;
            }
        }
        Ok(())
    }
}

fn from_pointer(key: &str, whole: &str) -> Result<String, PathError> {
    let mut parts = key.split('~');
    let mut unescaped = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (character, rest) = match part.as_bytes().first() {
            Some(b'0') => ('~', &part[1..]),
            Some(b'1') => ('/', &part[1..]),
            _ => return Err(PathError::Tilde(whole.to_owned())),
        };
        unescaped.push(character);
        unescaped.push_str(rest);
    }
    Ok(unescaped)
}

fn from_dotted(whole: &str) -> Result<Vec<String>, PathError> {
    let mut keys = Vec::new();
    let mut rest = whole;
    loop {
        let (key, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_key(quoted).ok_or_else(|| PathError::Quote(whole.to_owned()))?,
            None => bare_key(rest, whole)?,
        };
        keys.push(key);
        rest = match after.strip_prefix('.') {
            Some(next) => next,
            None if after.is_empty() => return Ok(keys),
            None => return Err(PathError::Quote(whole.to_owned())),
        };
    }
}

/// Reads up to the closing quote; `None` when there is none.
fn quoted_key(quoted: &str) -> Option<(String, &str)> {
    let mut key = String::new();
    let mut characters = quoted.char_indices();
    loop {
        match characters.next()? {
            (end, '"') => return Some((key, &quoted[end + 1..])),
            (_, '\\') => match characters.next()?.1 {
                escaped @ ('"' | '\\') => key.push(escaped),
                _ => return None,
            },
            (_, character) => key.push(character),
        }
    }
}

fn bare_key<'a>(rest: &'a str, whole: &str) -> Result<(String, &'a str), PathError> {
    let (key, after) = rest.split_at(rest.find('.').unwrap_or(rest.len()));
    let wrong = |error: fn(String) -> PathError| Err(error(whole.to_owned()));
    if key.is_empty() {
        wrong(PathError::EmptyKey)
    } else if key.contains('"') {
        wrong(PathError::Quote)
    } else if key.contains(['[', ']']) {
        wrong(PathError::Index)
    } else if key.trim() != key {
        wrong(PathError::Space)
    } else {
        Ok((key.to_owned(), after))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(text: &str) -> Vec<String> {
        text.parse::<Path>().unwrap().0
    }

    #[test]
    fn a_path_is_dotted_quoted_or_a_json_pointer() {
        assert_eq!(keys("person.name"), ["person", "name"]);
        assert_eq!(keys("_acme.customerId"), ["_acme", "customerId"]);
        assert_eq!(keys(r#""acme.io".id"#), ["acme.io", "id"]);
        assert_eq!(keys(r#"a."say \"hi\" \\".b"#), ["a", r#"say "hi" \"#, "b"]);
        assert_eq!(keys(r#""".a"#), ["", "a"]);
        assert_eq!(keys("/acme.io/id"), ["acme.io", "id"]);
        assert_eq!(keys("/a~1b/m~0n/~01"), ["a/b", "m~n", "~1"]);
        assert_eq!(keys("identityMap.https://acme"), ["identityMap", "https://acme"]);
    }

    #[test]
    fn what_is_no_path_is_refused_with_the_reason() {
        let error = |text: &str| text.parse::<Path>().unwrap_err();
        assert_eq!(error(""), PathError::Empty);
        for text in [".a", "a.", "a..b", "."] {
            assert_eq!(error(text), PathError::EmptyKey(text.into()));
        }
        for text in [r#""a"#, r#""a"b"#, r#"a"b"#, r#""a\n""#, r#"""""#] {
            assert_eq!(error(text), PathError::Quote(text.into()));
        }
        assert_eq!(error("emails[0].address"), PathError::Index("emails[0].address".into()));
        assert_eq!(error("a. b"), PathError::Space("a. b".into()));
        for text in ["/a~", "/a~2b"] {
            assert_eq!(error(text), PathError::Tilde(text.into()));
        }
    }

    proptest! {
        #[test]
        fn the_written_form_parses_to_the_same_path(
            keys in prop::collection::vec(r#"[a-c."/\\\[\] ~é]{0,5}"#, 1..4)
        ) {
            let path = Path(keys);
            prop_assert_eq!(path.to_string().parse::<Path>(), Ok(path));
        }
    }
}
