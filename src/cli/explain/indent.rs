/// The widest value that stays on one line.
const WIDTH: usize = 76;

/// JSON over several lines where it is too long for one. Only white space is added, so that digits
/// and escapes show as they are sent. `json` has no white space between its tokens.
pub(in crate::cli) fn indent(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut in_string = false;
    let mut escaped = false;
    // For each bracket that is open, whether what it holds goes on lines of its own.
    let mut open = Vec::new();
    for (at, c) in json.char_indices() {
        if in_string {
            out.push(c);
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            '{' | '[' => {
                let column = out.len() - out.rfind('\n').map_or(0, |at| at + 1);
                open.push(!fits(&json[at..], WIDTH.saturating_sub(column)));
                out.push(c);
                if open.last() == Some(&true) {
                    line(&mut out, open.len());
                }
            }
            '}' | ']' => {
                if open.pop() == Some(true) {
                    line(&mut out, open.len());
                }
                out.push(c);
            }
            ',' if open.last() == Some(&true) => {
                out.push(c);
                line(&mut out, open.len());
            }
            ',' | ':' => out.extend([c, ' ']),
            _ => {
                in_string = c == '"';
                out.push(c);
            }
        }
    }
    out
}

/// Whether the value at the start of the text is no longer than that.
fn fits(json: &str, width: usize) -> bool {
    let mut depth = 0;
    let mut in_string = false;
    let mut escaped = false;
    for (at, byte) in json.bytes().enumerate().take(width) {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = byte == b'\\' && !escaped;
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => return at < width,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    false
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_on_a_line_stays_on_it() {
        let short = r#"{"a":[1,{"b":"x, y: [{\"\\"}],"c":{}}"#;
        assert_eq!(indent(short), r#"{"a": [1, {"b": "x, y: [{\"\\"}], "c": {}}"#);
        let long =
            format!(r#"{{"id":10000000000000000000001,"text":"{}","n":[1]}}"#, "é".repeat(60));
        let lines = [
            "{",
            "  \"id\": 10000000000000000000001,",
            &format!("  \"text\": \"{}\",", "é".repeat(60)),
            "  \"n\": [1]",
            "}",
        ];
        assert_eq!(indent(&long), lines.join("\n"));
    }

    #[test]
    fn only_white_space_is_added() {
        let json = format!(r#"{{"a":{{"b":[{}1.50]}},"c":"\\\""}}"#, "12,".repeat(50));
        let shown = indent(&json);
        assert!(shown.lines().count() > 50);
        assert_eq!(shown.replace(['\n', ' '], ""), json);
    }
}
