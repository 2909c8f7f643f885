use std::io::Write;

use jiff::Timestamp;

use super::{Head, Malformed, Reader};

/// How deep maps and arrays of a record may be nested.
pub(in crate::source) const MAX_DEPTH: usize = 256;

/// What a byte of text is written as in JSON (RFC 8259 section 7): 0 as itself, `u` as `\u00xx`,
/// else with a backslash before the byte given.
const ESCAPES: [u8; 256] = escapes();

/// Why there is no JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source) enum Full {
    /// The bytes are no MessagePack.
    Malformed(Malformed),
    /// What is written would be longer than the limit.
    Limit,
}

impl From<Malformed> for Full {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// JSON that is being written, of at most so many bytes.
#[derive(Debug)]
pub(in crate::source) struct Json {
    text: Vec<u8>,
    limit: usize,
    repaired: u64,
}

/// Why a value was not written to its end.
enum Stop {
    Full(Full),
    /// There is no JSON for it.
    Unfit(&'static str),
}

impl<E: Into<Full>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Full(error.into())
    }
}

impl Json {
    pub(in crate::source) fn new(limit: usize) -> Self {
        Self { text: Vec::new(), limit, repaired: 0 }
    }

    /// How many bytes were written.
    pub(in crate::source) fn len(&self) -> usize {
        self.text.len()
    }

    /// How many texts were not UTF-8.
    pub(in crate::source) fn repaired(&self) -> u64 {
        self.repaired
    }

    /// Allows so many bytes more than are written by now.
    pub(in crate::source) fn allow(&mut self, bytes: usize) {
        self.limit = self.text.len() + bytes;
    }

    /// Lowers the limit, for what is kept beside the text.
    pub(in crate::source) fn reserve(&mut self, bytes: usize) -> Result<(), Full> {
        self.limit = self.limit.checked_sub(bytes).ok_or(Full::Limit)?;
        self.check()
    }

    /// Takes back what was written after so many bytes.
    pub(in crate::source) fn truncate(&mut self, bytes: usize) {
        self.text.truncate(bytes);
    }

    /// What was written.
    pub(in crate::source) fn into_text(self) -> Vec<u8> {
        self.text
    }

    /// Takes the next value and appends it as JSON.
    pub(in crate::source) fn write(&mut self, reader: &mut Reader<'_>) -> Result<(), Full> {
        let (start, begun) = (*reader, self.text.len());
        match self.value(reader, MAX_DEPTH) {
            Ok(()) => Ok(()),
            Err(Stop::Full(full)) => Err(full),
            Err(Stop::Unfit(why)) => {
                *reader = start;
                reader.value()?;
                self.text.truncate(begun);
                self.text.extend_from_slice(b"\"a MessagePack value that is not JSON: ");
                self.text.extend_from_slice(why.as_bytes());
                self.text.push(b'"');
                self.check()
            }
        }
    }

    fn value(&mut self, reader: &mut Reader<'_>, depth: usize) -> Result<(), Stop> {
        match reader.head()? {
            Head::Array(length) => {
                let depth = depth.checked_sub(1).ok_or(TOO_DEEP)?;
                self.text.push(b'[');
                for i in 0..length {
                    if i > 0 {
                        self.text.push(b',');
                    }
                    self.value(reader, depth)?;
                }
                self.text.push(b']');
            }
            Head::Map(length) => {
                let depth = depth.checked_sub(1).ok_or(TOO_DEEP)?;
                self.text.push(b'{');
                for i in 0..length {
                    if i > 0 {
                        self.text.push(b',');
                    }
                    self.key(reader)?;
                    self.text.push(b':');
                    self.value(reader, depth)?;
                }
                self.text.push(b'}');
            }
            head => self.scalar(head, reader)?,
        }
        Ok(self.check()?)
    }

    fn key(&mut self, reader: &mut Reader<'_>) -> Result<(), Stop> {
        match reader.head()? {
            Head::Array(_) | Head::Map(_) => return Err(Stop::Unfit("a map or array is a key")),
            head @ (Head::Str(_) | Head::Bin(_)) => self.scalar(head, reader)?,
            head => {
                let begun = self.text.len();
                self.scalar(head, reader)?;
                if self.text[begun] != b'"' {
                    self.text.insert(begun, b'"');
                    self.text.push(b'"');
                }
            }
        }
        Ok(())
    }

