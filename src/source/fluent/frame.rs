use super::Trouble;
use crate::source::msgpack::{Head, Reader};

/// The longest id of a chunk; what senders use is shorter than 64 bytes.
const MAX_CHUNK: usize = 1024;

/// One message of a sender, as it lies in the bytes that came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Frame<'a> {
    pub(super) content: Content<'a>,
    pub(super) options: Options<'a>,
}

/// What a message carries (its mode, in the protocol's words).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Content<'a> {
    /// Nothing: a heartbeat.
    Nothing,
    /// One record (Message mode).
    Record(&'a [u8]),
    /// An array of entries (Forward mode).
    Entries(&'a [u8]),
    /// Entries one after the other, perhaps compressed (`PackedForward` modes).
    Packed(&'a [u8]),
}

/// What the sender says about a message.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Options<'a> {
    /// What the acknowledgement that is asked for has to carry, verbatim.
    pub(super) chunk: Option<&'a [u8]>,
    pub(super) compression: Compression,
    /// Whether it is about metrics or traces.
    pub(super) not_logs: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Compression {
    #[default]
    None,
    Gzip,
    Zstd,
}

impl<'a> Frame<'a> {
    /// Reads a message that is there whole: `[tag, entries, options]` or `[tag, time, record,
    /// options]`, options left out or not.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Trouble> {
        let mut reader = Reader::new(bytes);
        let length = match reader.head()? {
            Head::Nil => {
                return Ok(Self { content: Content::Nothing, options: Options::default() });
            }
            Head::Array(length) if length >= 2 => length,
            _ => return Err(Trouble::shape("a message is no array of a tag and what follows")),
        };
        // The tag.
        reader.value()?;
        let content = match reader.peek()? {
            Head::Array(_) => Content::Entries(reader.value()?),
            Head::Str(length) | Head::Bin(length) => {
                reader.head()?;
                Content::Packed(reader.bytes(length)?)
            }
            Head::Map(_) | Head::Bool(_) => {
                return Err(Trouble::shape("neither entries nor a time follow the tag"));
            }
            _ if length == 2 => return Err(Trouble::shape("a message has a time but no record")),
            _ => {
                reader.value()?;
                Content::Record(reader.value()?)
            }
        };
        let before_options = if matches!(content, Content::Record(_)) { 3 } else { 2 };
        let options =
            if length > before_options { Options::read(&mut reader)? } else { Options::default() };
        Ok(Self { content, options })
    }
}

impl<'a> Options<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Trouble> {
        let mut options = Self::default();
        let pairs = match reader.head()? {
            Head::Map(pairs) => pairs,
            Head::Nil => 0,
            _ => return Err(Trouble::shape("the options of a message are no map")),
        };
        for _ in 0..pairs {
            let key = text(reader)?;
            let mut value = Reader::new(reader.value()?);
            match key {
                Some(b"chunk") if value.peek()? != Head::Nil => {
                    let chunk = value.value()?;
                    if chunk.len() > MAX_CHUNK {
                        return Err(Trouble::shape("the chunk id is longer than 1024 bytes"));
                    }
                    options.chunk = Some(chunk);
                }
                Some(b"compressed") => {
                    options.compression = match text(&mut value)? {
                        None | Some(b"" | b"text") => Compression::None,
                        Some(b"gzip") => Compression::Gzip,
                        Some(b"zstd") => Compression::Zstd,
                        Some(other) => {
                            let name = String::from_utf8_lossy(&other[..other.len().min(32)]);
                            return Err(Trouble::Compression(name.into_owned()));
                        }
                    };
                }
                Some(b"fluent_signal") => {
                    options.not_logs = !matches!(value.head()?, Head::Unsigned(0) | Head::Nil);
                }
                _ => {}
            }
        }
        Ok(options)
    }
}

/// Takes the next value; its bytes if it is text.
pub(super) fn text<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>, Trouble> {
    if let Head::Str(length) | Head::Bin(length) = reader.peek()? {
        reader.head()?;
        return Ok(Some(reader.bytes(length)?));
    }
    reader.value()?;
    Ok(None)
}
