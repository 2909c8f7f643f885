//! The forward protocol as its senders meet it.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

use profile_http::endpoint::tls::provider;
use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio::time::timeout;

use crate::support::{MANY_FILES, MAPPING, PATIENCE, Place, Process, memory, spare_files};

impl Place {
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Waits for so many profiles at the endpoint.
    pub(crate) async fn arrivals(&mut self, count: usize) {
        for _ in 0..count {
            timeout(PATIENCE, self.arrived.recv()).await.unwrap().unwrap();
        }
    }

    fn has(&self, id: u64) -> bool {
        self.endpoint.received("crmid", &format!("c-{id}")).is_some()
    }
}

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    [&b"\xda"[..], &length, text.as_bytes()].concat()
}

/// `[time, record]` with the record of the mapping.
fn entry(id: u64) -> Vec<u8> {
    let id = [&b"\x81\xa2id"[..], &text(&format!("c-{id}"))].concat();
    let identities = [&b"\xabidentityMap\x81\xa5crmid\x91"[..], &id].concat();
    [&b"\x92\xce\x65\x00\x00\x00\x82"[..], &identities, b"\xa1n\x01"].concat()
}

/// A message with these records that asks for its acknowledgement.
fn message(ids: std::ops::Range<u64>, chunk: &str) -> Vec<u8> {
    let packed: Vec<u8> = ids.flat_map(entry).collect();
    let length = u32::try_from(packed.len()).unwrap().to_be_bytes();
    [&b"\x93\xa3tag\xc6"[..], &length, &packed, b"\x81\xa5chunk", &text(chunk)].concat()
}

/// A message without records that asks for its acknowledgement.
fn nothing(chunk: &str) -> Vec<u8> {
    [&b"\x93\xa3tag\x90\x81\xa5chunk"[..], &text(chunk)].concat()
}

fn acknowledged(stream: &mut impl Read, chunk: &str) {
    let expected = [&b"\x81\xa3ack"[..], &text(chunk)].concat();
    let mut answer = vec![0; expected.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, expected);
}

/// Sends a chunk and waits for its acknowledgement.
pub(crate) fn deliver(stream: &mut (impl Read + Write), ids: std::ops::Range<u64>, chunk: &str) {
    stream.write_all(&message(ids, chunk)).unwrap();
    acknowledged(stream, chunk);
}

