//! Reading the protobuf wire format without copying: a message is the fields it is made of
//! (protobuf.dev/programming-guides/encoding).
//!
//! There are no generated types. What arrives is turned into JSON at once, so a tree of messages
//! would be built only to be taken apart again, and its size would be the sender's choice.

mod collections;
pub(super) mod write;

pub(super) use collections::{write_array, write_object};

/// Bytes that are no protobuf message, or not the one that is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// A number, a length or a value goes on beyond the end.
    #[error("it is cut off")]
    CutOff,
    /// A number has more bits than 64, or a field's number is none.
    #[error("a number in it is out of range")]
    Number,
    /// Groups, which have been out of use since protobuf 2, and wire types that were never given.
    #[error("it has a field of an unknown kind")]
    WireType,
    /// A field is of another type than the message has at that number.
    #[error("a field of it has an unexpected type")]
    Type,
    /// Messages are nested more deeply than anything that is read.
    #[error("it is nested too deeply")]
    Depth,
    /// A time that no calendar knows.
    #[error("a time in it is out of range")]
    Time,
}

/// The value of a field, as far as the wire tells its type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

impl<'a> Value<'a> {
    /// Text, bytes or a message.
    pub(super) fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed::Type),
        }
    }

    /// The fields of a message.
    pub(super) fn message(self) -> Result<Fields<'a>, Malformed> {
        self.bytes().map(Fields::of)
    }

    /// A number of the types `int64` and `int32`, which are two's complement.
    pub(super) fn int(self) -> Result<i64, Malformed> {
        match self {
            Self::Varint(bits) => Ok(bits.cast_signed()),
            _ => Err(Malformed::Type),
        }
    }

    pub(super) fn bool(self) -> Result<bool, Malformed> {
        self.int().map(|bits| bits != 0)
    }

    pub(super) fn double(self) -> Result<f64, Malformed> {
        match self {
            Self::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err(Malformed::Type),
        }
    }
}

/// The fields of a message with their numbers, in the order in which they were written. Ends after
/// the first error.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// The last field with this number: a value that is written twice counts the second time.
    pub(super) fn last(self, number: u64) -> Result<Option<Value<'a>>, Malformed> {
        let mut last = None;
        for field in self {
            let (found, value) = field?;
            if found == number {
                last = Some(value);
            }
        }
        Ok(last)
    }

    fn read(&mut self) -> Result<(u64, Value<'a>), Malformed> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length).map_err(|_| Malformed::CutOff)?;
                let (bytes, rest) = self.0.split_at_checked(length).ok_or(Malformed::CutOff)?;
                self.0 = rest;
                Value::Bytes(bytes)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(Malformed::WireType),
        };
        match tag >> 3 {
            0 => Err(Malformed::Number),
            number => Ok((number, value)),
        }
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for (at, byte) in self.0.iter().enumerate() {
            let shift = 7 * at;
            let bits = u64::from(byte & 0x7f);
            if shift > 63 || (shift == 63 && bits > 1) {
                return Err(Malformed::Number);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                self.0 = &self.0[at + 1..];
                return Ok(number);
            }
        }
        Err(Malformed::CutOff)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Malformed::CutOff)?;
        self.0 = rest;
        Ok(*array)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(message: &[u8]) -> Result<Vec<(u64, Value<'_>)>, Malformed> {
        Fields::of(message).collect()
    }

    #[test]
    fn every_wire_type_is_read_as_the_encoding_guide_writes_it() {
        // The guide's examples: field 1 = 150, field 2 = "testing", and -2 as an int64.
        assert_eq!(read(b"\x08\x96\x01"), Ok(vec![(1, Value::Varint(150))]));
        assert_eq!(read(b"\x12\x07testing"), Ok(vec![(2, Value::Bytes(b"testing"))]));
        let minus_two = b"\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        assert_eq!(read(minus_two).unwrap()[0].1.int(), Ok(-2));
        let fixed = b"\x0d\x01\0\0\0\x11\0\0\0\0\0\0\xf0\x3f";
        let fields = read(fixed).unwrap();
        assert_eq!(fields[0], (1, Value::Fixed32(1)));
        assert_eq!(fields[1].1.double(), Ok(1.0));
        assert_eq!(read(b""), Ok(vec![]));
    }

    #[test]
    fn what_is_written_twice_counts_the_second_time() {
        let twice = Fields::of(b"\x08\x01\x10\x07\x08\x02");
        assert_eq!(twice.clone().last(1), Ok(Some(Value::Varint(2))));
        assert_eq!(twice.last(3), Ok(None));
    }

    #[test]
    fn bytes_that_are_no_message_are_found_out_without_reserving_what_they_announce() {
        for (bytes, error) in [
            (&b"\x08"[..], Malformed::CutOff),
            (b"\x08\x96", Malformed::CutOff),
            (b"\x12\x07test", Malformed::CutOff),
            (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", Malformed::CutOff),
            (b"\x0d\x01\0", Malformed::CutOff),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", Malformed::Number),
            (b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", Malformed::Number),
            (b"\x00\x01", Malformed::Number),
            (b"\x0b\x0c", Malformed::WireType),
            (b"\x0e", Malformed::WireType),
        ] {
            assert_eq!(read(bytes), Err(error), "{bytes:x?}");
        }
        assert_eq!(Value::Varint(1).bytes(), Err(Malformed::Type));
        assert_eq!(Value::Bytes(b"").int(), Err(Malformed::Type));
        assert_eq!(Value::Varint(1).double(), Err(Malformed::Type));
    }
}
