//! What a request says besides the profile.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use profile_http::{clock::Clock, listen};
use tokio_util::sync::CancellationToken;

use crate::support::{MAPPING, Process, Site, record};

type Heads = Arc<Mutex<Vec<(Method, String, HeaderMap)>>>;

/// An endpoint that keeps the heads of its requests and fails the first one.
async fn heads() -> (String, Heads, CancellationToken) {
    let heads = Heads::default();
    let listener = listen::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let url = format!("http://{}/v1/profiles?tenant=a", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let answer = {
        let heads = heads.clone();
        move |request: Request<Incoming>| {
            let (head, _) = request.into_parts();
            let mut heads = heads.lock().unwrap();
            heads.push((head.method, head.uri.to_string(), head.headers));
            let mut answer = Response::new(Full::new(Bytes::new()));
            if heads.len() == 1 {
                *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
            async move { Ok(answer) }
        }
    };
    tokio::spawn(listen::serve(listener, None, stop.clone(), answer));
    (url, heads, stop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_version_has_a_number_that_grows_and_a_key_that_stays_over_retries() {
    let (url, heads, _stop) = heads().await;
    let site = Site::new();
    let config = site.configure("run.yaml", "{ type: stdin }", &url, MAPPING);
    let start = Clock::system().now();
    Process::run_to_end(&config, &record(1, 1));
    Process::run_to_end(&config, &record(1, 2));

    let heads = heads.lock().unwrap();
    let value = |i: usize, name: &str| heads[i].2[name].to_str().unwrap().to_owned();
    assert_eq!(heads.len(), 3);
    for (i, (method, uri, _)) in heads.iter().enumerate() {
        assert_eq!((method, uri.as_str()), (&Method::POST, "/v1/profiles?tenant=a"));
        assert_eq!(value(i, "content-type"), "application/json");
        let agent = format!("profile-http/{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(value(i, "user-agent"), agent);
    }
    let [failed, retried, newer] =
        [0, 1, 2].map(|i| (value(i, "profile-version"), value(i, "idempotency-key")));
    assert_eq!(failed, retried);
    let number = |version: &str| version.parse::<u64>().unwrap();
    assert!(start < number(&retried.0) && number(&retried.0) < number(&newer.0));
    assert_ne!(retried.1, newer.1);
    let is_hex = |key: &str| key.len() == 32 && key.bytes().all(|b| b.is_ascii_hexdigit());
    assert!(is_hex(&retried.1) && is_hex(&newer.1), "{retried:?} {newer:?}");
}
