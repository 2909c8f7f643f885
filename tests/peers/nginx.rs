use std::{
    fmt::Write,
    fs,
    io::{self, BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
};

use profile_http::endpoint::IdentitySettings;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::net::TcpSocket;

use crate::{
    peer::{self, Peer},
    support::PATIENCE,
};

/// Takes every profile. For this nginx reads the body, which it does not to answer by itself.
pub(crate) const TAKE: &str = "location / { proxy_pass http://taker; }";

/// An nginx that speaks TLS on the loopback interface with a certificate of its own authority.
///
/// Each answer carries `X-Connection`, the number of the connection that it came over.
pub(crate) struct Nginx {
    running: Option<Running>,
    folder: TempDir,
    authority: Issuer<'static, KeyPair>,
    address: SocketAddr,
    /// What follows the address in `listen`.
    listen: &'static str,
    /// Bound but not listening, so that nobody else gets the port while nginx is stopped.
    _port: TcpSocket,
    log: mpsc::Receiver<Answered>,
    logger: mpsc::Sender<Answered>,
}

/// A request that nginx has answered, as its access log has it.
#[derive(Debug, Deserialize)]
pub(crate) struct Answered {
    pub(crate) status: String,
    pub(crate) connection: String,
    pub(crate) idempotency_key: String,
    pub(crate) profile_version: String,
    pub(crate) x_source: String,
    pub(crate) x_tenant: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub(crate) protocol: String,
    /// The subject of the client's certificate.
    pub(crate) client: String,
    /// Empty where nginx did not read it.
    pub(crate) body: String,
}

struct Running {
    peer: Peer,
    reader: JoinHandle<()>,
}

/// Whether the certificate that nginx shows is good.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Certificate {
    Valid,
    /// Since 2020.
    Expired,
}

impl Nginx {
    /// An nginx with these directives in its `server` block; none if it is not installed.
    pub(crate) fn start(directives: &str) -> Option<Self> {
        Self::start_with(Certificate::Valid, directives)
    }

    pub(crate) fn start_with(certificate: Certificate, directives: &str) -> Option<Self> {
        Self::listening("ssl", certificate, directives)
    }

    /// An nginx that offers HTTP/2 and takes nothing else.
    pub(crate) fn start_http2(directives: &str) -> Option<Self> {
        let refuse = "if ($server_protocol != HTTP/2.0) { return 426; }";
        Self::listening("ssl http2", Certificate::Valid, &format!("{refuse} {directives}"))
    }

    fn listening(listen: &'static str, certificate: Certificate, directives: &str) -> Option<Self> {
        let port = TcpSocket::new_v4().unwrap();
        port.set_reuseaddr(true).unwrap();
        port.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (logger, log) = mpsc::channel();
        let mut nginx = Self {
            running: None,
            authority: write_authority(folder.path()),
            folder,
            address: port.local_addr().unwrap(),
            listen,
            _port: port,
            log,
            logger,
        };
        nginx.write_certificate(certificate);
        match nginx.start_again(directives) {
            Ok(()) => Some(nginx),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                peer::missing("nginx");
                None
            }
            Err(error) => panic!("cannot start nginx: {error}"),
        }
    }

    /// Starts it after it was stopped, at the same port.
    pub(crate) fn start_again(&mut self, directives: &str) -> io::Result<()> {
        let configuration =
            configuration(self.folder.path(), self.address, self.listen, directives);
        fs::write(self.folder.path().join("nginx.conf"), configuration).unwrap();
        // nginx takes a socket that it inherits, so that from now on no connection is refused.
        let listener = TcpListener::bind(self.address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut stop = self.command();
        stop.args(["-s", "stop"]).stdout(Stdio::null());
        let mut command = self.command();
        command.env("NGINX", "0;").stdin(OwnedFd::from(listener)).stdout(Stdio::piped());
        let mut peer = Peer::start(&mut command, Some(stop))?;
        let output = BufReader::new(peer.child().stdout.take().unwrap());
        let logger = self.logger.clone();
        let reader = thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // The test may have ended.
                let _ = logger.send(serde_json::from_str(&line).unwrap());
            }
        });
        self.running = Some(Running { peer, reader });
        Ok(())
    }

    /// Stops it at once: requests that it has begun get no answer, connections are refused.
    pub(crate) fn stop(&mut self) {
        let Running { peer, reader } = self.running.take().unwrap();
        drop(peer);
        reader.join().unwrap();
    }

    /// Replaces the certificate by a good one of the same authority, without stopping.
    pub(crate) fn renew_certificate(&self) {
        self.write_certificate(Certificate::Valid);
        let reload = self.command().args(["-s", "reload"]).status().unwrap();
        assert!(reload.success());
    }

    /// Waits for the next request that it answers.
    pub(crate) fn answered(&self) -> Answered {
        self.log.recv_timeout(PATIENCE).expect("a request")
    }

    /// Stops it, and returns the requests that it has answered besides those returned before.
    pub(crate) fn rest(mut self) -> Vec<Answered> {
        self.stop();
        self.log.try_iter().collect()
    }

    /// `https://localhost:PORT` and a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    /// The authority of its certificate.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Writes a certificate of its authority for a client, with the key, and returns where they
    /// lie. Each time it is another pair in the same place.
    pub(crate) fn write_client(&self, name: &str) -> IdentitySettings {
        write_client(self.folder.path(), name, &self.authority)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("nginx");
        command.args(["-e", "error.log", "-c", "nginx.conf", "-p"]).arg(self.folder.path());
        command.stderr(Stdio::null());
        command
    }

    fn write_certificate(&self, certificate: Certificate) {
        let key = KeyPair::generate().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        if certificate == Certificate::Expired {
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        fs::write(self.folder.path().join("server.pem"), certificate.pem()).unwrap();
        fs::write(self.folder.path().join("server.key"), key.serialize_pem()).unwrap();
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if thread::panicking()
            && let Ok(log) = fs::read_to_string(self.folder.path().join("error.log"))
        {
            eprintln!("{log}");
        }
    }
}

