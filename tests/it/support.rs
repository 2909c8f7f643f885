//! Running the program and talking to it.

use std::{
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use profile_http::local_endpoint::{LocalEndpoint, Settings};
use tempfile::TempDir;

/// Longer than anything here takes when it works.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A directory with a configuration and a store.
pub(crate) struct Site {
    dir: TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file and returns where it lies.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Writes a configuration with one sink `crm` that delivers to `endpoint`. `source` is the
    /// source `in`, `sink` the options of the sink besides, each in YAML flow style. There is no
    /// API, since tests run beside each other.
    pub(crate) fn configure(
        &self,
        name: &str,
        source: &str,
        endpoint: &str,
        sink: &str,
    ) -> PathBuf {
        let data_dir = self.path("data");
        let text = format!(
            "data_dir: {}\napi: {{ enabled: false }}\nsources:\n  in: {source}\nsinks:\n  crm:\n    \
             type: profile_http\n    inputs: [in]\n    http_endpoint: {endpoint:?}\n{sink}",
            data_dir.display()
        );
        self.write(name, &text)
    }
}

/// What most tests map: two attributes, and every profile is followed.
pub(crate) const MAPPING: &str = "    profile: { key: identityMap.crmid }\n    \
                           export: { attributes: [name, n] }\n";

/// A record of that mapping.
pub(crate) fn record(id: u64, n: u64) -> String {
    format!(r#"{{"identityMap":{{"crmid":[{{"id":"c-{id}"}}]}},"name":"p{id}","n":{n}}}"#)
}

/// A sink that takes from a source that listens.
pub(crate) struct Place {
    pub(crate) endpoint: LocalEndpoint,
    pub(crate) arrived: tokio::sync::mpsc::Receiver<Bytes>,
    pub(crate) site: Site,
    pub(crate) address: SocketAddr,
}

impl Place {
    pub(crate) async fn new() -> Self {
        let (arrivals, arrived) = tokio::sync::mpsc::channel(10_000);
        let settings = Settings { arrivals: Some(arrivals), ..Settings::default() };
        let endpoint = LocalEndpoint::start(settings).await.unwrap();
        Self { endpoint, arrived, site: Site::new(), address: free_address() }
    }

    /// The same before an endpoint that nobody listens at.
    pub(crate) async fn quiet() -> Self {
        let mut place = Self::new().await;
        place.endpoint = LocalEndpoint::start(Settings::default()).await.unwrap();
        place
    }

    /// Runs with a source of this type, which has these options besides, and this mapping.
    pub(crate) fn run(&self, source: &str, options: &str, mapping: &str) -> Process {
        let source = format!("{{ type: {source}, address: '{}'{options} }}", self.address);
        let config = self.site.configure("run.yaml", &source, &self.endpoint.url(), mapping);
        let mut process = Process::run(&config);
        process.wait_for("listening");
        process
    }
}

/// Held by whoever opens as many files as there may be.
pub(crate) static MANY_FILES: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The memory of a process, in MiB: `VmRSS:` now, `VmHWM:` at its most.
pub(crate) fn memory(process: &Process, which: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with(which)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
}

/// How many more files this process may open, and so may its children.
pub(crate) fn spare_files() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft: usize = line.split_whitespace().nth(3).unwrap().parse().unwrap_or(1 << 20);
    soft.saturating_sub(300)
}

/// A running `profile-http`, ended by its id when it is dropped.
pub(crate) struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
    seen: Vec<String>,
    reader: Option<JoinHandle<()>>,
}

impl Process {
    pub(crate) fn start(args: &[&str], config: Option<&Path>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_profile-http"));
        command.args(args);
        if let Some(config) = config {
            command.arg("-c").arg(config);
        }
        command.stdout(Stdio::null());
        Self::spawn(command)
    }

    /// Starts a command as an operator would, with what it logs by default.
    pub(crate) fn spawn(mut command: Command) -> Self {
        command.env_remove("PROFILE_HTTP_CONFIG").env_remove("PROFILE_HTTP_LOG");
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, stdin, lines, seen: Vec::new(), reader: Some(reader) }
    }

    pub(crate) fn run(config: &Path) -> Self {
        Self::start(&["run"], Some(config))
    }

    /// Runs with `input` on stdin until everything is delivered.
    pub(crate) fn run_to_end(config: &Path, input: &str) {
        let (status, log) = Self::run(config).fed(input);
        assert!(status.success(), "{status}: {log}");
    }

    /// Gives it `input` as all that comes on stdin, and waits for its end.
    pub(crate) fn fed(mut self, input: &str) -> (ExitStatus, String) {
        // One that ends at its start does not read it.
        let _ = self.stdin.as_mut().unwrap().write_all(input.as_bytes());
        self.close_stdin();
        self.wait()
    }

    pub(crate) fn write(&mut self, input: &str) {
        self.stdin.as_mut().unwrap().write_all(input.as_bytes()).unwrap();
    }

    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits for a line on stderr that contains `text`, and returns it.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
                panic!("no line with {text:?} among:\n{}", self.seen.join("\n"))
            };
            self.seen.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args([format!("-{signal}"), pid]).status().unwrap();
        assert!(status.success());
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// What it prints on stdout, if that is piped.
    pub(crate) fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().unwrap()
    }

    /// Waits for its end and returns its status and what it said on stderr.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("it goes on after:\n{}", self.seen.join("\n"))
                }
            }
        }
        self.reader.take().unwrap().join().unwrap();
        (self.child.wait().unwrap(), self.seen.join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

/// Posts records to an HTTP source.
#[derive(Clone)]
pub(crate) struct Sender {
    client: Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
    url: String,
}

impl Sender {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, address, url: format!("http://{address}/") }
    }

    /// Where it posts to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The answer's status and body; `None` when there was none.
    pub(crate) async fn post(&self, body: impl Into<Bytes>) -> Option<(StatusCode, String)> {
        self.post_as(&[("content-type", "application/x-ndjson")], body).await
    }

    /// The same with headers of one's own.
    pub(crate) async fn post_as(
        &self,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Option<(StatusCode, String)> {
        let mut request = Request::post(&self.url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let answer = self.client.request(request).await.ok()?;
        let status = answer.status();
        let body = answer.into_body().collect().await.ok()?.to_bytes();
        Some((status, String::from_utf8_lossy(&body).into_owned()))
    }

    /// Posts records that have to be taken.
    pub(crate) async fn send(&self, records: &[String]) -> serde_json::Value {
        let (status, body) = self.post(records.join("\n")).await.expect("an answer");
        assert_eq!(status, StatusCode::OK, "{body}");
        serde_json::from_str(&body).unwrap()
    }
}
