//! `check`: each step by name, and the one that fails with what to do.

use std::{process::Command, sync::Arc, time::Duration};

use profile_http::{
    endpoint::tls,
    local_endpoint::{Behaviour, Client, LocalEndpoint, Settings},
};
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::{MAPPING, Site};

/// Runs `check` and returns whether it succeeded, its standard output and standard error.
async fn check(site: &Site, endpoint: &str, sink: &str, more: &[&str]) -> (bool, String, String) {
    let options = format!("{MAPPING}{sink}");
    let config = site.configure("check.yaml", "{ type: stdin }", endpoint, &options);
    let mut command = Command::new(env!("CARGO_BIN_EXE_profile-http"));
    command.args(["check", "-c"]).arg(config).args(more);
    // The endpoint may run in this very process.
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

/// The steps that a report in JSON names, with a `-` before those that failed.
fn steps(json: &str) -> Vec<String> {
    let report: Value = serde_json::from_str(json).unwrap();
    let steps = report[0]["steps"].as_array().unwrap();
    let name = |step: &Value| {
        let mark = if step["ok"] == true { "" } else { "-" };
        format!("{mark}{}: {}", step["of"].as_str().unwrap(), step["step"].as_str().unwrap())
    };
    steps.iter().map(name).collect()
}

fn oauth2(endpoint: &LocalEndpoint, secret: &str) -> String {
    format!(
        "    auth: {{ strategy: oauth2, auth_endpoint: '{}', client_id: crm, client_secret: {secret} \
         }}\n",
        endpoint.token_url()
    )
}

async fn guarded() -> LocalEndpoint {
    let client = Client {
        id: "crm".to_owned(),
        secret: "s3cret".to_owned(),
        token_lifetime: Duration::from_mins(5),
    };
    LocalEndpoint::start(Settings { client: Some(client), ..Settings::default() }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn check_connects_gets_a_token_and_sends_nothing_unless_it_is_told_to() {
    let endpoint = guarded().await;
    let (site, auth) = (Site::new(), oauth2(&endpoint, "s3cret"));
    let (ok, json, stderr) = check(&site, &endpoint.url(), &auth, &["--json"]).await;
    assert!(ok, "{json}{stderr}");
    let reached = [
        "endpoint: dns",
        "endpoint: tcp",
        "token endpoint: dns",
        "token endpoint: tcp",
        "token endpoint: token",
    ];
    assert_eq!(steps(&json), reached);
    assert_eq!(endpoint.report().requests, 0);

    let (ok, text, stderr) = check(&site, &endpoint.url(), &auth, &["--send"]).await;
    assert!(ok, "{text}{stderr}");
    assert!(text.contains("send") && text.contains("200 OK"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
    let sent = endpoint.received("crmid", "profile-http-check").unwrap();
    let body: Value = serde_json::from_slice(&sent.body).unwrap();
    assert_eq!(body["name"], "sample");
    assert!(!site.path("data").exists(), "the store of the sink is left alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn check_sends_the_record_of_a_file() {
    let endpoint = LocalEndpoint::start(Settings::default()).await.unwrap();
    let site = Site::new();
    let record = r#"{"identityMap":{"crmid":[{"id":"c-7"}]},"name":"Ada"}"#;
    let send = format!("--send={}", site.write("ada.json", record).display());
    let (ok, text, stderr) = check(&site, &endpoint.url(), "", &[&send]).await;
    assert!(ok, "{text}{stderr}");
    assert!(endpoint.received("crmid", "c-7").is_some());

    let send = format!("--send={}", site.write("bad.json", r#"{"name":"Ada"}"#).display());
    let (ok, text, _) = check(&site, &endpoint.url(), "", &[&send]).await;
    assert!(!ok && text.contains("cannot read the record"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn check_names_the_step_that_fails_and_a_remedy() {
    let mut endpoint = guarded().await;
    let site = Site::new();
    let wrong = oauth2(&endpoint, "wrong");
    let (ok, text, stderr) = check(&site, &endpoint.url(), &wrong, &["--send"]).await;
    assert!(!ok && stderr.contains("the check of sink crm failed"), "{stderr}");
    assert!(text.contains("FAILED  token") && text.contains("client_secret"), "{text}");
    assert!(!text.contains("send"), "what depends on it is not tried: {text}");

    endpoint.behave(Behaviour { status: Some(403), ..Behaviour::default() });
    let auth = oauth2(&endpoint, "s3cret");
    let (ok, text, _) = check(&site, &endpoint.url(), &auth, &["--send"]).await;
    assert!(!ok && text.contains("FAILED  send") && text.contains("permission"), "{text}");
    endpoint.behave(Behaviour { status: Some(422), ..Behaviour::default() });
    let (ok, text, _) = check(&site, &endpoint.url(), &auth, &["--send"]).await;
    assert!(!ok && text.contains("--send=FILE"), "{text}");

    endpoint.close().await;
    let (ok, json, _) = check(&site, &endpoint.url(), "", &["--json"]).await;
    assert!(!ok);
    assert_eq!(steps(&json), ["endpoint: dns", "-endpoint: tcp"]);
    assert!(json.contains("refused") && json.contains("check the port"), "{json}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn check_shows_the_certificates_that_a_server_showed_also_when_they_are_not_accepted() {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let site = Site::new();
    let ca = site.write("ca.pem", &certificate.pem());
    let server = ServerConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });

    let url = format!("https://127.0.0.1:{port}/");
    let trusted = format!("    tls: {{ ca_file: '{}' }}\n", ca.display());
    let (ok, text, _) = check(&site, &url, "", &[]).await;
    assert!(!ok && text.contains("FAILED  tls"), "{text}");
    assert!(text.contains("for localhost"), "{text}");
    let named = format!("    tls: {{ ca_file: '{}', server_name: localhost }}\n", ca.display());
    let (ok, text, _) = check(&site, &url, &named, &[]).await;
    assert!(ok && text.contains("TLS 1.3") && text.contains("for localhost"), "{text}");
    let (ok, text, _) = check(&site, &url, &trusted, &[]).await;
    assert!(!ok && text.contains("FAILED  tls") && text.contains("127.0.0.1"), "{text}");
}
