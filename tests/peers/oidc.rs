use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, Uri};
use profile_http::{
    delivery::{ClientAuth, OAuth2Settings, Secret},
    endpoint::{TlsSettings, Transport, TransportSettings},
};
use tower::ServiceExt;

use crate::peer::{self, Peer};

/// The secret of every client, with characters that each way of sending it has to encode.
pub(crate) const SECRET: &str = "s3cret +/=%&:\"";

/// An OAuth2 server with three clients: `in-body`, `in-header` and `not-allowed`.
pub(crate) struct Oidc {
    _peer: Peer,
    address: String,
}

impl Oidc {
    /// A server whose tokens last so long; none if it is not installed.
    pub(crate) fn start(token_seconds: u32) -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers");
        if !folder.join("node_modules/oidc-provider").exists() {
            peer::missing("oidc-provider");
            return None;
        }
        let options = serde_json::json!({ "clientSecret": SECRET, "tokenSeconds": token_seconds });
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
        Some(Self { _peer: peer, address })
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// What a client needs to get a token that may write profiles.
    pub(crate) fn settings(&self, client_auth: ClientAuth) -> OAuth2Settings {
        let client_id = match client_auth {
            ClientAuth::Body => "in-body",
            ClientAuth::Basic => "in-header",
        };
        OAuth2Settings {
            auth_endpoint: self.uri("/token"),
            client_id: client_id.into(),
            client_secret: Secret::Text(SECRET.into()),
            client_auth,
            scopes: vec!["profiles.write".into()],
            extra_params: vec![("resource".into(), "https://api.example".into())],
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
