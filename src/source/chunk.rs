//! Log events as Fluent Bit hands them to output plugins.

use super::{
    Feed,
    fluent::{Trouble, read_entries},
    json::Written,
};
use crate::{
    record::{Ack, Batch, Intake, Part, SentId, Unavailable},
    telemetry::Throttle,
};

/// The most that the records of a chunk may take as JSON. Chunks are of about 2 MB.
const MAX_BYTES: usize = 256 << 20;

/// Why a chunk was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChunkError {
    /// It can never be read.
    #[error("a chunk cannot be read: {0}")]
    Unreadable(String),
    /// It cannot be taken now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Returns once all records of a chunk are committed. A chunk is entries in `MessagePack`, one
/// after the other; it comes again whole, byte for byte and with the same tag, when it was not
/// taken or its sender was not told so.
pub(crate) async fn take_chunk<I: Intake>(
    feed: &Feed<I>,
    throttle: &Throttle,
    tag: &[u8],
    chunk: &[u8],
) -> Result<Ack, ChunkError> {
    let read = read_entries(chunk, MAX_BYTES).map_err(|trouble| {
        feed.metrics.errors(trouble.error_type(), "receiving").inc();
        ChunkError::Unreadable(match trouble {
            Trouble::Malformed(malformed) => malformed.to_string(),
            Trouble::TooLarge(limit) => format!("its records take more than {limit} bytes"),
            trouble => trouble.to_string(),
        })
    })?;
    let written = Written { replaced: read.repaired, ..Written::of(read.records) };
    feed.note(&written, throttle);
    if written.records.is_empty() {
        return Ok(Ack::default());
    }
    let batch = feed.batch(written.records, chunk.len());
    let id = Some(SentId::of(&feed.name, tag, chunk));
    let parts = vec![Part { id, records: batch.records.len() }];
    Ok(feed.intake.take(Batch { parts, ..batch }).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::testing::{Taken, texts};

    #[tokio::test]
    async fn entries_with_and_without_metadata_become_records_and_group_markers_do_not() {
        let (intake, mut arrived) = Taken::new();
        let time = b"\xd7\x00\x65\x00\x00\x00\x00\x00\x00\x01";
        let group = b"\xd7\x00\xff\xff\xff\xff\x00\x00\x00\x00";
        let chunk = [
            &b"\x92\x92"[..],
            group,
            b"\x80\x80\x92\x92",
            time,
            b"\x80\x81\xa1a\x01\x92\xce\x65\x00\x00\x00\x81\xa1b\x02",
        ]
        .concat();
        let ack = take_chunk(&intake.feed(), &Throttle::default(), b"tag", &chunk).await.unwrap();
        assert_eq!(ack.changed, 2);
        let records: Vec<_> = texts(&arrived.recv().await.unwrap());
        assert_eq!([&*records[0].1, &*records[1].1], [r#"{"a":1}"#, r#"{"b":2}"#]);
    }

    #[tokio::test]
    async fn a_chunk_is_the_same_only_with_the_same_tag_and_bytes() {
        let (intake, mut arrived) = Taken::new();
        let feed = intake.feed();
        let mut ids = Vec::new();
        let [one, two] = [&b"\x92\x01\x80"[..], b"\x92\x02\x80"];
        for (tag, chunk) in [(&b"a"[..], one), (b"a", one), (b"b", one), (b"a", two)] {
            take_chunk(&feed, &Throttle::default(), tag, chunk).await.unwrap();
            let [Part { id, records: 1 }] = arrived.recv().await.unwrap().parts[..] else {
                panic!()
            };
            ids.push(id.unwrap());
        }
        assert_eq!(ids[0], ids[1]);
        assert!(ids[2] != ids[0] && ids[3] != ids[0], "{ids:?}");
    }

    #[tokio::test]
    async fn only_what_can_never_be_read_is_refused_for_good() {
        let (intake, _arrived) = Taken::new();
        let feed = intake.feed();
        let take = async |chunk| take_chunk(&feed, &Throttle::default(), b"tag", chunk).await;
        for chunk in [&b"\x92\xce\x65\x00"[..], b"\xc1", b"\xdd\xff\xff\xff\xff"] {
            assert!(matches!(take(chunk).await, Err(ChunkError::Unreadable(_))), "{chunk:?}");
        }
        intake.answer(Err(Unavailable("the disk is full".into())));
        let full = take(b"\x92\xce\x65\x00\x00\x00\x81\xa1b\x02").await;
        assert!(matches!(full, Err(ChunkError::Unavailable(_))));
    }
}
