use std::{io::Write, net::SocketAddr, time::Duration};

use flate2::{Compression, write::GzEncoder};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};

use super::*;
use crate::{
    listen,
    record::{Batch, Unavailable},
    source::testing::{Taken, texts},
};

const FRAME: usize = 64 * 1024;
const CONTENT: usize = 256 * 1024;

/// Longer than anything here takes when it works.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running source.
struct Running {
    address: SocketAddr,
    intake: Taken,
    feed: Feed<Taken>,
    arrived: mpsc::UnboundedReceiver<Batch>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

async fn start() -> Running {
    start_with(None).await
}

async fn start_with(security: Option<Security>) -> Running {
    let (intake, arrived) = Taken::new();
    let listener = listen::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (feed, stop) = (intake.feed(), CancellationToken::new());
    let settings = Settings { security, max_frame_bytes: FRAME, max_decompressed_bytes: CONTENT };
    let task = tokio::spawn(serve(listener, feed.clone(), settings, stop.clone()));
    Running { address, intake, feed, arrived, stop, task }
}

fn guarded() -> Security {
    let secret = |text: &str| Secret::Text(text.to_owned().into());
    let user = |name: &str| User { name: name.to_owned(), password: secret("pass") };
    Security { shared_key: secret("k3y"), users: vec![user("ann"), user("bob")] }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn next(&mut self) -> Vec<(String, String)> {
        texts(&timeout(PATIENCE, self.arrived.recv()).await.unwrap().unwrap())
    }

    /// Sends a message that is not acknowledged and returns what arrives.
    async fn takes(&mut self, message: &[u8]) -> Vec<(String, String)> {
        let mut stream = self.connect().await;
        stream.write_all(message).await.unwrap();
        self.next().await
    }

    fn errors(&self, error_type: &str) -> u64 {
        self.feed.metrics.errors(error_type, "receiving").get()
    }

    /// Sends something that ends the connection, and returns what came back before.
    async fn is_closed_by(&self, message: &[u8]) -> Vec<u8> {
        let mut stream = self.connect().await;
        // It may be closed before all of it is written.
        let _ = stream.write_all(message).await;
        let mut back = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut back)).await.expect("it is closed");
        back
    }
}

async fn reads(stream: &mut TcpStream, expected: &[u8]) {
    let mut answer = vec![0; expected.len()];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, expected);
}

fn records(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(place, json)| ((*place).to_owned(), (*json).to_owned())).collect()
}

const TIME: &[u8] = b"\xd7\x00\x65\x00\x00\x00\x00\x00\x00\x01";

/// Entries `{"n":1}` and so on, each in another form.
fn entries() -> Vec<u8> {
    [
        &b"\x92"[..],
        TIME,
        b"\x81\xa1n\x01",
        b"\x92\xce\x65\x00\x00\x00\x81\xa1n\x02",
        b"\x92\x92",
        TIME,
        b"\x81\xa1m\xc0\x81\xa1n\x03",
        b"\x92\xc7\x08\x00\x65\x00\x00\x00\x00\x00\x00\x00\x81\xa1n\x04",
        b"\x92\x92\xc0\x80\x81\xa1n\x05",
    ]
    .concat()
}

fn all_entries() -> Vec<(String, String)> {
    (1..=5).map(|n| (format!("item {n}"), format!("{{\"n\":{n}}}"))).collect()
}

