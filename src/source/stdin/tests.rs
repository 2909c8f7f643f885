use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
};

use super::*;
use crate::{
    record::Unavailable,
    source::testing::{Taken, texts},
};

/// Input that comes when the test sends it, and ends when the test drops the sender.
struct Live(Receiver<io::Result<Vec<u8>>>);

impl Live {
    fn new() -> (Sender<io::Result<Vec<u8>>>, Self) {
        let (sender, receiver) = channel();
        (sender, Self(receiver))
    }
}

impl Read for Live {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Ok(bytes) = self.0.recv() else { return Ok(0) };
        let bytes = bytes?;
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}

/// Reads all of the given pieces and returns the records of all batches.
async fn read(pieces: &[&str], max_line_bytes: usize) -> Vec<(String, String)> {
    let (intake, mut arrived) = Taken::new();
    let (sender, input) = Live::new();
    for piece in pieces {
        sender.send(Ok(piece.as_bytes().to_vec())).unwrap();
    }
    drop(sender);
    run_from(input, intake.feed(), max_line_bytes, CancellationToken::new()).await.unwrap();
    let mut records = Vec::new();
    while let Ok(batch) = arrived.try_recv() {
        assert!(!batch.records.is_empty());
        records.extend(texts(&batch));
    }
    records
}

fn records(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(place, json)| ((*place).to_owned(), (*json).to_owned())).collect()
}

#[tokio::test]
async fn each_line_is_a_record_however_the_input_is_cut() {
    let text = "{\"a\":1}\n\r\n  \n{\"b\":\r\n\n{\"c\":3}";
    let expected =
        records(&[("line 1", "{\"a\":1}"), ("line 4", "{\"b\":"), ("line 6", "{\"c\":3}")]);
    assert_eq!(read(&[text], 100).await, expected);
    let single: Vec<&str> = (0..text.len()).map(|at| &text[at..=at]).collect();
    assert_eq!(read(&single, 100).await, expected);
    assert_eq!(read(&[], 100).await, []);
    assert_eq!(read(&["\n\n"], 100).await, []);
}

#[tokio::test]
async fn a_line_over_the_limit_becomes_an_invalid_record_and_its_neighbours_are_taken() {
    let long = format!("{{\"a\":1}} {}\n", "x".repeat(100));
    let text = format!("{{}}\n{long}{{\"b\":2}}\n");
    let whole = read(&[&text], 50).await;
    let cut: Vec<&str> = (0..text.len()).map(|at| &text[at..=at]).collect();
    for got in [whole, read(&cut, 50).await] {
        assert_eq!(got.len(), 3, "{got:?}");
        assert_eq!(got[0], ("line 1".to_owned(), "{}".to_owned()));
        assert_eq!(got[1].0, "line 2");
        let start = "the line is longer than max_line_bytes, 50; it begins {\"a\":1} xxx";
        assert!(got[1].1.starts_with(start), "{got:?}");
        assert_eq!(got[2], ("line 3".to_owned(), "{\"b\":2}".to_owned()));
    }
    // Also when it is the last one and has no end.
    assert_eq!(read(&[&long[..60], "y"], 50).await.len(), 1);
}

#[test]
fn an_endless_line_takes_no_more_memory_than_the_limit() {
    let mut lines = Lines::new(1000);
    for _ in 0..100 {
        lines.push(&[b'x'; 500]);
        assert!(lines.complete().is_none());
        assert!(lines.buffer.len() <= 1500);
    }
    lines.push(b"\n{}\n");
    let (records, _) = lines.complete().unwrap();
    assert_eq!(
        records.iter().map(|r| r.place).collect::<Vec<_>>(),
        [Place::Line(1), Place::Line(2)]
    );
}

#[tokio::test]
async fn a_line_is_handed_on_without_waiting_for_another() {
    let (intake, mut arrived) = Taken::new();
    let (sender, input) = Live::new();
    let task = tokio::spawn(run_from(input, intake.feed(), 100, CancellationToken::new()));
    for line in ["{\"n\":1}\n", "{\"n\":2}\n"] {
        sender.send(Ok(line.as_bytes().to_vec())).unwrap();
        assert_eq!(texts(&arrived.recv().await.unwrap())[0].1, line.trim());
    }
    drop(sender);
    task.await.unwrap().unwrap();
}

