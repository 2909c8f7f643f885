//! Keeps secrets out of the source lines that error reports show.
//!
//! It works on the text, since a line is also shown when the document cannot be read at all, and
//! it would rather hide too much.

/// Parts of the names of options whose values are hidden.
const SENSITIVE: [&str; 8] =
    ["secret", "passw", "token", "credential", "cookie", "authorization", "custom_headers", "key"];

/// Options that are named like a secret and are none.
const HARMLESS: [&str; 3] = ["key", "key_file", "token_endpoint"];

/// Names that are hidden also when they are misspelled.
const MISSPELLED: [&str; 3] = ["client_secret", "password", "token"];

const MASK: &str = "***";

/// What may be shown of `line`, which begins at `start` of `text`; nothing when the line belongs
/// to a secret that began before it.
pub(super) fn visible(text: &str, start: usize, line: &str) -> Option<String> {
    if first_key(line).is_none() && continues_secret(&text[..start], line) {
        return None;
    }
    let shown = match secret_begins(line) {
        Some(at) => format!("{}{MASK}", &line[..at]),
        None => line.to_owned(),
    };
    Some(hide_in_urls(&shown))
}

/// Whether a value under this key is hidden.
pub(super) fn is_sensitive(key: &str) -> bool {
    let key = key.to_lowercase().replace('-', "_");
    if HARMLESS.contains(&key.as_str()) {
        return false;
    }
    SENSITIVE.iter().any(|part| key.contains(part))
        || MISSPELLED.iter().any(|name| strsim::normalized_damerau_levenshtein(name, &key) > 0.7)
}

/// Where the first secret value of the line begins.
fn secret_begins(line: &str) -> Option<usize> {
    keys(line).find(|(key, _)| is_sensitive(key)).map(|(_, after)| after)
}

/// The first key of the line and where its value begins.
fn first_key(line: &str) -> Option<(&str, usize)> {
    keys(line).next()
}

/// Whatever looks like a key, each with the place where its value begins.
fn keys(line: &str) -> impl Iterator<Item = (&str, usize)> {
    line.char_indices().filter_map(move |(at, c)| {
        let rest = &line[at + c.len_utf8()..];
        let ends_key = match c {
            '=' => true,
            // In YAML a colon ends a plain key only before a blank; `https://` is no key.
            ':' => rest.is_empty() || rest.starts_with([' ', '\t', '"', '\'']) || quoted(line, at),
            _ => false,
        };
        let key = line[..at].trim_end().trim_end_matches(['"', '\'']);
        let begin = key
            .rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'))
            .map_or(0, |before| before + key[before..].chars().next().map_or(1, char::len_utf8));
        let key = &key[begin..];
        let blanks = rest.len() - rest.trim_start().len();
        (ends_key && !key.is_empty()).then_some((key, at + 1 + blanks))
    })
}

fn quoted(line: &str, colon: usize) -> bool {
    line[..colon].trim_end().ends_with(['"', '\''])
}

/// Whether a line without a key belongs to a value of several lines whose key names a secret.
fn continues_secret(before: &str, line: &str) -> bool {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut depth = indent(line);
    for above in before.lines().rev() {
        let Some((key, _)) = first_key(above) else { continue };
        if is_sensitive(key) {
            return true;
        }
        if indent(above) < depth || depth == 0 {
            depth = indent(above);
            if depth == 0 {
                return false;
            }
        }
    }
    false
}

/// Hides user and password, and the query, of every URL in the line.
fn hide_in_urls(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let end = after.find([' ', '"', '\'', ',', '}']).unwrap_or(after.len());
        let (mut url, tail) = after.split_at(end);
        let authority = url.find('/').unwrap_or(url.len());
        if let Some(user) = url[..authority].rfind('@') {
            shown.push_str(MASK);
            url = &url[user..];
        }
        match url.find('?') {
            Some(query) => {
                shown.push_str(&url[..=query]);
                shown.push_str(MASK);
            }
            None => shown.push_str(url),
        }
        rest = tail;
    }
    shown.push_str(rest);
    shown
}