fn end(process: Process) -> String {
    process.signal("TERM");
    let (status, log) = process.wait();
    assert!(status.success(), "{status}: {log}");
    log
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_was_acknowledged_outlives_a_crash() {
    let mut place = Place::new().await;
    let process = place.run("fluent", "", MAPPING);
    place.endpoint.close().await;
    let mut stream = place.connect();
    for batch in 0..5 {
        deliver(&mut stream, batch * 20..(batch + 1) * 20, &format!("chunk {batch}"));
    }
    process.kill();
    place.endpoint.reopen().await.unwrap();
    let process = place.run("fluent", "", MAPPING);
    place.arrivals(100).await;
    assert!((0..100).all(|id| place.has(id)));
    end(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_cannot_be_read_is_told_once_in_a_while_and_disturbs_nobody() {
    let mut place = Place::new().await;
    let mut process = place.run("fluent", "", MAPPING);
    let mut neighbour = place.connect();
    let huge = [&b"\x93\xa3tag\xc6\x04\x10\x00\x00"[..], &vec![0; 1 << 20]].concat();
    let cases: [(&[u8], &str); 3] = [
        (b"\x93\xa3tag\xc1", "a message cannot be read"),
        (&huge, "longer than max_frame_bytes, 67108864; send smaller chunks or raise it"),
        (b"\x16\x03\x01\x02\x00", "the sender speaks TLS; give this source `tls`"),
    ];
    for (bytes, told) in cases {
        let mut peers = Vec::new();
        for _ in 0..20 {
            let mut stream = place.connect();
            peers.push(stream.local_addr().unwrap());
            // It may be closed before all of it is written.
            let _ = stream.write_all(bytes);
            let _ = stream.read_to_end(&mut Vec::new());
        }
        let line = process.wait_for(told);
        assert!(line.contains("WARN") && line.contains("source=\"in\""), "{line}");
        assert!(line.contains(&format!("peer={}", peers[0])), "{line}");
    }
    deliver(&mut neighbour, 0..3, "good");
    place.arrivals(3).await;
    let log = end(process);
    assert_eq!(log.matches("a connection was closed").count(), 3, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn records_that_are_none_are_set_aside_with_their_places() {
    let mut place = Place::new().await;
    let mut process = place.run("fluent", "", MAPPING);
    let entries = [entry(1), b"\x92\x00\x90".to_vec(), entry(2)].concat();
    let forward = [&b"\x92\xa3tag\x93"[..], &entries].concat();
    place.connect().write_all(&forward).unwrap();
    let line = process.wait_for("invalid");
    assert!(line.contains("records=1") && line.contains("item 2"), "{line}");
    place.arrivals(2).await;
    end(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_does_not_know_the_key_is_turned_away_and_told_of() {
    let place = Place::new().await;
    let mut process =
        place.run("fluent", ", shared_key: k3y, users: [{ user: ann, password: p4ss }]", MAPPING);
    let mut stream = place.connect();
    stream.write_all(&message(0..3, "unasked")).unwrap();
    let mut back = Vec::new();
    let _ = stream.read_to_end(&mut back);
    assert!(back.starts_with(b"\x92\xa4HELO"));
    assert!(!back.windows(3).any(|part| part == b"ack"));
    let line = process.wait_for("does not authenticate");
    assert!(line.contains("shared_key"), "{line}");
    let log = end(process);
    assert!(!log.contains("k3y") && !log.contains("p4ss"), "{log}");
    assert_eq!(place.endpoint.report().requests, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn ten_thousand_idle_connections_and_a_sender_that_reads_nothing_hold_up_nobody() {
    let _many = MANY_FILES.lock().await;
    let mut place = Place::new().await;
    let process = place.run("fluent", "", MAPPING);
    let before = memory(&process, "VmRSS:");
    let mut idle = Vec::new();
    while idle.len() < spare_files().min(10_000) {
        idle.push(place.connect());
        if idle.len() % 100 == 0 {
            // No more at once than what waits to be accepted anywhere.
            let mut last = &idle[idle.len() - 1];
            last.write_all(&nothing("here")).unwrap();
            acknowledged(&mut last, "here");
        }
    }
    let mut deaf = place.connect();
    deaf.set_nonblocking(true).unwrap();
    // More than what fits between a sender that does not read and one that waits for it.
    let empty = nothing(&"c".repeat(200)).repeat(100);
    let mut sent = 0;
    while sent < 256 << 20 {
        match deaf.write(&empty) {
            Ok(written) => sent += written,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
        tokio::task::yield_now().await;
    }
    for stream in [&idle[0], &idle[idle.len() - 1]] {
        deliver(&mut &*stream, 0..3, "good");
    }
    place.arrivals(3).await;
    let after = memory(&process, "VmRSS:");
    let allowed = 16 + idle.len() / 100;
    assert!(after - before < allowed, "{} connections took {} MiB", idle.len(), after - before);
    drop(idle);
    drop(deaf);
    end(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn messages_that_are_too_long_or_blow_up_take_no_more_memory_than_the_limits_say() {
    let place = Place::new().await;
    let process =
        place.run("fluent", ", max_frame_bytes: 4194304, max_decompressed_bytes: 8388608", MAPPING);
    let before = memory(&process, "VmHWM:");
    let mut compressed = zstd::Encoder::new(Vec::new(), 1).unwrap();
    let zeros = vec![0; 1 << 20];
    (0..1024).for_each(|_| compressed.write_all(&zeros).unwrap());
    let bomb = compressed.finish().unwrap();
    let length = u32::try_from(bomb.len()).unwrap().to_be_bytes();
    let bomb = [b"\x93\xa1t\xc6", &length[..], &bomb, b"\x81\xaacompressed\xa4zstd"].concat();
    // One says at once that it is too long, the other only as it goes on.
    let announced = b"\x92\xa1t\xc6\xff\xff\xff\xff";
    let growing = b"\xdd\x00\x00\xff\xff";
    let text = [&b"\xdb\x00\x0f\xff\xfb"[..], &zeros[5..]].concat();
    for (head, rest) in [(&bomb[..], &[][..]), (announced, &zeros), (growing, &text)] {
        for _ in 0..8 {
            let mut stream = place.connect();
            let _ = stream.write_all(head);
            // A gigabyte, if it were taken.
            let _ = (0..1024).try_for_each(|_| stream.write_all(rest));
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
    let peak = memory(&process, "VmHWM:");
    assert!(peak - before < 400, "{before} MiB became {peak} MiB");
    deliver(&mut place.connect(), 0..3, "good");
    end(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn over_tls_everything_is_the_same_and_plain_text_is_told_of() {
    let mut place = Place::new().await;
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    let crt = place.site.write("server.crt", &certificate.pem());
    let key = place.site.write("server.key", &key.serialize_pem());
    let tls = format!("tls: {{ crt_file: {crt:?}, key_file: {key:?} }}");
    let mut process = place.run("fluent", &format!(", {tls}"), MAPPING);

    let mut plain = place.connect();
    plain.write_all(&message(0..3, "plain")).unwrap();
    let _ = plain.read_to_end(&mut Vec::new());
    let line = process.wait_for("does not speak TLS");
    assert!(line.contains(&format!("peer={}", plain.local_addr().unwrap())), "{line}");

    let mut authorities = RootCertStore::empty();
    authorities.add(certificate.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authorities)
        .with_no_client_auth();
    let client = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut stream = StreamOwned::new(client, place.connect());
    deliver(&mut stream, 0..3, "first");
    deliver(&mut stream, 3..5, "second");
    place.arrivals(5).await;
    end(process);
}