/// Endless input that counts how often it is read.
struct Endless(Arc<AtomicUsize>);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.fetch_add(1, Ordering::SeqCst);
        buffer.fill(b' ');
        buffer[0] = b'1';
        buffer[buffer.len() - 1] = b'\n';
        Ok(buffer.len())
    }
}

#[tokio::test]
async fn no_more_is_read_than_a_batch_ahead_of_what_was_taken() {
    let (intake, mut arrived) = Taken::new();
    intake.commits.forget_permits(usize::MAX);
    let reads = Arc::new(AtomicUsize::new(0));
    let input = Endless(reads.clone());
    let stop = CancellationToken::new();
    let task = tokio::spawn(run_from(input, intake.feed(), CHUNK, stop.clone()));
    let mut taken = 0;
    for _ in 0..50 {
        taken += arrived.recv().await.unwrap().records.len();
        // A batch in the channel, one read that waits to get in and one that has just got in.
        assert!(reads.load(Ordering::SeqCst) <= taken + CHUNKS + 2);
        intake.commits.add_permits(1);
    }
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_taken_is_offered_again_until_it_is() {
    let (intake, mut arrived) = Taken::new();
    for _ in 0..3 {
        intake.answer(Err(Unavailable("full".to_owned())));
    }
    let mut lines = Lines::new(100);
    lines.push(b"{\"n\":1}\n");
    let (records, bytes) = lines.complete().unwrap();
    let (feed, began) = (intake.feed(), Instant::now());
    offer(&feed, records, bytes, &CancellationToken::new()).await;
    assert_eq!(began.elapsed(), Duration::from_millis(100 + 200 + 400));
    for _ in 0..4 {
        assert_eq!(texts(&arrived.recv().await.unwrap())[0].1, "{\"n\":1}");
    }
    assert!(arrived.try_recv().is_err());
    assert_eq!(feed.metrics.received_events.get(), 1);
}

#[tokio::test]
async fn stopping_takes_what_was_read_and_ends() {
    let (intake, mut arrived) = Taken::new();
    let (sender, input) = Live::new();
    let stop = CancellationToken::new();
    let task = tokio::spawn(run_from(input, intake.feed(), 100, stop.clone()));
    sender.send(Ok(b"{\"n\":1}\n{\"n\"".to_vec())).unwrap();
    arrived.recv().await.unwrap();
    stop.cancel();
    task.await.unwrap().unwrap();
    // The input is still open.
    drop(sender);
}

#[tokio::test]
async fn a_read_that_fails_ends_the_source_after_what_was_read() {
    let (intake, mut arrived) = Taken::new();
    let (sender, input) = Live::new();
    sender.send(Ok(b"{}\n".to_vec())).unwrap();
    sender.send(Err(io::Error::other("gone"))).unwrap();
    let run = run_from(input, intake.feed(), 100, CancellationToken::new());
    assert_eq!(run.await.unwrap_err().to_string(), "cannot read stdin: gone");
    assert_eq!(arrived.try_recv().unwrap().records.len(), 1);
}

#[test]
fn a_batch_is_bounded_in_lines_and_bytes() {
    let mut lines = Lines::new(BATCH_BYTES);
    lines.push("{}\n".repeat(BATCH_LINES + 1).as_bytes());
    let sizes: VecDeque<usize> =
        std::iter::from_fn(|| lines.complete().map(|(records, _)| records.len())).collect();
    assert_eq!(sizes, [BATCH_LINES, 1]);

    lines.push(format!("{}\n", "x".repeat(BATCH_BYTES / 2)).repeat(3).as_bytes());
    let sizes: VecDeque<usize> =
        std::iter::from_fn(|| lines.complete().map(|(records, _)| records.len())).collect();
    assert_eq!(sizes, [2, 1]);
}
