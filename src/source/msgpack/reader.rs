use super::Extent;

/// Bytes that are not MessagePack, or not all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::source) enum Malformed {
    /// The bytes end before the value does.
    #[error("it ends in the middle of a value")]
    Truncated,
    /// The byte 0xc1, which begins no value.
    #[error("the byte 0xc1 stands where a value should begin")]
    Reserved,
}

/// What a value begins with: all of a number, the length of anything longer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::source) enum Head {
    Nil,
    Bool(bool),
    Unsigned(u64),
    /// Below zero.
    Signed(i64),
    F32(f32),
    F64(f64),
    /// Bytes that are meant to be UTF-8.
    Str(usize),
    /// Bytes.
    Bin(usize),
    /// Values.
    Array(usize),
    /// Pairs of values.
    Map(usize),
    /// The type and the length of bytes.
    Ext(i8, usize),
}

/// Reads values one after the other.
#[derive(Clone, Copy, Debug)]
pub(in crate::source) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(in crate::source) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether nothing follows.
    pub(in crate::source) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes follow.
    pub(in crate::source) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The beginning of the next value, which is not taken.
    pub(in crate::source) fn peek(&self) -> Result<Head, Malformed> {
        let mut ahead = *self;
        ahead.head()
    }

    /// Takes the beginning of the next value.
    pub(in crate::source) fn head(&mut self) -> Result<Head, Malformed> {
        let marker = self.array::<1>()?[0];
        Ok(match marker {
            0x00..=0x7f => Head::Unsigned(marker.into()),
            0x80..=0x8f => Head::Map(usize::from(marker & 0x0f)),
            0x90..=0x9f => Head::Array(usize::from(marker & 0x0f)),
            0xa0..=0xbf => Head::Str(usize::from(marker & 0x1f)),
            0xc0 => Head::Nil,
            0xc1 => return Err(Malformed::Reserved),
            0xc2 => Head::Bool(false),
            0xc3 => Head::Bool(true),
            0xc4 => Head::Bin(self.length::<1>()?),
            0xc5 => Head::Bin(self.length::<2>()?),
            0xc6 => Head::Bin(self.length::<4>()?),
            0xc7 => self.extension::<1>()?,
            0xc8 => self.extension::<2>()?,
            0xc9 => self.extension::<4>()?,
            0xca => Head::F32(f32::from_be_bytes(self.array()?)),
            0xcb => Head::F64(f64::from_be_bytes(self.array()?)),
            0xcc => Head::Unsigned(u8::from_be_bytes(self.array()?).into()),
            0xcd => Head::Unsigned(u16::from_be_bytes(self.array()?).into()),
            0xce => Head::Unsigned(u32::from_be_bytes(self.array()?).into()),
            0xcf => Head::Unsigned(u64::from_be_bytes(self.array()?)),
            0xd0 => integer(i8::from_be_bytes(self.array()?).into()),
            0xd1 => integer(i16::from_be_bytes(self.array()?).into()),
            0xd2 => integer(i32::from_be_bytes(self.array()?).into()),
            0xd3 => integer(i64::from_be_bytes(self.array()?)),
            0xd4..=0xd8 => {
                let kind = i8::from_be_bytes(self.array()?);
                Head::Ext(kind, 1 << (marker - 0xd4))
            }
            0xd9 => Head::Str(self.length::<1>()?),
            0xda => Head::Str(self.length::<2>()?),
            0xdb => Head::Str(self.length::<4>()?),
            0xdc => Head::Array(self.length::<2>()?),
            0xdd => Head::Array(self.length::<4>()?),
            0xde => Head::Map(self.length::<2>()?),
            0xdf => Head::Map(self.length::<4>()?),
            0xe0..=0xff => Head::Signed(i64::from(i8::from_be_bytes([marker]))),
        })
    }

    /// Takes the bytes that a head announced.
    pub(in crate::source) fn bytes(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Takes the next value whole, whatever it is and however deep.
    pub(in crate::source) fn value(&mut self) -> Result<&'a [u8], Malformed> {
        match Extent::default().find(self.rest)? {
            Some(length) => self.bytes(length),
            None => Err(Malformed::Truncated),
        }
    }

    fn extension<const N: usize>(&mut self) -> Result<Head, Malformed> {
        let length = self.length::<N>()?;
        Ok(Head::Ext(i8::from_be_bytes(self.array()?), length))
    }

    /// A length of at most four bytes.
    fn length<const N: usize>(&mut self) -> Result<usize, Malformed> {
        let bytes: [u8; N] = self.array()?;
        Ok(bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }
}

/// Non-negative numbers may be written as signed ones.
fn integer(value: i64) -> Head {
    u64::try_from(value).map_or(Head::Signed(value), Head::Unsigned)
}
