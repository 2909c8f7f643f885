use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::RawValue;

/// The profiles in a body, each with its version where the body has one: of a JSON array, of
/// lines, or of an envelope that has the versions beside the profiles. Anything else is one
/// profile.
pub(super) fn profiles(
    body: &Bytes,
    is_ndjson: bool,
) -> Result<Vec<(Bytes, Option<u64>)>, serde_json::Error> {
    if is_ndjson {
        let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        return Ok(lines.map(|line| (body.slice_ref(line), None)).collect());
    }
    if body.trim_ascii_start().starts_with(b"[") {
        let items: Vec<&RawValue> = serde_json::from_slice(body)?;
        return Ok(items.into_iter().map(|item| (slice(body, item), None)).collect());
    }
    Ok(enveloped(body).unwrap_or_else(|| vec![(body.clone(), None)]))
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

    fn read(body: &'static str, is_ndjson: bool) -> Vec<(Bytes, Option<u64>)> {
        profiles(&Bytes::from(body), is_ndjson).unwrap()
    }

    #[test]
    fn profiles_are_found_in_every_framing() {
        let (a, b) = (Bytes::from(r#"{"a":1}"#), Bytes::from(r#"{"b":2}"#));
        let without = vec![(a.clone(), None), (b.clone(), None)];
        assert_eq!(read(r#"[{"a":1}, {"b":2}]"#, false), without);
        assert_eq!(read("{\"a\":1}\n{\"b\":2}\n", true), without);
        let with = vec![(a.clone(), Some(7)), (b, Some(8))];
        assert_eq!(read(r#"{"x":[{"a":1},{"b":2}],"versions":[7,8]}"#, false), with);
        assert_eq!(read(r#"{"a":1}"#, false), [(a, None)]);
        for profile in [
            r#"{"versions":[7]}"#,
            r#"{"x":[1,2],"versions":[7]}"#,
            r#"{"x":[1],"y":[],"versions":[7]}"#,
            r#"{"x":[1],"versions":"seven"}"#,
        ] {
            assert_eq!(read(profile, false), [(Bytes::from(profile), None)], "{profile}");
        }
        assert!(profiles(&Bytes::from("[{"), false).is_err());
    }
}