    /// Writes anything but an array or a map.
    fn scalar(&mut self, head: Head, reader: &mut Reader<'_>) -> Result<(), Full> {
        match head {
            Head::Bool(true) => self.text.extend_from_slice(b"true"),
            Head::Bool(false) => self.text.extend_from_slice(b"false"),
            Head::Unsigned(value) => self.number(itoa::Buffer::new().format(value)),
            Head::Signed(value) => self.number(itoa::Buffer::new().format(value)),
            Head::F32(value) => self.float(&value),
            Head::F64(value) => self.float(&value),
            Head::Str(length) | Head::Bin(length) => self.string(reader.bytes(length)?)?,
            Head::Ext(kind, length) => match time(kind, reader.bytes(length)?) {
                Some(time) => self.string(time.to_string().as_bytes())?,
                None => self.text.extend_from_slice(b"null"),
            },
            Head::Nil | Head::Array(_) | Head::Map(_) => self.text.extend_from_slice(b"null"),
        }
        Ok(())
    }

    fn number(&mut self, digits: &str) {
        self.text.extend_from_slice(digits.as_bytes());
    }

    fn float(&mut self, value: &impl serde::Serialize) {
        serde_json::to_writer(&mut self.text, value).expect("a vector takes what is written");
    }

    fn string(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.text.push(b'"');
        if let Ok(text) = std::str::from_utf8(bytes) {
            self.escaped(text)?;
        } else {
            self.repaired += 1;
            for chunk in bytes.utf8_chunks() {
                self.escaped(chunk.valid())?;
                if !chunk.invalid().is_empty() {
                    self.text.extend_from_slice("\u{fffd}".as_bytes());
                    self.check()?;
                }
            }
        }
        self.text.push(b'"');
        Ok(())
    }

    fn escaped(&mut self, text: &str) -> Result<(), Full> {
        let bytes = text.as_bytes();
        let mut written = 0;
        for (at, byte) in bytes.iter().enumerate() {
            let escape = ESCAPES[usize::from(*byte)];
            if escape == 0 {
                continue;
            }
            self.text.extend_from_slice(&bytes[written..at]);
            written = at + 1;
            match escape {
                b'u' => write!(self.text, "\\u{byte:04x}").expect("a vector takes what is written"),
                escape => self.text.extend_from_slice(&[b'\\', escape]),
            }
            // Escapes make text up to six times as long.
            self.check()?;
        }
        self.text.extend_from_slice(&bytes[written..]);
        Ok(())
    }

    fn check(&self) -> Result<(), Full> {
        if self.text.len() > self.limit { Err(Full::Limit) } else { Ok(()) }
    }
}

const TOO_DEEP: Stop = Stop::Unfit("nested deeper than 256 levels");

const fn escapes() -> [u8; 256] {
    let mut escapes = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        escapes[byte] = b'u';
        byte += 1;
    }
    escapes[0x08] = b'b';
    escapes[0x09] = b't';
    escapes[0x0a] = b'n';
    escapes[0x0c] = b'f';
    escapes[0x0d] = b'r';
    escapes[b'"' as usize] = b'"';
    escapes[b'\\' as usize] = b'\\';
    escapes
}

/// The time in an extension: one of `MessagePack`'s own (type -1, in three lengths) or Fluentd's
/// `EventTime` (type 0: seconds and nanoseconds of 32 bits each).
fn time(kind: i8, data: &[u8]) -> Option<Timestamp> {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |n: u64, byte| n << 8 | u64::from(*byte));
    let (seconds, nanoseconds) = match (kind, data.len()) {
        (-1, 4) => (number(data), 0),
        (-1, 8) => (number(data) & 0x3_ffff_ffff, number(data) >> 34),
        (-1, 12) => (number(&data[4..]), number(&data[..4])),
        (0, 8) => (number(&data[..4]), number(&data[4..])),
        _ => return None,
    };
    let nanoseconds = i32::try_from(nanoseconds).ok().filter(|n| *n < 1_000_000_000)?;
    Timestamp::new(seconds.cast_signed(), nanoseconds).ok()
}
