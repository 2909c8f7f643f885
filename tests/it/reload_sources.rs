//! Sources and the API of a process whose configuration changes.

use std::net::TcpListener;

use http::StatusCode;
use profile_http::local_endpoint::{LocalEndpoint, Settings};

use crate::{
    several::{Held, OTHER_MAPPING, Several, listening},
    support::{MAPPING, Process, Sender, free_address, record},
};

async fn one_sink() -> (Several, LocalEndpoint) {
    let crm = LocalEndpoint::start(Settings::default()).await.unwrap();
    let mut several = Several::new();
    several.sink("crm", &crm.url(), MAPPING);
    (several, crm)
}

fn stop(process: Process) {
    process.signal("TERM");
    let (status, log) = process.wait();
    assert!(status.success(), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_source_takes_other_options_at_the_same_address_without_turning_anyone_away() {
    let (mut several, crm) = one_sink().await;
    let mut process = several.start();
    let long = record(1, 1).replacen("p1", &"x".repeat(200_000), 1);
    several.sender.send(std::slice::from_ref(&long)).await;
    for (round, limit) in [(2, 100_000), (3, 1_000_000), (4, 100_000)] {
        let options = format!(", max_body_bytes: {limit}");
        several.sources[0].1 = listening(several.address, &options);
        let sending = several.sender.clone();
        let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
        // Nobody is refused meanwhile: each connection is made and each request answered.
        let others = tokio::spawn(async move {
            let mut sent = 0;
            while stopped.try_recv().is_err() {
                let anew = Sender::new(sending.address());
                anew.send(&[record(round, sent)]).await;
                sent += 1;
            }
            sent
        });
        let line = several.reload(&mut process);
        assert!(line.contains("sinks unchanged: crm; sources changed: in"), "{line}");
        stop.send(()).unwrap();
        assert!(others.await.unwrap() > 0);
        let (status, _) = several.sender.post(long.clone()).await.expect("an answer");
        let expected = if limit > 200_000 { StatusCode::OK } else { StatusCode::PAYLOAD_TOO_LARGE };
        assert_eq!(status, expected);
    }
    several.delivered("crm").await;
    assert_eq!(crm.report().profiles, 4);
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn sources_move_come_and_go() {
    let (mut several, crm) = one_sink().await;
    let mut process = several.start();
    let former = several.sender.clone();
    former.send(&[record(1, 1)]).await;
    let (moved, extra) = (free_address(), free_address());
    several.sources[0].1 = listening(moved, "");
    several.sources.push(("extra".to_owned(), listening(extra, "")));
    several.sink_from("[in, extra]", "crm", &crm.url(), MAPPING);
    let line = several.reload(&mut process);
    assert!(line.ends_with("sinks changed: crm; sources changed: in; added: extra"), "{line}");
    assert_eq!(former.post(record(1, 2)).await, None, "nothing listens there");
    Sender::new(moved).send(&[record(2, 1)]).await;
    Sender::new(extra).send(&[record(3, 1)]).await;

    // The address of one goes to another.
    several.sources.remove(1);
    several.sources[0].1 = listening(extra, "");
    several.sink("crm", &crm.url(), MAPPING);
    let line = several.reload(&mut process);
    assert!(line.contains("sources changed: in; removed: extra"), "{line}");
    Sender::new(extra).send(&[record(4, 1)]).await;
    assert_eq!(Sender::new(moved).post(record(1, 3)).await, None);
    several.until("crm", |status| status["delivered"] == 4).await;
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_address_that_is_taken_refuses_the_whole_reload() {
    let (mut several, crm) = one_sink().await;
    let mut process = several.start();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    several.sources.push(("extra".to_owned(), listening(address, "")));
    several.sink_from("[in, extra]", "crm", &crm.url(), OTHER_MAPPING);
    let line = several.reload(&mut process);
    assert!(
        line.contains("not reloaded") && line.contains("source extra: cannot listen"),
        "{line}"
    );
    assert_eq!(several.metric("config_reload_rejected_total"), Some(1.0));
    several.sender.send(&[record(1, 1)]).await;
    several.until("crm", |status| status["delivered"] == 1).await;
    drop(taken);
    let line = several.reload(&mut process);
    assert!(line.contains("sinks changed: crm; sources added: extra; unchanged: in"), "{line}");
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_connection_of_an_unchanged_source_stays_open() {
    use std::io::{BufRead, BufReader, Write};
    let (mut several, crm) = one_sink().await;
    let mut process = several.start();
    let mut stream = BufReader::new(std::net::TcpStream::connect(several.address).unwrap());
    let mut post = |id: u64| {
        let body = record(id, 1);
        let length = body.len();
        write!(
            stream.get_mut(),
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert_ne!(stream.read_line(&mut line).unwrap(), 0, "it is open");
            let lower = line.to_lowercase();
            if let Some(value) = lower.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        std::io::Read::read_exact(&mut stream, &mut vec![0; length]).unwrap();
    };
    post(1);
    several.sink("crm", &crm.url(), OTHER_MAPPING).sink("mail", &crm.url(), MAPPING);
    several.reload(&mut process);
    post(2);
    several.until("mail", |status| status["delivered"] == 1).await;
    several.until("crm", |status| status["delivered"] == 2).await;
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn standard_input_is_read_on_over_a_reload_and_cannot_be_changed() {
    let (mut several, crm) = one_sink().await;
    several.sources.push(("pipe".to_owned(), "{ type: stdin }".to_owned()));
    several.sink_from("[in, pipe]", "crm", &crm.url(), MAPPING);
    let mut process = several.start();
    process.write(&format!("{}\n{}", record(1, 1), &record(2, 1)[..20]));
    several.until("crm", |status| status["delivered"] == 1).await;
    several.sink_from("[in, pipe]", "crm", &crm.url(), OTHER_MAPPING);
    assert!(several.reload(&mut process).contains("sinks changed: crm; sources unchanged"));
    process.write(&format!("{}\n", &record(2, 1)[20..]));
    several.until("crm", |status| status["delivered"] == 2).await;

    several.sources[1].1 = "{ type: stdin, max_line_bytes: 1000000 }".to_owned();
    let line = several.reload(&mut process);
    assert!(line.contains("not reloaded") && line.contains("source pipe reads standard"), "{line}");
    several.sources.pop();
    several.sink("crm", &crm.url(), OTHER_MAPPING);
    assert!(several.reload(&mut process).contains("that needs a restart"));
    process.write(&format!("{}\n", record(3, 1)));
    several.until("crm", |status| status["delivered"] == 3).await;
    assert_eq!(crm.report().duplicates, 0);
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_api_takes_another_token_and_another_address() {
    let (mut several, _crm) = one_sink().await;
    let mut process = several.start();
    let since = several.status("crm")["since"].clone();
    several.api_options = ", token: s3cret".to_owned();
    assert!(several.reload(&mut process).ends_with("; API changed"));
    assert_eq!(several.get("/api/v1/sinks/crm").0, 401);
    several.api_options = String::new();
    let former = std::mem::replace(&mut several.api, free_address());
    several.reload(&mut process);
    assert!(std::net::TcpStream::connect(former).is_err(), "nothing listens there");
    several.status("crm");
    several.api_options = ", enabled: false".to_owned();
    several.reload(&mut process);
    assert!(std::net::TcpStream::connect(several.api).is_err());
    several.api_options = String::new();
    several.reload(&mut process);
    assert_eq!(several.status("crm")["since"], since, "the process is the same");
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn when_every_source_has_ended_a_reload_is_refused_and_the_run_still_ends() {
    let held = Held::new().await;
    let mut several = Several::new();
    several.sources[0].1 = "{ type: stdin }".to_owned();
    several.sink("crm", &held.endpoint.url(), MAPPING);
    several.write();
    let mut process = Process::run(&several.config);
    process.write(&format!("{}\n", record(1, 1)));
    process.close_stdin();
    process.wait_for("every source has ended");
    several.sink("crm", &held.endpoint.url(), OTHER_MAPPING);
    assert!(several.reload(&mut process).contains("not reloaded: every source has ended"));
    let crm = held.let_go();
    let (status, log) = process.wait();
    assert!(status.success(), "{log}");
    assert_eq!(crm.report().taken, 1);
}
