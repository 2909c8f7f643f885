//! A walk over the tokens of JSON text that was read before.

use memchr::memchr2;

use super::json;

/// What [`Cursor::token`] returns behind the last byte; no byte of valid JSON.
pub(super) const END: u8 = 0;

/// A place in a text that is valid JSON; on text that is not, it ends with something meaningless
/// but never panics.
pub(super) struct Cursor<'a> {
    json: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(json: &'a str) -> Self {
        Self { json: json.as_bytes(), at: 0 }
    }

    /// The first byte of the next token.
    pub(super) fn token(&mut self) -> u8 {
        loop {
            match self.json.get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(&byte) => return byte,
                None => return END,
            }
        }
    }

    pub(super) fn skip(&mut self, token: u8) {
        if self.token() == token {
            self.at += 1;
        }
    }

    /// The text of the string that starts here, in `buffer` where it has escapes.
    pub(super) fn string<'t>(&mut self, buffer: &'t mut Vec<u8>) -> &'t [u8]
    where
        'a: 't,
    {
        let start = self.at + 1;
        let rest = self.json.get(start..).unwrap_or_default();
        match memchr2(b'"', b'\\', rest) {
            Some(end) if rest[end] == b'"' => {
                self.at = start + end + 1;
                &rest[..end]
            }
            _ => {
                let end = json::string_end(self.json, self.at);
                self.at = end;
                buffer.clear();
                json::unescape(self.json.get(start..end - 1).unwrap_or_default(), buffer);
                buffer
            }
        }
    }

    /// The text of the number that starts here. Takes at least one byte, so that no loop can
    /// stand still.
    pub(super) fn number(&mut self) -> &'a [u8] {
        let rest = self.json.get(self.at..).unwrap_or_default();
        let end = rest
            .iter()
            .position(|b| !matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
            .unwrap_or(rest.len());
        self.at += end.max(1);
        &rest[..end]
    }

    /// Moves behind the value that starts here, however deep it is nested.
    pub(super) fn skip_value(&mut self) {
        match self.token() {
            b'"' => self.at = json::string_end(self.json, self.at),
            b'{' | b'[' => self.skip_brackets(),
            END => {}
            _ => {
                let rest = &self.json[self.at..];
                let ends =
                    |byte: &u8| matches!(byte, b',' | b']' | b'}') || byte.is_ascii_whitespace();
                // At least one byte, so that no loop can stand still.
                self.at += rest.iter().position(ends).unwrap_or(rest.len()).max(1);
            }
        }
    }

    fn skip_brackets(&mut self) {
        let mut open = 0_usize;
        while let Some(&byte) = self.json.get(self.at) {
            match byte {
                b'"' => {
                    self.at = json::string_end(self.json, self.at);
                    continue;
                }
                b'{' | b'[' => open += 1,
                b'}' | b']' => open -= 1,
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                return;
            }
        }
    }
}