/// `["tag", bytes, options]` with `options` as `MessagePack`.
fn packed(bytes: &[u8], options: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [b"\x93\xa3tag\xc6", &length[..], bytes, options].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

const GZIP: &[u8] = b"\x81\xaacompressed\xa4gzip";
const ZSTD: &[u8] = b"\x81\xaacompressed\xa4zstd";

#[tokio::test]
async fn every_mode_is_taken_with_times_and_metadata_of_every_form() {
    let mut source = start().await;
    for (options, message) in [
        ("none", [b"\x93\xa3tag", TIME, b"\x81\xa1n\x01"].concat()),
        ("some", b"\x94\xa3tag\xce\x65\x00\x00\x00\x81\xa1n\x01\x81\xa4size\x01".to_vec()),
        ("nil", b"\x94\xa3tag\xc0\x81\xa1n\x01\xc0".to_vec()),
    ] {
        assert_eq!(
            source.takes(&message).await,
            records(&[("the record", "{\"n\":1}")]),
            "{options}"
        );
    }
    let forward = [b"\x92\xa3tag\x95", &entries()[..]].concat();
    assert_eq!(source.takes(&forward).await, all_entries());
    assert_eq!(source.takes(&packed(&entries(), b"\x80")).await, all_entries());
    // As Fluentd writes it: bytes that are called text.
    let text =
        [b"\x92\xa3tag\xd9", &[u8::try_from(entries().len()).unwrap()][..], &entries()].concat();
    assert_eq!(source.takes(&text).await, all_entries());
    assert_eq!(
        source.takes(&packed(&entries(), b"\x81\xaacompressed\xa4text")).await,
        all_entries()
    );
    assert_eq!(source.feed.metrics.received_events.get(), 3 + 4 * 5);
}

#[tokio::test]
async fn compressed_entries_are_taken_in_one_member_or_several() {
    let mut source = start().await;
    let entries = entries();
    let (front, back) = entries.split_at(20);
    for members in [gzip(&entries), [gzip(front), gzip(back)].concat()] {
        assert_eq!(source.takes(&packed(&members, GZIP)).await, all_entries());
    }
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
    for members in [zstd(&entries), [zstd(front), zstd(back)].concat()] {
        assert_eq!(source.takes(&packed(&members, ZSTD)).await, all_entries());
    }
}

#[tokio::test]
async fn a_chunk_is_acknowledged_as_it_came_and_only_after_the_commit() {
    let mut source = start().await;
    source.intake.commits.forget_permits(usize::MAX >> 3);
    let mut stream = source.connect().await;
    // With the line end that Fluentd writes, and as bytes that are no text.
    for chunk in [&b"\xd9\x05abc=\n"[..], b"\xc4\x02\xff\x00", b"\x07"] {
        let options = [b"\x82\xa4size\x01\xa5chunk", chunk].concat();
        stream.write_all(&packed(b"\x92\x00\x81\xa1n\x01", &options)).await.unwrap();
        source.next().await;
        let early = timeout(Duration::from_millis(50), stream.read_u8()).await;
        assert!(early.is_err(), "nothing is committed yet");
        source.intake.commits.add_permits(1);
        reads(&mut stream, &[b"\x81\xa3ack", chunk].concat()).await;
    }
}

#[tokio::test]
async fn what_cannot_be_taken_now_is_refused_and_the_connection_stays() {
    let mut source = start().await;
    let mut stream = source.connect().await;
    let message = packed(&entries(), b"\x81\xa5chunk\xa1c");
    source.intake.answer(Err(Unavailable("the disk is full".to_owned())));
    stream.write_all(&message).await.unwrap();
    reads(&mut stream, b"\x80").await;
    stream.write_all(&message).await.unwrap();
    reads(&mut stream, b"\x81\xa3ack\xa1c").await;
    assert_eq!((source.next().await, source.next().await), (all_entries(), all_entries()));
    assert_eq!(source.errors("unavailable"), 1);
}

#[tokio::test]
async fn what_nobody_else_keeps_is_offered_until_it_is_taken() {
    let mut source = start().await;
    for _ in 0..2 {
        source.intake.answer(Err(Unavailable("the disk is full".to_owned())));
    }
    let mut stream = source.connect().await;
    stream.write_all(&packed(&entries(), b"\x80")).await.unwrap();
    for _ in 0..3 {
        assert_eq!(source.next().await, all_entries());
    }
    stream.write_all(b"\x93\xa1t\x00\x80").await.unwrap();
    assert_eq!(source.next().await, records(&[("the record", "{}")]));
}

#[tokio::test]
async fn messages_that_came_together_are_committed_together_and_each_acknowledged() {
    let mut source = start().await;
    let mut stream = source.connect().await;
    let one = |n: u8| [b"\x94\xa1t\x00\x81\xa1n", &[n][..], b"\x81\xa5chunk", &[n]].concat();
    stream.write_all(&[one(1), b"\xc0".to_vec(), one(2), one(3)].concat()).await.unwrap();
    reads(&mut stream, b"\x81\xa3ack\x01\x81\xa3ack\x02\x81\xa3ack\x03").await;
    let expected: Vec<_> =
        (1..=3).map(|n| ("the record".to_owned(), format!("{{\"n\":{n}}}"))).collect();
    assert_eq!(source.next().await, expected);
}

#[tokio::test]
async fn a_message_that_is_to_be_acknowledged_is_known_again_and_told_from_every_other() {
    let mut source = start().await;
    let mut parts = async |messages: &[Vec<u8>]| {
        let mut stream = source.connect().await;
        stream.write_all(&messages.concat()).await.unwrap();
        timeout(PATIENCE, source.arrived.recv()).await.unwrap().unwrap().parts
    };
    let [chunk, other] = [b"\x81\xa5chunk\xa1c", b"\x81\xa5chunk\xa1d"];
    let first = parts(&[packed(&entries(), chunk)]).await;
    assert_eq!((first.len(), first[0].records), (1, 5));
    let again = [packed(b"\x92\x00\x80", b"\x80"), packed(&entries(), chunk)];
    let again = parts(&again).await;
    assert_eq!((again[0].id, again[0].records), (None, 1));
    assert_eq!(again[1..], first[..]);
    for message in [packed(&entries(), other), packed(b"\x92\x00\x80", chunk)] {
        assert_ne!(parts(&[message]).await[0].id, first[0].id);
    }
}

#[tokio::test]
async fn a_message_may_come_in_pieces() {
    let mut source = start().await;
    let mut stream = source.connect().await;
    stream.set_nodelay(true).unwrap();
    for byte in packed(&entries(), b"\x81\xa5chunk\xa1c") {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    reads(&mut stream, b"\x81\xa3ack\xa1c").await;
    assert_eq!(source.next().await, all_entries());
}

#[tokio::test]
async fn heartbeats_empty_messages_and_visits_disturb_nothing() {
    let mut source = start().await;
    drop(source.connect().await);
    let mut stream = source.connect().await;
    stream
        .write_all(b"\xc0\xc0\x93\xa1t\x90\x81\xa5chunk\x01\x93\xa1t\xa0\x81\xa5chunk\x02")
        .await
        .unwrap();
    reads(&mut stream, b"\x81\xa3ack\x01\x81\xa3ack\x02").await;
    assert!(source.arrived.try_recv().is_err());
}

#[tokio::test]
async fn what_is_no_record_is_handed_on_with_its_place_and_fails_nothing_else() {
    let mut source = start().await;
    let forward = b"\x92\xa1t\x96\x92\x00\x81\xa1n\x01\x92\x00\xa1x\x05\x91\x07\x93\x00\x81\xa1n\x02\xc3\x92\x00\x90";
    let expected = [
        ("item 1", "{\"n\":1}"),
        ("item 2", "\"x\""),
        ("item 3", "5"),
        ("item 4", "[7]"),
        ("item 5", "{\"n\":2}"),
        ("item 6", "[]"),
    ];
    assert_eq!(source.takes(forward).await, records(&expected));
    // A tag of any kind.
    assert_eq!(source.takes(b"\x93\x81\x01\x02\x00\x80").await, records(&[("the record", "{}")]));
}

#[tokio::test]
async fn markers_of_groups_are_no_records() {
    let mut source = start().await;
    let marker = |sec: u8| {
        [b"\x92\x92\xd7\x00\xff\xff\xff", &[sec][..], b"\x00\x00\x00\x00\x80\x81\xa1g\x01"].concat()
    };
    let message = packed(&[marker(0xff), entries(), marker(0xfe)].concat(), b"\x80");
    let taken: Vec<_> = source.takes(&message).await.into_iter().map(|(_, json)| json).collect();
    assert_eq!(taken, all_entries().into_iter().map(|(_, json)| json).collect::<Vec<_>>());
}

#[tokio::test]
async fn metrics_and_traces_are_acknowledged_dropped_and_counted() {
    let mut source = start().await;
    let mut stream = source.connect().await;
    let message = packed(b"\xc1", b"\x82\xa5chunk\x01\xadfluent_signal\x01");
    stream.write_all(&message).await.unwrap();
    reads(&mut stream, b"\x81\xa3ack\x01").await;
    stream.write_all(&packed(&entries(), b"\x81\xadfluent_signal\x00")).await.unwrap();
    assert_eq!(source.next().await, all_entries());
    assert_eq!(source.feed.metrics.discarded(true, "not_logs").get(), 1);
}

#[tokio::test]
async fn text_that_is_not_utf8_is_mended_and_counted() {
    let mut source = start().await;
    let taken = source.takes(b"\x93\xa1t\x00\x82\xa1a\xa2x\xff\xa1b\xa1\xfe").await;
    assert_eq!(taken, records(&[("the record", "{\"a\":\"x\u{fffd}\",\"b\":\"\u{fffd}\"}")]));
    assert_eq!(source.errors("invalid_utf8"), 2);
}

#[tokio::test]
async fn what_cannot_be_read_is_not_acknowledged_and_ends_only_its_connection() {
    let mut source = start().await;
    let mut neighbour = source.connect().await;
    let chunk = b"\x81\xa5chunk\x01";
    let bomb = vec![0; CONTENT * 4];
    let levels = [vec![0x91; FRAME / 2], vec![0xc0]].concat();
    let both = |options: &[u8]| [b"\x82", &options[1..], &chunk[1..]].concat();
    let cases = [
        ("malformed_message", packed(b"\x92\x00\x81\xa1n", chunk)),
        ("malformed_message", packed(b"\x92\x00\xc1", chunk)),
        ("malformed_message", packed(b"\x92\x00\xdf\xff\xff\xff\xff\x01", chunk)),
        ("malformed_message", packed(b"\x92\x00\xdb\xff\xff\xff\xff\x01", chunk)),
        ("unexpected_message", b"\x91\xa1t".to_vec()),
        ("unexpected_message", b"\x92\xa1t\x00".to_vec()),
        ("unexpected_message", b"\x92\xa1t\x80".to_vec()),
        ("unexpected_message", b"\x93\xa1t\x90\x07".to_vec()),
        ("unexpected_message", b"\x01".to_vec()),
        ("message_too_long", b"\x93\xa1t\xdb\x00\x01\x00\x01".to_vec()),
        ("message_too_long", b"\x93\xa1t\xdd\x00\x01\x00\x01".to_vec()),
        ("unknown_compression", packed(b"x", &both(b"\x81\xaacompressed\xa3lz4"))),
        ("damaged_compression", packed(b"x", &both(GZIP))),
        ("damaged_compression", packed(&gzip(&entries())[..30], &both(GZIP))),
        ("damaged_compression", packed(b"xxxxxxxx", &both(ZSTD))),
        ("content_too_large", packed(&gzip(&bomb), &both(GZIP))),
        ("content_too_large", packed(&zstd::encode_all(&bomb[..], 3).unwrap(), &both(ZSTD))),
        ("content_too_large", packed(&gzip(&b"\x92\x00\x80".repeat(CONTENT / 4)), &both(GZIP))),
        ("foreign_protocol", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("foreign_protocol", b"\x16\x03\x01\x02\x00\x01".to_vec()),
        ("foreign_protocol", b"{\"a\":1}".to_vec()),
    ];
    let mut counted = std::collections::HashMap::new();
    for (error_type, message) in cases {
        assert_eq!(source.is_closed_by(&message).await, b"", "{error_type}");
        *counted.entry(error_type).or_insert(0) += 1;
        assert_eq!(source.errors(error_type), counted[error_type], "{error_type}");
    }
    assert!(source.arrived.try_recv().is_err());
    neighbour.write_all(&packed(&[&b"\x92\x00"[..], &levels].concat(), chunk)).await.unwrap();
    reads(&mut neighbour, b"\x81\xa3ack\x01").await;
    assert!(source.next().await[0].1.contains("nested deeper"));
}

#[tokio::test]
async fn what_came_whole_before_a_bad_message_is_taken_and_acknowledged() {
    let mut source = start().await;
    let message = [packed(&entries(), b"\x81\xa5chunk\x01"), packed(b"\xc1", b"\x81\xa5chunk\x02")];
    assert_eq!(source.is_closed_by(&message.concat()).await, b"\x81\xa3ack\x01");
    assert_eq!(source.next().await, all_entries());
}

#[tokio::test]
async fn what_is_being_committed_at_a_stop_is_still_acknowledged() {
    let mut source = start().await;
    source.intake.commits.forget_permits(usize::MAX >> 3);
    let (mut stream, mut idle) = (source.connect().await, source.connect().await);
    stream.write_all(&packed(&entries(), b"\x81\xa5chunk\x01")).await.unwrap();
    source.next().await;
    source.stop.cancel();
    assert_eq!(timeout(PATIENCE, idle.read(&mut [0])).await.unwrap().unwrap(), 0);
    source.intake.commits.add_permits(1);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"\x81\xa3ack\x01");
    timeout(PATIENCE, &mut source.task).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_rest_does_not_come_ends_its_connection_and_an_idle_one_stays() {
    let mut source = start().await;
    let (mut idle, mut begun) = (source.connect().await, source.connect().await);
    begun.write_all(b"\x93\xa1t").await.unwrap();
    assert_eq!(begun.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(source.errors("incomplete_message"), 1);
    tokio::time::advance(Duration::from_hours(10)).await;
    idle.write_all(b"\x93\xa1t\x00\x80").await.unwrap();
    assert_eq!(texts(&source.arrived.recv().await.unwrap()), records(&[("the record", "{}")]));
}

proptest::proptest! {
    /// Messages with a few bytes changed, as a hostile sender or a bad wire would.
    #[test]
    fn whatever_comes_is_read_or_refused_within_the_limit(
        mode in 0usize..6,
        changes in proptest::collection::vec((proptest::prelude::any::<usize>(), proptest::prelude::any::<u8>()), 0..6),
    ) {
        let mut message = match mode {
            0 => packed(&entries(), b"\x81\xa5chunk\xa1c"),
            1 => packed(&gzip(&entries()), GZIP),
            2 => packed(&zstd::encode_all(&entries()[..], 3).unwrap(), ZSTD),
            3 => [b"\x92\xa3tag\x95", &entries()[..]].concat(),
            4 => [b"\x94\xa3tag", TIME, b"\x81\xa1n\x01\x81\xa5chunk\x01"].concat(),
            _ => entries(),
        };
        for (at, byte) in changes {
            let length = message.len();
            message[at % length] = byte;
        }
        let limit = 4096;
        let mut decoder = decode::Decoder::new(limit);
        if let Ok(frame) = frame::Frame::parse(&message)
            && decoder.add(&frame).is_ok()
        {
            let decoded = decoder.finish();
            let text: usize = decoded.records.iter().map(|record| record.json.len()).sum();
            proptest::prop_assert!(text <= limit);
            for record in decoded.records {
                let parsed = serde_json::from_slice::<serde::de::IgnoredAny>(&record.json);
                proptest::prop_assert!(parsed.is_ok(), "{record:?}");
            }
        }
    }
}

mod authentication {
    use super::*;
    use crate::source::{
        fluent::{frame::text, handshake::sha512},
        msgpack::{Head, Reader},
    };

    /// Reads HELO and returns nonce and password salt.
    async fn helo(stream: &mut TcpStream) -> (Vec<u8>, Vec<u8>) {
        let mut helo = vec![0; 1024];
        let length = timeout(PATIENCE, stream.read(&mut helo)).await.unwrap().unwrap();
        let mut reader = Reader::new(&helo[..length]);
        assert_eq!(reader.head().unwrap(), Head::Array(2));
        assert_eq!(text(&mut reader).unwrap(), Some(&b"HELO"[..]));
        assert_eq!(reader.head().unwrap(), Head::Map(3));
        let mut pair = || {
            (
                text(&mut reader).unwrap().unwrap().to_vec(),
                text(&mut reader).unwrap().unwrap().to_vec(),
            )
        };
        let ((nonce_key, nonce), (auth_key, auth)) = (pair(), pair());
        assert_eq!((&nonce_key[..], &auth_key[..]), (&b"nonce"[..], &b"auth"[..]));
        assert_eq!(&helo[length - 11..length], b"\xa9keepalive\xc3");
        (nonce, auth)
    }

    fn ping(nonce: &[u8], auth: &[u8], key: &str, user: &str, password: &str) -> Vec<u8> {
        let mut ping = b"\x96\xa4PING".to_vec();
        let digest = sha512(&[b"\xffsalt", b"host", nonce, key.as_bytes()]);
        let password = sha512(&[auth, user.as_bytes(), password.as_bytes()]);
        for part in [b"host", &b"\xffsalt"[..], &digest, user.as_bytes(), &password] {
            ping.extend([0xd9, u8::try_from(part.len()).unwrap()]);
            ping.extend(part);
        }
        ping
    }

    #[tokio::test]
    async fn who_knows_the_key_and_a_password_is_let_in_and_told_that_we_know_it_too() {
        let mut source = start_with(Some(guarded())).await;
        let mut stream = source.connect().await;
        let (nonce, auth) = helo(&mut stream).await;
        assert_eq!((nonce.len(), auth.len()), (16, 16));
        stream.write_all(&ping(&nonce, &auth, "k3y", "bob", "pass")).await.unwrap();
        let digest = sha512(&[b"\xffsalt", b"profile-http", &nonce, b"k3y"]);
        let pong = [b"\x95\xa4PONG\xc3\xd9\x00\xd9\x0cprofile-http\xd9\x80", &digest[..]].concat();
        reads(&mut stream, &pong).await;
        stream.write_all(&packed(&entries(), b"\x81\xa5chunk\x01")).await.unwrap();
        reads(&mut stream, b"\x81\xa3ack\x01").await;
        assert_eq!(source.next().await, all_entries());
    }

    #[tokio::test]
    async fn without_users_the_key_is_enough_and_no_salt_is_sent() {
        let mut source = start_with(Some(Security { users: Vec::new(), ..guarded() })).await;
        let mut stream = source.connect().await;
        let (nonce, auth) = helo(&mut stream).await;
        assert_eq!(auth, b"");
        let records = packed(&entries(), b"\x80");
        let both = [ping(&nonce, b"", "k3y", "", ""), records].concat();
        stream.write_all(&both).await.unwrap();
        assert_eq!(source.next().await, all_entries());
    }

    #[tokio::test]
    async fn anybody_else_is_turned_away_with_a_reason_and_nothing_is_taken() {
        let mut source = start_with(Some(guarded())).await;
        let cases = [
            ("other", "bob", "pass", "shared_key mismatch"),
            ("k3y", "bob", "other", "username/password mismatch"),
            ("k3y", "eve", "pass", "username/password mismatch"),
            ("k3y", "eve", "", "username/password mismatch"),
            ("k3y", "", "", "username/password mismatch"),
        ];
        for (key, user, password, reason) in cases {
            let mut stream = source.connect().await;
            let (nonce, auth) = helo(&mut stream).await;
            stream.write_all(&ping(&nonce, &auth, key, user, password)).await.unwrap();
            let length = u8::try_from(reason.len()).unwrap();
            let pong =
                [b"\x95\xa4PONG\xc2\xd9", &[length][..], reason.as_bytes(), b"\xd9\x00\xd9\x00"];
            let mut back = Vec::new();
            timeout(PATIENCE, stream.read_to_end(&mut back)).await.unwrap().unwrap();
            assert_eq!(back, pong.concat());
        }
        for unasked in [packed(&entries(), b"\x81\xa5chunk\x01"), b"\x92\xa4PING\x01".to_vec()] {
            let back = source.is_closed_by(&unasked).await;
            assert!(!back.windows(3).any(|part| part == b"ack"), "{back:?}");
        }
        let mut stream = source.connect().await;
        let long = [&b"\x93\xa1t\xdb\x00\x00\xff\x00"[..], &vec![0; 20_000]].concat();
        let _ = stream.write_all(&long).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
        assert_eq!(source.errors("authentication"), 8);
        // A visit is no attempt.
        drop(source.connect().await);
        assert!(source.arrived.try_recv().is_err());
    }
}
