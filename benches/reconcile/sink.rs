//! The sink as a process, over one store under one mapping after the other.

use std::{
    fmt::Write,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use profile_http::local_endpoint::LocalEndpoint;
use serde_json::Value;
use tempfile::TempDir;

/// Where the sink lies and what it talks to, from run to run.
pub(crate) struct Site {
    dir: TempDir,
    source: SocketAddr,
    api: SocketAddr,
    endpoint: String,
}

pub(crate) struct Sink {
    child: Child,
    source: SocketAddr,
    client: Client<HttpConnector, Empty<Bytes>>,
    status: http::Uri,
    log: Arc<Mutex<Vec<String>>>,
}

impl Sink {
    pub(crate) fn site(endpoint: &LocalEndpoint) -> Site {
        let dir = tempfile::tempdir().expect("a directory");
        Site { dir, source: free_address(), api: free_address(), endpoint: endpoint.url() }
    }

    /// Runs with these segments mapped, until it listens.
    pub(crate) fn start(site: &Site, segments: &[&str]) -> Self {
        let Site { dir, source, api, endpoint } = site;
        let mut text = String::new();
        write!(
            text,
            "data_dir: {}\napi: {{ address: '{api}' }}\nsources:\n  in: {{ type: http_server, \
             address: '{source}' }}\nsinks:\n  bench:\n    type: profile_http\n    inputs: [in]\n    \
             http_endpoint: {endpoint}\n    profile: {{ key: identityMap.crmid }}\n    export:\n      \
             attributes: [person.name, personalEmail.address, loyalty.tier]\n      segments: [{}]\n",
            dir.path().join("data").display(),
            segments.join(", ")
        )
        .expect("text");
        let config = dir.path().join("run.yaml");
        std::fs::write(&config, text).expect("a writable directory");
        let child = Command::new(env!("CARGO_BIN_EXE_profile-http"))
            .arg("run")
            .arg("-c")
            .arg(&config)
            .env("PROFILE_HTTP_LOG", "info")
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.expect("the program was built");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let found = lines.by_ref().map_while(Result::ok).any(|line| line.contains("listening"));
        assert!(found, "the process ended");
        let log = Arc::new(Mutex::new(Vec::new()));
        let kept = log.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if line.contains("WARN") || line.contains("ERROR") {
                    eprintln!("{line}");
                }
                kept.lock().expect("no panic").push(line);
            }
        });
        let client = Client::builder(TokioExecutor::new()).build_http();
        let status = format!("http://{api}/api/v1/sinks/bench").parse().expect("a URL");
        Self { child, source: *source, client, status, log }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.source
    }

    async fn status(&self) -> Value {
        let answer = self.client.get(self.status.clone()).await.expect("an answer");
        let text = answer.into_body().collect().await.expect("a body").to_bytes();
        serde_json::from_slice(&text).expect("JSON")
    }

    /// Profiles that are yet to be reconciled.
    pub(crate) async fn left(&self) -> u64 {
        self.status().await["reconcile_remaining"].as_u64().expect("a number")
    }

    pub(crate) async fn until_reconciled(&self) {
        self.until_left(0).await;
    }

    /// Waits until no more than so many are yet to be reconciled.
    pub(crate) async fn until_left(&self, profiles: u32) {
        self.until(|status| {
            let left = status["reconcile_remaining"].as_u64().expect("a number");
            status["profiles"]["complete"] == true && left <= profiles.into()
        })
        .await;
    }

    pub(crate) async fn until_delivered(&self) {
        self.until(|status| {
            status["profiles"]["complete"] == true
                && status["reconcile_remaining"] == 0
                && status["profiles"]["due"] == 0
        })
        .await;
    }

    async fn until(&self, is_so: impl Fn(&Value) -> bool) {
        while !is_so(&self.status().await) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The last line of its log that says this.
    pub(crate) fn said(&self, what: &str) -> String {
        let log = self.log.lock().expect("no panic");
        let line = log.iter().rev().find(|line| line.contains(what));
        line.cloned().unwrap_or_default()
    }

    pub(crate) fn stop(&mut self) {
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        let _ = self.child.wait();
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address")
}
