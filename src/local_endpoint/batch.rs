use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::RawValue;

/// The profiles in a body, each with its version where the body has one: of a JSON array, of
/// several values one after the other, as in NDJSON, or of an envelope that has the versions beside
/// the profiles. Anything else is one profile.
pub(super) fn profiles(body: &Bytes) -> Result<Vec<(Bytes, Option<u64>)>, serde_json::Error> {
    let values = serde_json::Deserializer::from_slice(body).into_iter::<&RawValue>();
    let values = values.collect::<Result<Vec<_>, _>>()?;
    let items = match values[..] {
        [] => return Err(serde::de::Error::custom("the body is empty")),
        [list] if list.get().starts_with('[') => serde_json::from_str(list.get())?,
        [one] => return Ok(enveloped(body).unwrap_or_else(|| vec![(slice(body, one), None)])),
        _ => values,
    };
    Ok(items.into_iter().map(|item| (slice(body, item), None)).collect())
}

fn enveloped(body: &Bytes) -> Option<Vec<(Bytes, Option<u64>)>> {
    // Looked for before anything is read: most bodies are profiles.
    memchr::memmem::find(body, b"\"versions\"")?;
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_slice(body).ok()?;
    let versions: Vec<u64> = serde_json::from_str(members.remove("versions")?.get()).ok()?;
    let (_, profiles) = members.pop_first().filter(|_| members.is_empty())?;
    let profiles: Vec<&RawValue> = serde_json::from_str(profiles.get()).ok()?;
    let versions = versions.into_iter().map(Some);
    (versions.len() == profiles.len())
        .then(|| profiles.into_iter().map(|item| slice(body, item)).zip(versions).collect())
}

fn slice(body: &Bytes, item: &RawValue) -> Bytes {
    body.slice_ref(item.get().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &'static str) -> Vec<(Bytes, Option<u64>)> {
        profiles(&Bytes::from(body)).unwrap()
    }

    #[test]
    fn profiles_are_found_in_every_framing() {
        let (a, b) = (Bytes::from(r#"{"a":1}"#), Bytes::from(r#"{"b":2}"#));
        let without = vec![(a.clone(), None), (b.clone(), None)];
        assert_eq!(read(r#"[{"a":1}, {"b":2}]"#), without);
        assert_eq!(read("{\"a\":1}\n{\"b\":2}\n"), without);
        let with = vec![(a.clone(), Some(7)), (b, Some(8))];
        assert_eq!(read(r#"{"x":[{"a":1},{"b":2}],"versions":[7,8]}"#), with);
        assert_eq!(read(r#"{"a":1}"#), [(a, None)]);
        for profile in [
            r#"{"versions":[7]}"#,
            r#"{"x":[1,2],"versions":[7]}"#,
            r#"{"x":[1],"y":[],"versions":[7]}"#,
            r#"{"x":[1],"versions":"seven"}"#,
        ] {
            assert_eq!(read(profile), [(Bytes::from(profile), None)], "{profile}");
        }
        for broken in ["", "[{", "{} {"] {
            assert!(profiles(&Bytes::from(broken)).is_err(), "{broken}");
        }
    }
}