/// The log goes to stdout, which can be waited for.
fn configuration(folder: &Path, address: SocketAddr, listen: &str, directives: &str) -> String {
    let mut places = String::new();
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(places, "{kind}_temp_path {kind};").unwrap();
    }
    let mut fields = String::new();
    for (name, variable) in [
        ("status", "status"),
        ("connection", "connection"),
        ("idempotency_key", "http_idempotency_key"),
        ("profile_version", "http_profile_version"),
        ("x_source", "http_x_source"),
        ("x_tenant", "http_x_tenant"),
        ("protocol", "server_protocol"),
        ("client", "ssl_client_s_dn"),
    ] {
        write!(fields, r#""{name}":"${variable}","#).unwrap();
    }
    let taker = folder.join("taker.sock");
    let taker = taker.display();
    format!(
        "daemon off;
        worker_processes 1;
        user root;
        pid nginx.pid;
        events {{}}
        http {{
            access_log off;
            log_format answered escape=json '{{{fields}\"body\":\"$request_body\"}}';
            limit_req_zone $binary_remote_addr zone=fifty:1m rate=50r/s;
            {places}
            server {{
                listen {address} {listen};
                ssl_certificate server.pem;
                ssl_certificate_key server.key;
                access_log /dev/stdout answered;
                add_header X-Connection $connection always;
                {directives}
            }}
            upstream taker {{ server unix:{taker}; }}
            server {{
                listen unix:{taker};
                return 204;
            }}
        }}
        "
    )
}

/// Directives that let 50 requests a second through and answer 429 to the others.
pub(crate) const FIFTY_A_SECOND: &str = "limit_req zone=fifty; limit_req_status 429;";

/// Directives that let only clients of its authority in.
pub(crate) const CLIENTS_ONLY: &str = "ssl_client_certificate ca.pem; ssl_verify_client on;";

/// Writes a client's certificate and its key.
pub(crate) fn write_client(
    folder: &Path,
    name: &str,
    issuer: &Issuer<'static, KeyPair>,
) -> IdentitySettings {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.signed_by(&key, issuer).unwrap();
    let settings = IdentitySettings {
        crt_file: folder.join("client.pem"),
        key_file: folder.join("client.key"),
        key_pass: None,
    };
    fs::write(&settings.crt_file, certificate.pem()).unwrap();
    fs::write(&settings.key_file, key.serialize_pem()).unwrap();
    settings
}

pub(crate) fn write_authority(folder: &Path) -> Issuer<'static, KeyPair> {
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    fs::write(folder.join("ca.pem"), authority.self_signed(&key).unwrap().pem()).unwrap();
    Issuer::new(authority, key)
}
