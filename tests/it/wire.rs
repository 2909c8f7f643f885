//! An endpoint that misbehaves on the wire, and what the sink makes of it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response};
use profile_http::{
    clock::Clock,
    config::{self, Env},
    delivery::{self, AttemptError, Deliver, Gate, Trail},
    telemetry::Component,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tower::ServiceExt;

use crate::support::{MAPPING, Process, Site, record};

/// What happens to a connection.
#[derive(Clone, Debug)]
enum Fault {
    /// It is reset before anything is read.
    ResetAtOnce,
    /// It is reset when the head of a request and a part of its body have been read.
    ResetWithinBody,
    /// It is reset when a request has been read.
    ResetAfterBody,
    /// It is ended in good order when a request has been read.
    EndAfterBody,
    /// Its writing side is closed when a request has been read.
    HalfClose,
    /// These bytes answer a request, then nothing more comes.
    Answer(String),
    /// An answer comes so slowly that it does not end in time.
    Drip,
    /// An answer whose head does not end.
    EndlessHead,
    /// A good answer with a body that does not end.
    EndlessBody,
    /// HTTP/2: the stream is refused.
    RefusedStream,
    /// HTTP/2: the server goes away without having taken the stream.
    GoAway,
    /// HTTP/2: the stream is reset by an error.
    ResetStream,
}

/// A request that was answered well.
#[derive(Clone, Debug)]
struct Taken {
    head: String,
    body: String,
}

/// An endpoint that plays faults, one for each connection, and behaves after the last.
struct Endpoint {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<Taken>>>,
    connections: Arc<AtomicUsize>,
    /// How many connections misbehave.
    faulty: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

impl Endpoint {
    /// The first `faulty` connections suffer the fault.
    async fn start(fault: Fault, faulty: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let faulty = Arc::new(AtomicUsize::new(faulty));
        let task = {
            let (taken, connections, faulty) = (taken.clone(), connections.clone(), faulty.clone());
            tokio::spawn(async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let number = connections.fetch_add(1, Ordering::SeqCst);
                    let bad = number < faulty.load(Ordering::SeqCst);
                    let (fault, taken) = (fault.clone(), taken.clone());
                    tokio::spawn(async move {
                        match fault {
                            Fault::RefusedStream | Fault::GoAway | Fault::ResetStream => {
                                over_http2(stream, bad.then_some(&fault), &taken).await;
                            }
                            fault if bad => play(stream, fault).await,
                            _ => behave(stream, &taken).await,
                        }
                    });
                }
            })
        };
        Self { address, taken, connections, faulty, task }
    }

    fn url(&self) -> String {
        format!("http://{}/profiles", self.address)
    }

    fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// From now on every connection is treated well.
    fn mend(&self) {
        self.faulty.store(0, Ordering::SeqCst);
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Taken {
    fn header(&self, name: &str) -> Option<String> {
        let line = self.head.lines().find(|line| line.to_lowercase().starts_with(name))?;
        Some(line.split_once(": ")?.1.to_owned())
    }
}

/// Reads a request; nothing when the connection ends before.
async fn read_request(stream: &mut TcpStream) -> Option<Taken> {
    let head = read_head(stream).await?;
    let length = head.to_lowercase();
    let length = length.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    let length = length.map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Taken { head, body: String::from_utf8(body).unwrap() })
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

async fn behave(mut stream: TcpStream, taken: &Mutex<Vec<Taken>>) {
    while let Some(request) = read_request(&mut stream).await {
        taken.lock().unwrap().push(request);
        stream.write_all(OK).await.unwrap();
    }
}

/// Waits until the other side has ended the connection.
async fn gone(mut stream: TcpStream) {
    while stream.read_u8().await.is_ok() {}
}

fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
    drop(stream);
}

async fn play(mut stream: TcpStream, fault: Fault) {
    match fault {
        Fault::ResetAtOnce => return reset(stream),
        Fault::ResetWithinBody => {
            read_head(&mut stream).await;
            let _ = stream.read_u8().await;
            return reset(stream);
        }
        _ => {}
    }
    if read_request(&mut stream).await.is_none() {
        return;
    }
    match fault {
        Fault::ResetAfterBody => reset(stream),
        Fault::EndAfterBody => drop(stream),
        Fault::HalfClose => {
            stream.shutdown().await.unwrap();
            gone(stream).await;
        }
        Fault::Answer(answer) => {
            stream.write_all(answer.as_bytes()).await.unwrap();
            gone(stream).await;
        }
        Fault::Drip => {
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
            let mut bytes = head.iter().chain(std::iter::repeat(&b'.'));
            while let Some(byte) = bytes.next()
                && stream.write_u8(*byte).await.is_ok()
            {
                // As slow as it gets without stopping.
                let pause = std::time::Duration::from_millis(20);
                if tokio::time::timeout(pause, stream.read_u8()).await.is_ok() {
                    break;
                }
            }
        }
        Fault::EndlessHead => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
            while stream.write_all(b"x-filler: some more of it\r\n").await.is_ok() {}
        }
        Fault::EndlessBody => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while stream.write_all(&[b'.'; 4096]).await.is_ok() {}
        }
        fault => unreachable!("{fault:?} is played elsewhere"),
    }
}

