use crate::profile::Path;

/// Reads a path into a profile: dotted, quoted where a key holds a dot, or a JSON Pointer.
pub(super) fn parse(text: &str) -> Result<Path, String> {
    if let Some(pointer) = text.strip_prefix('/') {
        let keys = pointer.split('/').map(|key| key.replace("~1", "/").replace("~0", "~"));
        return Ok(Path(keys.collect()));
    }
    let mut keys = Vec::new();
    let mut rest = text;
    loop {
        let after;
        if let Some(quoted) = rest.strip_prefix('"') {
            let (key, tail) = quoted.split_once('"').ok_or("a quote is not closed")?;
            keys.push(key.to_owned());
            after = tail;
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            if end == 0 {
                return Err("a key is empty".to_owned());
            }
            keys.push(rest[..end].to_owned());
            after = &rest[end..];
        }
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(Path(keys)),
            None => return Err("a dot must follow a quoted key".to_owned()),
        }
    }
}
