//! A sink with an API, and what asks it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Command, Output},
};

use profile_http::local_endpoint::{Behaviour, LocalEndpoint, Settings};
use serde_json::Value;

use crate::support::{MAPPING, PATIENCE, Process, Sender, Site, free_address, record};

/// A sink `crm` with an HTTP source and an API, before an endpoint.
pub(crate) struct Looked {
    pub(crate) endpoint: LocalEndpoint,
    pub(crate) site: Site,
    pub(crate) config: PathBuf,
    pub(crate) api: SocketAddr,
    pub(crate) sender: Sender,
}

impl Looked {
    /// `options` are those of `api` besides its address.
    pub(crate) async fn at(behaviour: Behaviour, options: &str) -> Self {
        let settings = Settings { behaviour, keep_bodies: true, ..Settings::default() };
        let endpoint = LocalEndpoint::start(settings).await.unwrap();
        let (site, source, api) = (Site::new(), free_address(), free_address());
        let source_options = format!("{{ type: http_server, address: {source} }}");
        let config = site.configure("run.yaml", &source_options, &endpoint.url(), MAPPING);
        let text = std::fs::read_to_string(&config).unwrap();
        let with_api = format!("api: {{ address: '{api}'{options} }}");
        std::fs::write(&config, text.replace("api: { enabled: false }", &with_api)).unwrap();
        Self { endpoint, site, config, api, sender: Sender::new(source) }
    }

    pub(crate) fn start(&self) -> Process {
        let mut process = Process::run(&self.config);
        process.wait_for("listening");
        process
    }

    pub(crate) async fn send(&self, id: u64, n: u64) {
        self.sender.send(&[record(id, n)]).await;
    }

    /// Runs a command with the configuration.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_profile-http"))
            .args(arguments)
            .arg("-c")
            .arg(&self.config)
            .env_remove("PROFILE_HTTP_CONFIG")
            .env_remove("PROFILE_HTTP_LOG")
            .output()
            .unwrap()
    }

    /// What a command that succeeds prints with `--json`.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.command(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Asks for the status of the sink until it is so.
    pub(crate) async fn until(&self, is_so: impl Fn(&Value) -> bool) -> Value {
        let looking = async {
            loop {
                let (status, body) = self.get("/api/v1/sinks/crm");
                if status == 200 && is_so(&body) {
                    return body;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.expect("the sink is in that state")
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        let (status, body) = self.call("GET", path, &[("host", "localhost")]);
        (status, serde_json::from_str(&body).unwrap())
    }

    /// The status and body of the answer to a request with exactly these headers.
    pub(crate) fn call(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        call(self.api, method, path, headers)
    }
}

/// The status and body of the answer to a request with exactly these headers.
pub(crate) fn call(
    api: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (u16, String) {
    let mut stream = TcpStream::connect(api).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nconnection: close\r\n").unwrap();
    for (name, value) in headers {
        write!(stream, "{name}: {value}\r\n").unwrap();
    }
    stream.write_all(b"\r\n").unwrap();
    let mut answer = BufReader::new(stream);
    let mut line = String::new();
    answer.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).unwrap().parse().unwrap();
    let mut rest = String::new();
    answer.read_to_string(&mut rest).unwrap();
    let (_, body) = rest.split_once("\r\n\r\n").unwrap();
    (status, body.to_owned())
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