/// The first stream of the connection suffers the fault, if there is one.
async fn over_http2(stream: TcpStream, fault: Option<&Fault>, taken: &Arc<Mutex<Vec<Taken>>>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    if let Some(Fault::GoAway) = fault {
        // Before a request could come.
        connection.abrupt_shutdown(h2::Reason::NO_ERROR);
    }
    let mut fault = fault;
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        match fault.take() {
            Some(Fault::RefusedStream) => respond.send_reset(h2::Reason::REFUSED_STREAM),
            Some(_) => respond.send_reset(h2::Reason::INTERNAL_ERROR),
            None => {
                let taken = taken.clone();
                tokio::spawn(async move {
                    let request = read_stream(request).await;
                    taken.lock().unwrap().push(request);
                    respond.send_response(Response::new(()), true).unwrap();
                });
            }
        }
    }
}

async fn read_stream(mut request: Request<h2::RecvStream>) -> Taken {
    let lines = request.headers().iter();
    let head = lines.map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()));
    let head = head.collect();
    let mut body = Vec::new();
    while let Some(data) = request.body_mut().data().await {
        body.extend_from_slice(&data.unwrap());
    }
    Taken { head, body: String::from_utf8(body).unwrap() }
}

/// A run that delivers one profile.
struct Run {
    endpoint: Endpoint,
    site: Site,
}

impl Run {
    async fn new(fault: Fault, faulty: usize) -> Self {
        Self { endpoint: Endpoint::start(fault, faulty).await, site: Site::new() }
    }

    fn start(&self, request: &str) -> Process {
        let options = format!("{MAPPING}    request: {{ {request} }}\n");
        let config =
            self.site.configure("run.yaml", "{ type: stdin }", &self.endpoint.url(), &options);
        Process::run(&config)
    }

    /// The profile is delivered in the end and once, over the last of so many connections.
    fn delivers(&self, request: &str, connections: usize) {
        let (status, log) = self.start(request).fed(&record(1, 7));
        assert!(status.success(), "{log}");
        assert!(!log.contains("dead letter"), "{log}");
        let taken = self.endpoint.taken();
        assert_eq!(taken.len(), 1, "{log}");
        assert!(taken[0].body.contains("\"n\":7"), "{taken:?}");
        assert_eq!(self.endpoint.connections(), connections, "{log}");
    }
}

macro_rules! delivered_in_the_end {
    ($($name:ident: $fault:expr, $request:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
        async fn $name() {
            Run::new($fault, 1).await.delivers($request, 2);
        }
    )*};
}

