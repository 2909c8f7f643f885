use std::time::Duration;

use bytes::Bytes;

use crate::{delivery::results::ResultsPointer, dispatch::Export};

/// How many profiles share a request, and how they are put into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchSettings {
    /// Profiles in a request, at most. With 1 each profile is a request of its own, unframed.
    pub max_profiles: usize,
    /// Bytes of a body, at most, before compression. A profile that is larger goes alone.
    pub max_bytes: usize,
    /// How long a profile waits for others to fill a request.
    pub linger: Duration,
    /// How the profiles are put into a body.
    pub framing: Framing,
    /// Where the list of results lies in an answer; see [`results`](crate::delivery::results).
    pub results: Option<ResultsPointer>,
}

/// How several profiles are put into a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// A JSON array.
    #[default]
    Array,
    /// A profile a line.
    Ndjson,
    /// An object with the profiles under this key, and their versions in the same order under
    /// `versions`.
    Envelope(String),
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self {
            max_profiles: 1,
            max_bytes: 1024 * 1024,
            linger: Duration::from_millis(200),
            framing: Framing::default(),
            results: None,
        }
    }
}

impl Framing {
    /// The `Content-Type` of a body.
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Array | Self::Envelope(_) => "application/json",
            Self::Ndjson => "application/x-ndjson",
        }
    }

    /// The body with these exports.
    pub(in crate::dispatch) fn body<'a>(
        &self,
        exports: impl Iterator<Item = &'a Export> + Clone,
    ) -> Bytes {
        let mut body = Vec::with_capacity(self.bytes(exports.clone()));
        let bodies = exports.clone().map(|export| &export.body[..]);
        match self {
            Self::Array => list(&mut body, bodies),
            Self::Ndjson => {
                for export in bodies {
                    body.extend_from_slice(export);
                    body.push(b'\n');
                }
            }
            Self::Envelope(key) => {
                body.push(b'{');
                body.extend_from_slice(quoted(key).as_bytes());
                body.push(b':');
                list(&mut body, bodies);
                body.extend_from_slice(b",\"versions\":");
                let mut digits = itoa::Buffer::new();
                body.push(b'[');
                for (i, export) in exports.enumerate() {
                    if i > 0 {
                        body.push(b',');
                    }
                    body.extend_from_slice(digits.format(export.version).as_bytes());
                }
                body.extend_from_slice(b"]}");
            }
        }
        body.into()
    }

    /// Bytes of the body with these exports, at most.
    pub(in crate::dispatch) fn bytes<'a>(
        &self,
        exports: impl Iterator<Item = &'a Export>,
    ) -> usize {
        self.frame() + exports.map(|export| self.weight(export)).sum::<usize>()
    }

    /// Bytes of a body without any export, at most.
    pub(super) fn frame(&self) -> usize {
        match self {
            Self::Array => 2,
            Self::Ndjson => 0,
            Self::Envelope(key) => quoted(key).len() + r#"{:[],"versions":[]}"#.len(),
        }
    }

    /// Bytes that an export adds to a body, at most.
    pub(super) fn weight(&self, export: &Export) -> usize {
        let version = match self {
            Self::Array | Self::Ndjson => 0,
            Self::Envelope(_) => 1 + export.version.checked_ilog10().unwrap_or(0) as usize + 1,
        };
        export.body.len() + 1 + version
    }
}

fn list<'a>(body: &mut Vec<u8>, items: impl Iterator<Item = &'a [u8]>) {
    body.push(b'[');
    for (i, item) in items.enumerate() {
        if i > 0 {
            body.push(b',');
        }
        body.extend_from_slice(item);
    }
    body.push(b']');
}

fn quoted(key: &str) -> String {
    serde_json::Value::from(key).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{delivery::IdempotencyKey, dispatch::Target};

    fn export(body: &'static str, version: u64) -> Export {
        let target = Target { uri: "http://a.example/".parse().unwrap(), headers: Vec::new() };
        Export { target, body: body.into(), version, key: IdempotencyKey(0) }
    }

    fn framed(framing: &Framing, exports: &[Export]) -> Bytes {
        let body = framing.body(exports.iter());
        let most = framing.bytes(exports.iter());
        assert!((most - 2..=most).contains(&body.len()), "{} of {most}", body.len());
        body
    }

    #[test]
    fn profiles_are_framed_also_where_there_is_but_one() {
        let two = [export(r#"{"a":1}"#, 7), export(r#"{"a":2}"#, 1_700_000_000_000_000)];
        assert_eq!(framed(&Framing::Array, &two), r#"[{"a":1},{"a":2}]"#);
        assert_eq!(framed(&Framing::Array, &two[..1]), r#"[{"a":1}]"#);
        assert_eq!(framed(&Framing::Ndjson, &two), "{\"a\":1}\n{\"a\":2}\n");
        assert_eq!(framed(&Framing::Ndjson, &two[..1]), "{\"a\":1}\n");
        assert_eq!(
            framed(&Framing::Envelope("profiles".to_owned()), &two),
            r#"{"profiles":[{"a":1},{"a":2}],"versions":[7,1700000000000000]}"#
        );
        assert_eq!(
            framed(&Framing::Envelope("a \"b\"".to_owned()), &two[..1]),
            r#"{"a \"b\"":[{"a":1}],"versions":[7]}"#
        );
    }
}
