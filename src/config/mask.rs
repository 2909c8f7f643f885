//! Keeps secrets out of the source lines that error reports show.
//!
//! It works on the text, since a line is also shown when the document cannot be read at all, and
//! it would rather hide too much.

use std::ops::Range;

/// Parts of the names of options whose values are hidden.
const SENSITIVE: [&str; 9] = [
    "secret",
    "passw",
    "token",
    "credential",
    "cookie",
    "authorization",
    "custom_headers",
    "key",
    "signing",
];

/// Options that are named like a secret and are none.
const HARMLESS: [&str; 6] =
    ["key", "key_file", "key_id", "private_key_file", "profile_key", "token_lifetime_secs"];

/// Names that are hidden also when they are misspelled.
const MISSPELLED: [&str; 3] = ["client_secret", "password", "token"];

/// A key of a line, and where its value begins.
struct Key<'a> {
    name: &'a str,
    value: usize,
}

/// What the lines above say about a line.
enum Above {
    /// Nothing about secrets.
    Plain,
    /// The values of this line are secret.
    SecretMap,
    /// The whole line belongs to a secret.
    SecretText,
}

/// Which parts of `line`, the text after `before`, must not be shown; `None` when nothing may be.
pub(super) fn hidden(before: &str, line: &str) -> Option<Vec<Range<usize>>> {
    let keys: Vec<_> = keys(line).collect();
    let above = above(before, line, keys.is_empty());
    if matches!(above, Above::SecretText) {
        return None;
    }
    let all = matches!(above, Above::SecretMap);
    let values = keys.iter().filter(|key| all || is_sensitive(key.name));
    let mut parts: Vec<_> = values.filter_map(|key| secret_part(line, key.value)).collect();
    parts.extend(secret_parts_of_urls(line));
    parts.sort_by_key(|part| part.start);
    let mut hidden: Vec<Range<usize>> = Vec::with_capacity(parts.len());
    for part in parts {
        match hidden.last_mut() {
            Some(last) if part.start <= last.end => last.end = last.end.max(part.end),
            _ => hidden.push(part),
        }
    }
    Some(hidden)
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

/// Whatever looks like a key in YAML, TOML or JSON.
fn keys(line: &str) -> impl Iterator<Item = Key<'_>> {
    line.char_indices().filter_map(move |(at, c)| {
        let rest = &line[at + c.len_utf8()..];
        let before = line[..at].trim_end();
        let quoted = before.ends_with(['"', '\'']);
        let ends_key = match c {
            '=' => true,
            // In YAML a colon ends a plain key only before a blank; `https://` is no key.
            ':' => quoted || rest.is_empty() || rest.starts_with([' ', '\t']),
            _ => false,
        };
        let key = before.trim_end_matches(['"', '\'']);
        let in_key = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        let name = &key[key.trim_end_matches(in_key).len()..];
        let value = line.len() - rest.trim_start().len();
        (ends_key && !name.is_empty()).then_some(Key { name, value })
    })
}

/// The part of a secret value that is hidden: inside its quotes, and not the name of a variable.
fn secret_part(line: &str, value: usize) -> Option<Range<usize>> {
    let text = line[value..].trim_end();
    let mut start = value;
    let mut end = value + text.len();
    if let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        start += 1;
        let mut escaped = false;
        for (at, c) in line[start..].char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' if quote == '"' => escaped = true,
                _ if c == quote => {
                    end = start + at;
                    break;
                }
                _ => {}
            }
        }
    }
    if let Some(variable) = line[start..end].strip_prefix("${") {
        let rest = variable.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
        start = end - rest.strip_prefix('}').unwrap_or(rest).len();
    }
    (start < end).then_some(start..end)
}

/// Looks for the keys that the line lies under, by indentation.
fn above(before: &str, line: &str, keyless: bool) -> Above {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut depth = indent(line);
    let mut nearest = true;
    for above in before.lines().rev().filter(|line| !line.trim().is_empty()) {
        if above.starts_with('[') {
            // The header of a table in TOML.
            let name = above.rsplit('.').next().unwrap_or(above);
            return if is_sensitive(name) { Above::SecretMap } else { Above::Plain };
        }
        let Some(key) = keys(above).next() else { continue };
        // A line without a key may continue the text of the key above, whatever its indentation.
        if indent(above) < depth || (keyless && nearest) {
            if is_sensitive(key.name) {
                let opens_map = above[key.value..].trim_matches(['{', ' ']).is_empty();
                return if opens_map && !keyless { Above::SecretMap } else { Above::SecretText };
            }
            depth = depth.min(indent(above));
        }
        nearest = false;
    }
    Above::Plain
}