delivered_in_the_end! {
    a_reset_before_the_request_is_read_is_followed_by_another_attempt: Fault::ResetAtOnce, "";
    a_reset_within_the_body_is_followed_by_another_attempt: Fault::ResetWithinBody, "";
    a_reset_after_the_body_is_followed_by_another_attempt: Fault::ResetAfterBody, "";
    an_end_without_an_answer_is_followed_by_another_attempt: Fault::EndAfterBody, "";
    a_half_close_without_an_answer_is_followed_by_another_attempt: Fault::HalfClose, "";
    an_answer_that_drips_ends_by_the_timeout: Fault::Drip, "timeout_secs: 1";
    an_answer_whose_head_does_not_end_is_given_up: Fault::EndlessHead, "";
    garbage_is_followed_by_another_attempt: Fault::Answer("220 ready\r\n".into()), "";
    half_an_answer_ends_by_the_timeout: Fault::Answer("HTTP/1.1 200 O".into()), "timeout_secs: 1";
    a_server_that_goes_away_is_connected_to_anew: Fault::GoAway, "http2: always";
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stream_that_is_refused_or_reset_is_followed_by_another_of_the_same_connection() {
    for fault in [Fault::RefusedStream, Fault::ResetStream] {
        Run::new(fault, 1).await.delivers("http2: always", 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_answer_whose_body_does_not_end_counts_by_its_status() {
    let run = Run::new(Fault::EndlessBody, 1).await;
    let (status, log) = run.start("").fed(&record(1, 7));
    assert!(status.success() && log.contains("delivered=1"), "{log}");
    assert_eq!(run.endpoint.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_repeated_attempt_has_the_same_version_and_key() {
    let run = Run::new(Fault::HalfClose, 1).await;
    run.delivers("", 2);
    let taken = run.endpoint.taken().remove(0);
    assert!(taken.header("profile-version").is_some(), "{taken:?}");
    assert_eq!(taken.header("idempotency-key").unwrap().len(), 32);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn garbage_without_end_closes_the_gate_with_a_reason_until_it_is_mended() {
    let run = Run::new(Fault::Answer("220 mail.example ESMTP\r\n".into()), usize::MAX).await;
    let mut process = run.start("");
    for id in 0..20 {
        process.write(&(record(id, 1) + "\n"));
    }
    let line = process.wait_for("closed");
    assert!(line.contains("in a row failed") && line.contains("not HTTP"), "{line}");
    run.endpoint.mend();
    process.close_stdin();
    let (status, log) = process.wait();
    assert!(status.success() && !log.contains("dead letter"), "{log}");
    assert_eq!(run.endpoint.taken().len(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_redirect_closes_the_gate_and_nothing_goes_to_its_target() {
    let target = Endpoint::start(Fault::ResetAtOnce, 0).await;
    let redirect = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: {}?token=x\r\ncontent-length: 0\r\n\r\n",
        target.url()
    );
    let run = Run::new(Fault::Answer(redirect), usize::MAX).await;
    let options = format!("{MAPPING}    auth: {{ strategy: bearer, token: hunter2 }}\n");
    let url = run.endpoint.url();
    let config = run.site.configure("run.yaml", "{ type: stdin }", &url, &options);
    let mut process = Process::run(&config);
    process.write(&(record(1, 1) + "\n"));
    let line = process.wait_for("redirect");
    assert!(line.contains(&target.url()) && line.contains("http_endpoint"), "{line}");
    assert!(!line.contains("token=x"), "{line}");
    run.endpoint.mend();
    process.close_stdin();
    let (status, log) = process.wait();
    assert!(status.success(), "{log}");
    assert_eq!(run.endpoint.taken()[0].header("authorization").unwrap(), "Bearer hunter2");
    assert_eq!(target.connections(), 0, "nobody was sent to the target");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_proxy_that_refuses_the_credentials_closes_the_gate_and_the_password_is_not_shown() {
    let answer = "HTTP/1.1 407 No\r\nproxy-authenticate: Basic realm=\"office\"\r\n\r\n";
    let proxy = Endpoint::start(Fault::Answer(answer.into()), usize::MAX).await;
    let run = Run::new(Fault::ResetAtOnce, 0).await;
    let through = format!("url: 'http://{}', user: me, password: hunter2", proxy.address);
    let mut process = run.start(&format!("proxy: {{ {through} }}"));
    process.write(&(record(1, 1) + "\n"));
    let line = process.wait_for("the gate is closed");
    assert!(line.contains("does not accept the credentials; check request.proxy"), "{line}");
    process.signal("TERM");
    let (status, log) = process.wait();
    assert!(status.success() && log.contains("waiting=1"), "{log}");
    assert!(!log.contains("hunter2") && !log.contains("bWU6"), "{log}");
    assert_eq!(run.endpoint.connections(), 0, "nothing goes past the proxy");
}

/// The stack of a sink for this endpoint, without repetitions.
fn stack(endpoint: &Endpoint, request: &str) -> Deliver {
    let site = Site::new();
    let options = format!("{MAPPING}    request: {{ retry_attempts: 0, {request} }}\n");
    let config = site.configure("run.yaml", "{ type: stdin }", &endpoint.url(), &options);
    let plan = config::load(&[config], &Env::default()).unwrap();
    let settings = &plan.sinks[0].delivery;
    let component = Component::detached();
    let gate = Gate::new(settings.request.retry_after_max, component.clone());
    delivery::stack(settings, &gate, &Clock::system(), &component).unwrap().service
}

/// What becomes of one attempt with this fault, and whether the endpoint may have taken it.
async fn attempt(fault: Fault, request: &str) -> (Result<Response<Bytes>, AttemptError>, bool) {
    let endpoint = Endpoint::start(fault, usize::MAX).await;
    let trail = Trail::default();
    let mut http = Request::post(endpoint.url()).body(Bytes::from("{}")).unwrap();
    http.extensions_mut().insert(trail.clone());
    let result = stack(&endpoint, request).oneshot(http).await;
    (result, trail.unknown())
}

#[tokio::test]
async fn what_may_have_been_taken_is_told_from_what_cannot_have_been() {
    for (fault, request, kind, unknown) in [
        (Fault::ResetAfterBody, "", "interrupted", true),
        (Fault::HalfClose, "", "interrupted", true),
        (Fault::Drip, "timeout_secs: 0.1", "timed_out", true),
        (Fault::Answer("garbage\r\n\r\n".into()), "", "unusable_answer", true),
        (Fault::EndlessHead, "", "unusable_answer", true),
        (Fault::ResetStream, "http2: always", "interrupted", true),
        (Fault::RefusedStream, "http2: always", "unprocessed", false),
    ] {
        let (result, may_be) = attempt(fault.clone(), request).await;
        let error = result.unwrap_err();
        assert_eq!((error.kind(), may_be), (kind, unknown), "{fault:?}: {error}");
    }
}
