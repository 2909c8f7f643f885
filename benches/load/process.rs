//! The sink and the endpoint as processes.

use std::{
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::{Child, ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;
use tempfile::TempDir;

/// A process that ends, by its id, when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    _process: Running,
}

impl Endpoint {
    pub(crate) fn start() -> Self {
        let address = free_address();
        let child = Command::new(env!("CARGO_BIN_EXE_profile-http"))
            .args(["endpoint", "--quiet", "--address", &address.to_string()])
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.expect("the program was built");
        wait_for(&mut child, "listening");
        Self { address, _process: Running(child) }
    }

    /// Profiles that it took.
    pub(crate) async fn taken(&self) -> u64 {
        self.stats().await["taken"].as_u64().expect("a number")
    }

    pub(crate) async fn wait_taken(&self, count: u64) {
        while self.taken().await < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// From when a version was minted to when it arrived: median and 99th percentile.
    pub(crate) async fn latency_ms(&self) -> (f64, f64) {
        let stats = self.stats().await;
        let of = |name: &str| stats["latency_ms"][name].as_f64().expect("a number");
        (of("p50"), of("p99"))
    }

    async fn stats(&self) -> Value {
        self.get("/_stats").await
    }

    async fn get(&self, path: &str) -> Value {
        let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
        let uri = format!("http://{}{path}", self.address).parse().expect("a URL");
        let answer = client.get(uri).await.expect("an answer");
        let text = answer.into_body().collect().await.expect("a body").to_bytes();
        serde_json::from_slice(&text).expect("JSON")
    }
}

pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    process: Running,
    _dir: TempDir,
}

impl Sink {
    /// Starts a sink with an HTTP source; `options` are lines of YAML.
    pub(crate) fn start(endpoint: &Endpoint, options: &str) -> Self {
        Self::start_with("http_server", endpoint, options)
    }

    /// Starts a sink with a source of this type.
    pub(crate) fn start_with(source: &str, endpoint: &Endpoint, options: &str) -> Self {
        let address = free_address();
        let (listen, ready) = match source {
            "stdin" => (String::new(), "delivering"),
            _ => (format!(", address: '{address}'"), "listening"),
        };
        let dir = tempfile::tempdir().expect("a directory");
        let config = dir.path().join("load.yaml");
        let text = format!(
            "data_dir: {}\napi: {{ enabled: false }}\nsources:\n  in: {{ type: {source}{listen} }}\n\
             sinks:\n  load:\n    type: profile_http\n    inputs: [in]\n    \
             http_endpoint: http://{}/profiles\n{options}",
            dir.path().join("data").display(),
            endpoint.address
        );
        std::fs::write(&config, text).expect("a writable directory");
        let child = Command::new(env!("CARGO_BIN_EXE_profile-http"))
            .arg("run")
            .arg("-c")
            .arg(&config)
            .env("PROFILE_HTTP_LOG", "info")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.expect("the program was built");
        wait_for(&mut child, ready);
        Self { address, process: Running(child), _dir: dir }
    }

    /// The process, to measure it by.
    pub(crate) fn id(&self) -> u32 {
        self.process.0.id()
    }

    /// The other end of its stdin.
    pub(crate) fn take_input(&mut self) -> ChildStdin {
        self.process.0.stdin.take().expect("it is piped, and given back")
    }

    pub(crate) fn put_input(&mut self, input: ChildStdin) {
        self.process.0.stdin = Some(input);
    }

    /// Ends its stdin.
    pub(crate) fn end_input(&mut self) {
        drop(self.take_input());
    }

    /// Waits for its end, after which it can still be measured.
    pub(crate) async fn ended(&self) {
        while stat(self.id())[0] != "Z" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn stop(mut self) {
        let id = self.process.0.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        let _ = self.process.0.wait();
    }
}

/// What something took.
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    /// CPU time of one process, in user and kernel mode.
    pub(crate) cpu: Duration,
}

/// Measures one process from a moment on.
pub(crate) struct Watch {
    process: u32,
    started: Instant,
    cpu: Duration,
}

impl Watch {
    #[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
    pub(crate) fn on(process: u32) -> Self {
        Self { process, started: Instant::now(), cpu: cpu(process) }
    }

    pub(crate) fn read(&self) -> Cost {
        let cpu = cpu(self.process).saturating_sub(self.cpu);
        Cost { wall: self.started.elapsed(), cpu }
    }
}

/// CPU time of a process.
fn cpu(process: u32) -> Duration {
    let fields = stat(process);
    let ticks = |index: usize| -> u32 { fields[index].parse().expect("ticks") };
    // utime and stime, the 14th and 15th of all fields, in hundredths of a second.
    Duration::from_millis(10) * (ticks(11) + ticks(12))
}

/// The kernel's own account of a process (proc(5), `stat`), from its state on.
fn stat(process: u32) -> Vec<String> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("Linux");
    let fields = stat.rsplit(')').next().expect("the fields after the name");
    fields.split_whitespace().map(str::to_owned).collect()
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address")
}

/// Waits for a line on stderr, and goes on reading it so that the process never blocks on it.
fn wait_for(child: &mut Child, text: &str) {
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let found = lines.by_ref().map_while(Result::ok).any(|line| line.contains(text));
    assert!(found, "the process ended");
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if line.contains("WARN") || line.contains("ERROR") {
                eprintln!("{line}");
            }
        }
    });
}
