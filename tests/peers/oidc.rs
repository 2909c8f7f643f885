use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, Uri};
use profile_http::{
    delivery::{AssertionSettings, ClientAuth, GrantType, JwtAlgorithm, OAuth2Settings, Secret},
    endpoint::{TlsSettings, Transport, TransportSettings},
};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::peer::{self, Peer};

/// The secret of every client, with characters that each way of sending it has to encode.
pub(crate) const SECRET: &str = "s3cret +/=%&:\"";

/// The password of the user `ada`.
pub(crate) const PASSWORD: &str = "pass & word=%";

/// Making an RSA key takes a while, so that all tests share one.
static RSA: LazyLock<KeyPair> =
    LazyLock::new(|| KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap());
static EC: LazyLock<KeyPair> =
    LazyLock::new(|| KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap());

pub(crate) const ALGORITHMS: [JwtAlgorithm; 3] =
    [JwtAlgorithm::Rs256, JwtAlgorithm::Es256, JwtAlgorithm::Ps256];

/// How a client of the server proves itself.
#[derive(Clone, Copy)]
pub(crate) enum Client {
    InBody,
    InHeader,
    Signing(JwtAlgorithm),
}

impl Client {
    pub(crate) fn id(self) -> String {
        match self {
            Self::InBody => "in-body".into(),
            Self::InHeader => "in-header".into(),
            Self::Signing(algorithm) => format!("by-{algorithm}"),
        }
    }
}

/// The key that the client of an algorithm signs with.
fn key(algorithm: JwtAlgorithm) -> &'static KeyPair {
    match algorithm {
        JwtAlgorithm::Rs256 | JwtAlgorithm::Ps256 => &RSA,
        JwtAlgorithm::Es256 => &EC,
    }
}

/// That key in PEM form.
pub(crate) fn private_key(algorithm: JwtAlgorithm) -> String {
    key(algorithm).serialize_pem()
}

/// An OAuth2 server with the clients of [`Client`], and `for-a-user` and `not-allowed`.
pub(crate) struct Oidc {
    _peer: Peer,
    address: String,
    keys: TempDir,
}

impl Oidc {
    /// A server whose tokens last so long; none if it is not installed.
    pub(crate) fn start(token_seconds: u32) -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers");
        if !folder.join("node_modules/oidc-provider").exists() {
            peer::missing("oidc-provider");
            return None;
        }
        let public = ALGORITHMS
            .map(|algorithm| (algorithm.to_string(), key(algorithm).public_key_pem().into()));
        let options = serde_json::json!({
            "clientSecret": SECRET,
            "userPassword": PASSWORD,
            "publicKeys": serde_json::Map::from_iter(public),
            "tokenSeconds": token_seconds,
        });
        let started = Peer::start(
            Command::new("node")
                .arg(folder.join("oidc.mjs"))
                .env("OIDC_OPTIONS", options.to_string())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                // Where it warns that it is set up for tests.
                .stderr(Stdio::null()),
            None,
        );
        let Ok(mut peer) = started else {
            peer::missing("Node.js");
            return None;
        };
        let mut address = String::new();
        let output = peer.child().stdout.take().unwrap();
        BufReader::new(output).read_line(&mut address).unwrap();
        let address = address.trim().to_owned();
        assert!(
            address.starts_with("http://"),
            "oidc.mjs did not start; run it by hand to see why"
        );
        let keys = TempDir::new().unwrap();
        for algorithm in ALGORITHMS {
            fs::write(keys.path().join(algorithm.name()), private_key(algorithm)).unwrap();
        }
        Some(Self { _peer: peer, address, keys })
    }

    fn key_file(&self, algorithm: JwtAlgorithm) -> PathBuf {
        self.keys.path().join(algorithm.name())
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// What a client needs to get a token that may write profiles.
    pub(crate) fn settings(&self, client: Client) -> OAuth2Settings {
        OAuth2Settings {
            auth_endpoint: self.uri("/token"),
            grant: GrantType::ClientCredentials,
            client_id: client.id(),
            client_auth: match client {
                Client::InBody => ClientAuth::Body { secret: Secret::Text(SECRET.into()) },
                Client::InHeader => {
                    ClientAuth::Basic { secret: Secret::Text(SECRET.into()), encode: true }
                }
                Client::Signing(algorithm) => ClientAuth::PrivateKeyJwt(AssertionSettings {
                    key_file: self.key_file(algorithm),
                    key_id: Some(algorithm.to_string()),
                    algorithm,
                    audience: self.uri("/token").to_string(),
                    lifetime: Duration::from_mins(5),
                }),
            },
            scopes: vec!["profiles.write".into()],
            extra_params: vec![("resource".into(), "https://api.example".into())],
            token_lifetime: Duration::from_mins(5),
            refresh_before: Duration::from_mins(1),
            timeout: Duration::from_secs(10),
            tls: TlsSettings::default(),
        }
    }

    /// Directives for nginx that let only requests through whose token this server knows.
    pub(crate) fn guard(&self) -> String {
        format!(
            "auth_request /allowed;
            location = /allowed {{
                internal;
                proxy_pass {};
                proxy_pass_request_body off;
                proxy_set_header Content-Length \"\";
            }}",
            self.address
        )
    }

    /// How many tokens it has granted.
    pub(crate) async fn grants(&self) -> usize {
        let request = Request::get(self.uri("/grants")).body(Bytes::new()).unwrap();
        let answer = send(request).await;
        String::from_utf8_lossy(answer.body()).parse().unwrap()
    }

    /// What it says about a token (RFC 7662).
    pub(crate) async fn introspect(&self, token: &str) -> serde_json::Value {
        let answer = self.tell("/token/introspection", token).await;
        serde_json::from_slice(&answer).unwrap()
    }

    /// Declares a token void (RFC 7009).
    pub(crate) async fn revoke(&self, token: &str) {
        self.tell("/token/revocation", token).await;
    }

    async fn tell(&self, path: &str, token: &str) -> Bytes {
        let form = [("client_id", "in-body"), ("client_secret", SECRET), ("token", token)];
        let body = oauth2::url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = Request::post(self.uri(path))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.into())
            .unwrap();
        let answer = send(request).await;
        assert_eq!(answer.status(), 200);
        answer.into_body()
    }

    fn uri(&self, path: &str) -> Uri {
        format!("{}{path}", self.address).parse().unwrap()
    }
}

async fn send(request: Request<Bytes>) -> Response<Bytes> {
    let transport = Transport::new(TransportSettings::default()).unwrap();
    transport.oneshot(request).await.unwrap()
}
