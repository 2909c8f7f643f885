use std::{
    fs,
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

use profile_http::{
    delivery::Secret,
    endpoint::{Proxy, ProxySettings},
};
use tempfile::TempDir;

use crate::{
    peer::{self, Peer},
    support::{PATIENCE, free_address},
};

/// User and password of those that it lets through.
pub(crate) const USER: &str = "profiles";
pub(crate) const PASSWORD: &str = "pr0xypass";

/// An HTTP proxy on the loopback interface.
pub(crate) struct Tinyproxy {
    _peer: Peer,
    _folder: TempDir,
    pub(crate) address: SocketAddr,
    log: mpsc::Receiver<String>,
}

impl Tinyproxy {
    /// A proxy with these lines in its configuration; none if it is not installed.
    pub(crate) fn start(lines: &str) -> Option<Self> {
        let address = free_address();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tinyproxy.conf");
        let port = address.port();
        let text = format!("Port {port}\nListen 127.0.0.1\nTimeout 600\nLogLevel Info\n{lines}\n");
        fs::write(&file, text).unwrap();
        let mut command = Command::new("tinyproxy");
        command.arg("-d").arg("-c").arg(&file).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut peer = match Peer::start(&mut command, None) {
            Ok(peer) => peer,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                peer::missing("tinyproxy");
                return None;
            }
            Err(error) => panic!("cannot start tinyproxy: {error}"),
        };
        let output = BufReader::new(peer.child().stdout.take().unwrap());
        let (logger, log) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // The test may have ended.
                let _ = logger.send(line);
            }
        });
        while !log.recv_timeout(PATIENCE).expect("it starts").contains("Accepting connections") {}
        Some(Self { _peer: peer, _folder: folder, address, log })
    }

    /// A proxy that lets only the user through who knows the password.
    pub(crate) fn with_password() -> Option<Self> {
        Self::start(&format!("BasicAuth {USER} {PASSWORD}"))
    }

    /// All connections go through it.
    pub(crate) fn settings(&self, password: Option<&str>) -> ProxySettings {
        let proxy = Proxy {
            url: format!("http://{}", self.address).parse().unwrap(),
            user: password.map(|_| USER.to_owned()),
            password: password.map(|password| Secret::Text(password.into())),
        };
        ProxySettings { https: Some(proxy.clone()), http: Some(proxy), no_proxy: Vec::new() }
    }

    /// What was asked of it so far, such as `CONNECT localhost:443 HTTP/1.1`.
    pub(crate) fn requests(&self) -> Vec<String> {
        let requests = self.log.try_iter().filter_map(|line| {
            let (_, request) = line.split_once("Request (file descriptor ")?;
            Some(request.split_once("): ")?.1.to_owned())
        });
        requests.collect()
    }
}
