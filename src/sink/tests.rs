use super::*;
use crate::{
    clock::Clock,
    profile::{Attributes, MappingSpec, Removed, Retain, When},
    record::{Place, SentId},
    store::embedded::EmbeddedSettings,
};

#[test]
fn invalid_records_are_spoken_of_at_once_and_then_all_together_now_and_then() {
    let complaints = Complaints::default();
    let start = 1_700_000_000_000_000;
    assert_eq!(complaints.due(start, 2), Some(2));
    assert_eq!(complaints.due(start + 1, 3), None);
    assert_eq!(complaints.due(start + COMPLAINT_MICROS - 1, 4), None);
    assert_eq!(complaints.due(start + COMPLAINT_MICROS, 5), Some(12));
    assert_eq!(complaints.due(start - COMPLAINT_MICROS, 1), Some(1), "the clock was set back");
}

fn part(name: &str, records: usize) -> Part {
    Part { id: Some(SentId::of("in", name.as_bytes(), b"")), records }
}

/// A sink in a directory, which is to be stopped by its store.
fn sink(dir: &tempfile::TempDir) -> Sink {
    let spec = MappingSpec {
        key: vec!["id".parse().unwrap()],
        at: None,
        version: Some("v".parse().unwrap()),
        strip_prefix: None,
        attributes: Attributes::All,
        segments: Vec::new(),
        identities: None,
        unmapped_segments: false,
        segment_names: false,
        segment_timestamps: false,
        legacy_status: false,
        consent: Vec::new(),
        removed: Removed::default(),
        when: When::Always,
        retain: Retain::default(),
    };
    let mapping = Arc::new(Mapping::compile(spec).unwrap());
    let (clock, metrics) = (Clock::anchored(1), Component::detached());
    let settings = EmbeddedSettings::default();
    let store =
        EmbeddedStore::open(dir.path(), mapping.clone(), settings, clock, metrics.clone()).unwrap();
    Sink::new(mapping, store, metrics)
}

fn batch(parts: Vec<Part>, records: &[&'static str]) -> Batch {
    let record = |json: &&'static str| Record { json: json.as_bytes().into(), place: Place::Whole };
    Batch { source: "in".into(), received: 1, records: records.iter().map(record).collect(), parts }
}

#[tokio::test]
async fn all_records_of_a_repeat_count_as_unchanged_and_no_invalid_one_is_kept_twice() {
    let dir = tempfile::tempdir().unwrap();
    let sink = sink(&dir);
    sink.take(&batch(Vec::new(), &[r#"{"id":9,"v":1}"#])).await.unwrap();
    // Not JSON, and a version of another kind than the known one.
    let records =
        ["1", r#"{"id":1,"v":1}"#, r#"{"id":9,"v":"2030-01-01T00:00:00Z"}"#, r#"{"id":2}"#, "{}"];
    let parts = vec![part("1", 3), part("2", 1)];
    let first = sink.take(&batch(parts.clone(), &records)).await.unwrap();
    assert_eq!(first, Ack { changed: 2, invalid: 3, ..Ack::default() });
    assert_eq!(sink.0.store.counts().invalid_records, 3);
    let again = sink.take(&batch(parts.clone(), &records)).await.unwrap();
    assert_eq!(again, Ack { unchanged: 4, invalid: 1, ..Ack::default() }, "the last has no id");
    assert_eq!(sink.0.store.counts().invalid_records, 4);
    sink.0.store.stop().await.unwrap();
}

#[tokio::test]
async fn what_only_one_of_two_sinks_took_is_taken_by_the_other_alone() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let sinks = [sink(&dirs[0]), sink(&dirs[1])];
    let batch = batch(vec![part("1", 1)], &[r#"{"id":1}"#]);
    sinks[0].take(&batch).await.unwrap();
    for (sink, changed) in sinks.iter().zip([0, 1]) {
        assert_eq!(sink.take(&batch).await.unwrap().changed, changed);
        sink.0.store.stop().await.unwrap();
    }
}

#[test]
fn a_part_is_cut_at_the_same_places_whatever_it_comes_with() {
    let many = part("many", 2 * CHUNK + 1);
    let batch =
        |parts: Vec<Part>, records| Batch { parts, ..batch(Vec::new(), &vec!["1"; records]) };
    let alone = pieces(&batch(vec![many], many.records));
    let lengths: Vec<_> = alone.iter().map(|piece| piece.records).collect();
    assert_eq!(lengths, [CHUNK, CHUNK, 1]);
    assert_eq!(alone[0].id, many.id);
    assert!(alone[1].id != alone[0].id && alone[1].id != alone[2].id);
    let more = pieces(&batch(vec![part("few", 7), many], 7 + many.records + 5));
    assert_eq!(more[1..4], alone);
    assert_eq!(more[4], Part { id: None, records: 5 });
}

#[tokio::test]
async fn a_batch_of_many_records_is_taken_whole_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let sink = sink(&dir);
    let mut records = vec![r#"{"id":1}"#; 2 * CHUNK];
    records.insert(CHUNK + 1, "no JSON");
    let parts = vec![part("1", 3), part("2", records.len() - 4)];
    let many = batch(parts, &records);
    let first = sink.take(&many).await.unwrap();
    assert_eq!((first.changed, first.invalid), (2 * CHUNK as u64, 1));
    let again = sink.take(&many).await.unwrap();
    assert_eq!((again.unchanged, again.changed), (2 * CHUNK as u64, 1), "the last has no id");
    sink.0.store.stop().await.unwrap();
}

#[test]
fn places_are_counted_in_the_stretch_in_which_they_lie() {
    let of = |lengths: &[usize], places: &[usize]| {
        shares(lengths.iter().copied(), places).collect::<Vec<_>>()
    };
    assert_eq!(of(&[2, 0, 3], &[0, 1, 4, 7]), [2, 0, 1]);
    assert_eq!(of(&[2, 3], &[]), [0, 0]);
    assert!(of(&[], &[1]).is_empty());
}
