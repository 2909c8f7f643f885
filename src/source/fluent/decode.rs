use std::io::{self, Read};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;

use super::{
    Trouble,
    frame::{Compression, Content, Frame},
};
use crate::{
    record::{Place, Record},
    source::msgpack::{Head, Json, Reader},
};

/// What a record takes besides its text, so that the limit also bounds very many very small ones.
const RECORD_BYTES: usize = std::mem::size_of::<Record>();

/// No further message is added to a batch of this size.
const BATCH_BYTES: usize = 1024 * 1024;
const BATCH_RECORDS: usize = 1000;

/// The largest window that zstd data may ask for: 8 MiB, which every level but `--ultra` keeps to.
const ZSTD_WINDOW_LOG: u32 = 23;

/// The seconds of entries that begin and end a group, which Fluent Bit writes for data that came
/// as OTLP. They hold no record.
const GROUP_MARKERS: [u32; 2] = [u32::MAX, u32::MAX - 1];

/// Records on their way from messages to one batch.
#[derive(Debug)]
pub(super) struct Decoder {
    json: Json,
    /// Where each record ends in the JSON.
    ends: Vec<(usize, Place)>,
    limit: usize,
    /// The size of what was read, after decompression.
    bytes: usize,
}

/// What a [`Decoder`] made.
#[derive(Debug, Default)]
pub(in crate::source) struct Decoded {
    pub(in crate::source) records: Vec<Record>,
    /// The size of what was read, after decompression.
    pub(super) bytes: usize,
    /// How many texts were not UTF-8.
    pub(in crate::source) repaired: u64,
}

impl Decoder {
    /// `limit` bounds what a message holds, after decompression and again as records.
    pub(super) fn new(limit: usize) -> Self {
        Self { json: Json::new(limit), ends: Vec::new(), limit, bytes: 0 }
    }

    /// Adds the records of a message. On an error nothing of it is added.
    pub(super) fn add(&mut self, frame: &Frame<'_>) -> Result<(), Trouble> {
        let (known, begun) = (self.ends.len(), self.json.len());
        self.json.allow(self.limit);
        let added = self.add_content(frame);
        if added.is_err() {
            self.ends.truncate(known);
            self.json.truncate(begun);
        }
        added
    }

    fn add_content(&mut self, frame: &Frame<'_>) -> Result<(), Trouble> {
        match frame.content {
            Content::Nothing => {}
            Content::Record(record) => {
                self.bytes += record.len();
                self.record(&mut Reader::new(record), Place::Whole)?;
            }
            Content::Entries(entries) => {
                self.bytes += entries.len();
                let mut reader = Reader::new(entries);
                let Head::Array(length) = reader.head()? else {
                    return Err(Trouble::shape("the entries are no array"));
                };
                for number in 1..=length {
                    self.entry(&mut reader, Place::Item(number as u64))?;
                }
            }
            Content::Packed(packed) => match frame.options.compression {
                Compression::None => self.entries(packed)?,
                compression => self.entries(&decompress(packed, compression, self.limit)?)?,
            },
        }
        Ok(())
    }

    /// How many records it holds.
    pub(super) fn records(&self) -> usize {
        self.ends.len()
    }

    /// Whether it holds enough for one batch.
    pub(super) fn is_full(&self) -> bool {
        self.json.len() >= BATCH_BYTES || self.ends.len() >= BATCH_RECORDS
    }

    /// The records of all messages that were added.
    pub(super) fn finish(self) -> Decoded {
        let (bytes, repaired) = (self.bytes, self.json.repaired());
        let text = Bytes::from(self.json.into_text());
        let mut start = 0;
        let record = |(end, place)| {
            let json = text.slice(start..end);
            start = end;
            Record { json, place }
        };
        Decoded { records: self.ends.into_iter().map(record).collect(), bytes, repaired }
    }

    /// Entries one after the other.
    fn entries(&mut self, packed: &[u8]) -> Result<(), Trouble> {
        self.bytes += packed.len();
        let mut reader = Reader::new(packed);
        let mut number = 1;
        while !reader.is_empty() {
            self.entry(&mut reader, Place::Item(number))?;
            number += 1;
        }
        Ok(())
    }

    /// One entry: `[time, record]` or `[[time, metadata], record]`. Anything else is handed on as
    /// it is, to be set aside as the record that it is not.
    fn entry(&mut self, reader: &mut Reader<'_>, place: Place) -> Result<(), Trouble> {
        let start = *reader;
        let Head::Array(length @ 2..) = reader.head()? else {
            *reader = start;
            return self.record(reader, place);
        };
        let is_marker = is_group_marker(reader.value()?);
        if is_marker {
            reader.value()?;
        } else {
            self.record(reader, place)?;
        }
        for _ in 2..length {
            reader.value()?;
        }
        Ok(())
    }

    fn record(&mut self, reader: &mut Reader<'_>, place: Place) -> Result<(), Trouble> {
        let full = |full| Trouble::full(full, self.limit);
        self.json.reserve(RECORD_BYTES).map_err(full)?;
        self.json.write(reader).map_err(full)?;
        self.ends.push((self.json.len(), place));
        Ok(())
    }
}

/// The records of entries one after the other outside of any message, as Fluent Bit also sends them
/// over HTTP. `limit` bounds what they take as JSON.
pub(in crate::source) fn read_entries(packed: &[u8], limit: usize) -> Result<Decoded, Trouble> {
    let mut decoder = Decoder::new(limit);
    decoder.entries(packed)?;
    Ok(decoder.finish())
}

/// Whether the time of an entry, or of an entry with metadata, marks a group.
fn is_group_marker(header: &[u8]) -> bool {
    let mut reader = Reader::new(header);
    let mut head = reader.head();
    if let Ok(Head::Array(2)) = head {
        head = reader.head();
    }
    let Ok(Head::Ext(0, 8)) = head else { return false };
    let Ok(&[a, b, c, d, ..]) = reader.bytes(8) else { return false };
    GROUP_MARKERS.contains(&u32::from_be_bytes([a, b, c, d]))
}

fn decompress(packed: &[u8], compression: Compression, limit: usize) -> Result<Vec<u8>, Trouble> {
    let name = if compression == Compression::Gzip { "gzip" } else { "zstd" };
    let damaged = |error: io::Error| Trouble::Damaged(name, error);
    // Both read several members, which senders make by appending one to the other.
    let mut reader: Box<dyn Read + '_> = match compression {
        Compression::None => Box::new(packed),
        Compression::Gzip => Box::new(MultiGzDecoder::new(packed)),
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(packed).map_err(damaged)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(damaged)?;
            Box::new(decoder)
        }
    };
    let mut whole = Vec::new();
    // One byte more than allowed tells what is longer from what is of just that length.
    let bound = (limit as u64).saturating_add(1);
    reader.by_ref().take(bound).read_to_end(&mut whole).map_err(damaged)?;
    if whole.len() > limit { Err(Trouble::TooLarge(limit)) } else { Ok(whole) }
}
