use std::{
    fmt::Write,
    fs, io,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::peer::{self, Peer};

/// An nginx that speaks TLS on the loopback interface with a certificate of its own authority.
///
/// Each answer carries `X-Connection`, the number of the connection that it came over.
pub(crate) struct Nginx {
    _peer: Peer,
    folder: TempDir,
    address: SocketAddr,
}

impl Nginx {
    /// An nginx with these directives in its `server` block; none if it is not installed.
    pub(crate) fn start(directives: &str) -> Option<Self> {
        // nginx takes a socket that it inherits. So there is no moment at which the port is free
        // for others, and none at which a connection is refused.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        write_certificates(&folder);
        fs::write(folder.path().join("nginx.conf"), configuration(address, directives)).unwrap();
        let command = || {
            let mut command = Command::new("nginx");
            command.args(["-e", "error.log", "-c", "nginx.conf", "-p"]).arg(folder.path());
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let socket = Stdio::from(OwnedFd::from(listener));
        let mut stop = command();
        stop.args(["-s", "stop"]);
        match Peer::start(command().env("NGINX", "0;").stdin(socket), Some(stop)) {
            Ok(peer) => Some(Self { _peer: peer, folder, address }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                peer::missing("nginx");
                None
            }
            Err(error) => panic!("cannot start nginx: {error}"),
        }
    }

    /// `https://localhost:PORT` and a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    /// The authority of its certificate.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
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

fn configuration(address: SocketAddr, directives: &str) -> String {
    let mut places = String::new();
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(places, "{kind}_temp_path {kind};").unwrap();
    }
    format!(
        "daemon off;
        worker_processes 1;
        user root;
        pid nginx.pid;
        events {{}}
        http {{
            access_log off;
            {places}
            server {{
                listen {address} ssl;
                ssl_certificate server.pem;
                ssl_certificate_key server.key;
                add_header X-Connection $connection always;
                {directives}
            }}
        }}
        "
    )
}

/// An authority, and a certificate for `localhost` from it.
fn write_certificates(folder: &TempDir) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);

    let key = KeyPair::generate().unwrap();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    for (name, pem) in [
        ("ca.pem", root.pem()),
        ("server.pem", certificate.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        fs::write(folder.path().join(name), pem).unwrap();
    }
}