/// User and password of every URL in the line, also of one without a scheme, and the query.
fn secret_parts_of_urls(line: &str) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut start = 0;
    while let Some(skipped) = line[start..].find(|c| !is_between_words(c)) {
        start += skipped;
        let end = start + end_of_word(&line[start..]);
        let scheme = line[start..end].find("://").map(|at| at + "://".len());
        let url = start + scheme.unwrap_or(0);
        let query = line[url..end].find('?').map_or(end, |at| url + at);
        if let Some(at) = line[url..query].rfind('@')
            && (scheme.is_some() || line[url..url + at].contains(':'))
        {
            parts.push(url..url + at);
        }
        if scheme.is_some() && query + 1 < end {
            parts.push(query + 1..end);
        }
        start = end;
    }
    parts.retain(|part| !part.is_empty());
    parts
}

fn is_between_words(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '{' | '}')
}

/// Where a word ends. What stands between braces inside it belongs to it: it is a template.
fn end_of_word(text: &str) -> usize {
    let mut inside = false;
    let ends = |c| {
        match c {
            '{' | '}' if inside != (c == '{') => inside = c == '{',
            _ => return !inside && is_between_words(c),
        }
        false
    };
    text.find(ends).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last line of the text as it would be shown.
    fn shown(text: &str) -> String {
        let start = text.rfind('\n').map_or(0, |at| at + 1);
        let line = &text[start..];
        let Some(hidden) = hidden(&text[..start], line) else { return "nothing".to_owned() };
        let mut shown = line.to_owned();
        for part in hidden.into_iter().rev() {
            shown.replace_range(part, "***");
        }
        shown
    }

    #[test]
    fn secrets_are_hidden_in_every_format() {
        assert_eq!(shown("  client_secret: hunter2, x"), "  client_secret: ***");
        assert_eq!(shown("password = 'hunter2' # x"), "password = '***' # x");
        assert_eq!(
            shown(r#"{"user": "a", "token": "hun\"ter2", "b": 1}"#),
            r#"{"user": "a", "token": "***", "b": 1}"#
        );
        assert_eq!(shown("a: { x-api-key: hunter2 }"), "a: { x-api-key: ***");
    }

    #[test]
    fn misspelled_secrets_are_hidden_too() {
        assert_eq!(shown("client_secrt: hunter2"), "client_secrt: ***");
        assert_eq!(shown("pasword: hunter2"), "pasword: ***");
    }

    #[test]
    fn variables_are_shown_and_their_defaults_are_not() {
        assert_eq!(shown("client_secret: ${ACME}"), "client_secret: ${ACME}");
        assert_eq!(shown("client_secret: \"${ACME}\""), "client_secret: \"${ACME}\"");
        assert_eq!(shown("client_secret: ${ACME:-hunter2}"), "client_secret: ${ACME***");
        assert_eq!(shown("client_secret: ${ACME}hunter2"), "client_secret: ${ACME}***");
    }

    #[test]
    fn lines_of_a_longer_secret_are_not_shown_at_all() {
        assert_eq!(shown("auth:\n  client_secret: |\n    hunter2=="), "nothing");
        assert_eq!(shown("auth:\n  client_secret: |\n    one\n    hun: ter"), "nothing");
        assert_eq!(shown("password: \"hun\nter2\""), "nothing");
    }

    #[test]
    fn headers_are_hidden_whatever_their_name() {
        assert_eq!(shown("custom_headers: \"x-a:hunter2\""), "custom_headers: \"***\"");
        assert_eq!(shown("custom_headers:\n  x-a: hunter2"), "  x-a: ***");
        assert_eq!(shown("\"custom_headers\": {\n  \"x-a\": \"hunter2\","), "  \"x-a\": \"***\",");
        assert_eq!(shown("[sinks.a.custom_headers]\nx-a = \"hunter2\""), "x-a = \"***\"");
    }

    #[test]
    fn urls_are_shown_without_user_and_query() {
        assert_eq!(
            shown("http_endpoint: https://me:hunter2@a.example/p?k=hunter2&api_key=x"),
            "http_endpoint: https://***@a.example/p?***"
        );
        assert_eq!(
            shown("proxy: { url: me:hunt@er2@proxy.example:3128, user: me@acme.example }"),
            "proxy: { url: ***@proxy.example:3128, user: me@acme.example }"
        );
        assert_eq!(
            shown("{ http_endpoint: https://a.example/{crmid}/p?k=hunter2&x={a b}z, method: put}"),
            "{ http_endpoint: https://a.example/{crmid}/p?***, method: put}"
        );
    }

    #[test]
    fn ordinary_lines_are_shown_whole() {
        for line in ["  key: identityMap.crmid", "type: stdin", "inputs: [a, b]", "- x"] {
            assert_eq!(shown(&format!("auth:\n  token: x\nsinks:\n{line}")), line);
        }
    }
}
