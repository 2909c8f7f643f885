//! Signed and compressed requests, as an endpoint sees them.

use std::{
    io::Read,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use profile_http::{clock::Clock, listen};
use tokio_util::sync::CancellationToken;

use crate::support::{MAPPING, Process, Site};

type Arrived = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

const OLD: &[u8] = b"an old secret of twenty-four";
const NEW: &[u8] = b"a new secret of twenty-four";

fn written(secret: &[u8]) -> String {
    format!("whsec_{}", STANDARD.encode(secret))
}

/// An endpoint that keeps what arrives and fails the first request.
async fn endpoint() -> (String, Arrived, CancellationToken) {
    let arrived = Arrived::default();
    let listener = listen::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let url = format!("http://{}/profiles", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let answer = {
        let arrived = arrived.clone();
        move |request: Request<Incoming>| {
            let arrived = arrived.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let mut arrived = arrived.lock().unwrap();
                arrived.push((head.headers, body));
                let mut answer = Response::new(Full::new(Bytes::new()));
                if arrived.len() == 1 {
                    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                }
                Ok(answer)
            }
        }
    };
    tokio::spawn(listen::serve(listener, None, stop.clone(), answer));
    (url, arrived, stop)
}

/// Whether one of the signatures is made with the secret, over the bytes that arrived.
fn verifies(headers: &HeaderMap, body: &[u8], secret: &[u8]) -> bool {
    let text = |name: &str| headers[name].to_str().unwrap();
    let head = format!("{}.{}.", text("webhook-id"), text("webhook-timestamp"));
    let message = [head.as_bytes(), body].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    text("webhook-signature")
        .split(' ')
        .filter_map(|one| one.strip_prefix("v1,"))
        .any(|one| hmac::verify(&key, &message, &STANDARD.decode(one).unwrap()).is_ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_endpoint_verifies_what_arrives_with_either_of_two_secrets() {
    let (url, arrived, _stop) = endpoint().await;
    let site = Site::new();
    let file = site.write("secret", &format!("{}\n", written(NEW)));
    let sink = format!(
        "    signing: {{ secrets: [{}, {{ file: {} }}] }}\n    request: {{ compression: gzip }}\n{MAPPING}",
        written(OLD),
        file.display(),
    );
    let config = site.configure("run.yaml", "{ type: stdin }", &url, &sink);
    let start = Clock::system().now() / 1_000_000;
    let name = "Ada ".repeat(100);
    let record = format!(r#"{{"identityMap":{{"crmid":[{{"id":"c-1"}}]}},"name":"{name}","n":1}}"#);
    let (status, log) = Process::run(&config).fed(&record);
    assert!(status.success(), "{log}");
    assert!(!log.contains("whsec_"), "{log}");

    let arrived = arrived.lock().unwrap();
    assert_eq!(arrived.len(), 2, "the first attempt failed");
    for (headers, body) in arrived.iter() {
        assert!(verifies(headers, body, OLD) && verifies(headers, body, NEW), "{headers:?}");
        assert!(!verifies(headers, body, b"a secret that nobody uses"), "{headers:?}");
        assert_eq!(headers["webhook-id"], headers["idempotency-key"]);
        let timestamp: u64 = headers["webhook-timestamp"].to_str().unwrap().parse().unwrap();
        assert!((start..start + 120).contains(&timestamp), "{timestamp}");
        assert_eq!(headers["content-encoding"], "gzip");
        let mut json = String::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut json).unwrap();
        assert!(json.contains(&name), "{json}");
    }
    assert_eq!(arrived[0].0["webhook-id"], arrived[1].0["webhook-id"]);
    assert_eq!(arrived[0].1, arrived[1].1);
}

#[test]
fn explain_shows_the_profile_readable_and_reads_no_key() {
    let site = Site::new();
    let sink = format!(
        "    signing: {{ secrets: [{}, {{ file: /nowhere/key }}], ed25519_key: {{ file: /nowhere }} }}\n\
         \x20   request: {{ compression: zstd }}\n{MAPPING}",
        written(OLD),
    );
    site.configure("c.yaml", "{ type: stdin }", "https://api.acme.example/p", &sink);
    let mut command = Command::new(env!("CARGO_BIN_EXE_profile-http"));
    command.arg("explain").arg("-c").arg(site.path("c.yaml")).stdout(Stdio::piped());
    let mut process = Process::spawn(command);
    let mut out = process.stdout();
    let name = "x".repeat(300);
    let record = format!(r#"{{"identityMap":{{"crmid":[{{"id":"c-1"}}]}},"name":"{name}","n":1}}"#);
    let (status, log) = process.fed(&record);
    let text = std::io::read_to_string(&mut out).unwrap();
    assert!(status.success(), "{log}");
    for line in [
        "              content-encoding: zstd",
        "              webhook-signature: v1,<hidden> v1,<hidden> v1a,<hidden>",
        &format!("                \"name\": \"{name}\","),
    ] {
        assert!(text.lines().any(|found| found == line), "no line {line:?} in:\n{text}");
    }
    assert!(!text.contains("whsec_"), "{text}");
}

#[test]
fn a_key_that_cannot_be_used_is_found_before_anything_starts() {
    let site = Site::new();
    let file = site.write("secret", "whsec_c2hvcnQ=\n");
    let sink = format!("    signing: {{ secret: {{ file: {} }} }}\n{MAPPING}", file.display());
    let config = site.configure("c.yaml", "{ type: stdin }", "http://127.0.0.1:9/p", &sink);
    for command in ["run", "validate"] {
        let (status, log) = Process::start(&[command], Some(&config)).fed("");
        assert_eq!(status.code(), Some(78), "{log}");
        assert!(log.contains("the signing secret has 5 bytes, not 24 to 64"), "{log}");
    }
}
