use std::time::Duration;

use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;

/// An endpoint, and a client of it.
struct Tried {
    endpoint: LocalEndpoint,
    client: HttpClient<HttpConnector, Full<Bytes>>,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: serde_json::Value,
}

async fn start(settings: Settings) -> Tried {
    let endpoint = LocalEndpoint::start(settings).await.unwrap();
    Tried { endpoint, client: HttpClient::builder(TokioExecutor::new()).build_http() }
}

impl Tried {
    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Result<Answer, hyper_util::client::legacy::Error> {
        let uri = format!("http://{}{path}", self.endpoint.address());
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::from(body.as_ref().to_vec());
        let (head, body) = self.client.request(request.body(body).unwrap()).await?.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&body).unwrap_or_default();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    /// Sends a version of a profile and returns the status of the answer.
    async fn deliver(&self, id: &str, version: u64) -> u16 {
        let version = version.to_string();
        let headers = [("profile-version", version.as_str()), ("x-source", "cdp")];
        self.send("POST", "/profiles", &headers, &profile(id)).await.unwrap().status
    }
}

fn profile(id: &str) -> String {
    format!("{{\"a\":1,\"identityMap\":{{\"crmid\":[{{\"id\":\"{id}\"}}]}}}}")
}

#[tokio::test]
async fn profiles_are_taken_by_any_method_at_any_path_and_kept() {
    let tried = start(Settings::default()).await;
    for (method, path, id) in [("POST", "/", "1"), ("PUT", "/a/b?c", "2"), ("PATCH", "/a", "3")] {
        assert_eq!(tried.send(method, path, &[], &profile(id)).await.unwrap().status, 200);
        assert_eq!(tried.endpoint.received("crmid", id).unwrap().body, profile(id));
    }
    assert_eq!(tried.send("DELETE", "/", &[], "").await.unwrap().status, 405);
    assert_eq!(tried.send("POST", "/", &[], "no profile").await.unwrap().status, 400);
    let report = tried.endpoint.report();
    assert_eq!((report.requests, report.taken, report.profiles), (4, 3, 3));
    assert_eq!((report.unreadable, report.max_concurrency), (1, 1));
}

#[tokio::test]
async fn compressed_profiles_are_kept_as_they_were_before() {
    let tried = start(Settings::default()).await;
    let body = profile("1");
    let compressed = zstd::bulk::compress(body.as_bytes(), 3).unwrap();
    let post = async |encoding, body: &[u8]| {
        tried.send("POST", "/", &[("content-encoding", encoding)], body).await.unwrap().status
    };
    assert_eq!(post("zstd", &compressed).await, 200);
    assert_eq!(tried.endpoint.received("crmid", "1").unwrap().body, body);
    assert_eq!(post("gzip", &compressed).await, 400);
    assert_eq!(post("br", &compressed).await, 415);
    assert_eq!(tried.endpoint.report().unreadable, 2);
}

#[tokio::test]
async fn batches_are_taken_profile_by_profile_or_not_at_all() {
    let tried = start(Settings::default()).await;
    let [a, b, c] = ["1", "2", "3"].map(profile);
    let post = async |headers: &[(&str, &str)], body: &str| {
        tried.send("POST", "/", headers, body).await.unwrap().status
    };
    assert_eq!(post(&[], &format!("[{a},{b}]")).await, 200);
    let ndjson = [("content-type", "application/x-ndjson")];
    assert_eq!(post(&ndjson, &format!("{b}\n{c}\n")).await, 200);
    let envelope = format!(r#"{{"profiles":[{a},{b}],"versions":[7,8]}}"#);
    assert_eq!(post(&[], &envelope).await, 200);
    assert_eq!(tried.endpoint.received("crmid", "2").unwrap().version, 8);
    let former = format!(r#"{{"profiles":[{a}],"versions":[6]}}"#);
    assert_eq!(post(&[], &former).await, 200);
    assert_eq!(post(&[], &format!("[{},3]", profile("4"))).await, 400);
    assert!(tried.endpoint.received("crmid", "4").is_none());
    let report = tried.endpoint.report();
    assert_eq!((report.requests, report.taken, report.profiles), (5, 7, 3));
    assert_eq!((report.unreadable, report.order_violations), (1, 1));
}

#[tokio::test]
async fn versions_that_go_back_and_repeats_are_counted() {
    let tried = start(Settings::default()).await;
    for (id, version) in [("1", 5), ("2", 9), ("1", 5), ("1", 4), ("1", 6)] {
        assert_eq!(tried.deliver(id, version).await, 200);
    }
    let report = tried.endpoint.report();
    assert_eq!((report.taken, report.duplicates, report.order_violations), (5, 1, 1));
    assert_eq!(tried.endpoint.received("crmid", "1").unwrap().version, 6);
    assert_eq!(
        report.headers.into_iter().collect::<Vec<_>>(),
        [("x-source".to_owned(), "cdp".to_owned())]
    );
}

#[tokio::test]
async fn a_version_that_was_refused_may_be_followed_by_a_lower_one() {
    let tried = start(Settings::default()).await;
    tried.endpoint.behave(Behaviour::answering(503));
    assert_eq!(tried.deliver("1", 9).await, 503);
    tried.endpoint.behave(Behaviour::default());
    assert_eq!(tried.deliver("1", 4).await, 200);
    assert_eq!(tried.endpoint.report().order_violations, 0);
}

#[tokio::test]
async fn the_time_since_the_version_was_minted_is_measured() {
    let tried = start(Settings::default()).await;
    let minted = crate::clock::Clock::system().now() - 3_000_000;
    tried.deliver("1", minted).await;
    tried.deliver("2", 1).await;
    let latency = tried.endpoint.report().latency_ms;
    assert!(latency.p50 > 2900.0 && latency.max < 60_000.0, "{latency:?}");
}

fn with_client() -> Settings {
    let client = Client {
        id: "profile-http".to_owned(),
        secret: "s3cret".to_owned(),
        token_lifetime: Duration::from_mins(5),
    };
    Settings { client: Some(client), ..Settings::default() }
}

const FORM: &str = "grant_type=client_credentials&client_id=profile-http&client_secret=s3cret";

#[tokio::test]
async fn with_a_client_a_profile_needs_a_token_that_holds() {
    let tried = start(with_client()).await;
    let answer = tried.send("POST", "/", &[], &profile("1")).await.unwrap();
    assert_eq!(answer.status, 401);
    assert_eq!(answer.headers["www-authenticate"], "Bearer error=\"invalid_token\"");

    let answer = tried.send("POST", TOKEN_PATH, &[], FORM).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(
        (&answer.body["token_type"], &answer.body["expires_in"]),
        (&"Bearer".into(), &300.into())
    );
    let bearer = format!("Bearer {}", answer.body["access_token"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str())];
    assert_eq!(tried.send("POST", "/", &headers, &profile("1")).await.unwrap().status, 200);

    tried.endpoint.revoke_tokens();
    assert_eq!(tried.send("POST", "/", &headers, &profile("1")).await.unwrap().status, 401);
    let report = tried.endpoint.report();
    assert_eq!((report.tokens, report.unauthorized, report.taken), (1, 2, 1));
}

#[tokio::test]
async fn a_wrong_secret_is_an_invalid_client_until_it_is_mended() {
    let tried = start(with_client()).await;
    tried.endpoint.set_client_secret("changed");
    let answer = tried.send("POST", TOKEN_PATH, &[], FORM).await.unwrap();
    assert_eq!((answer.status, &answer.body["error"]), (401, &"invalid_client".into()));
    tried.endpoint.set_client_secret("s3cret");
    assert_eq!(tried.send("POST", TOKEN_PATH, &[], FORM).await.unwrap().status, 200);
    tried.endpoint.behave(Behaviour { token_status: Some(503), ..Default::default() });
    assert_eq!(tried.send("POST", TOKEN_PATH, &[], FORM).await.unwrap().status, 503);
    assert_eq!(tried.endpoint.report().tokens_refused, 2);
}

#[tokio::test]
async fn it_can_be_told_from_outside_how_to_answer() {
    let tried = start(Settings::default()).await;
    let told = "{\"throttled\":1,\"retry_after_secs\":7}";
    assert_eq!(tried.send("PUT", "/_control", &[], told).await.unwrap().status, 200);
    let answer = tried.send("POST", "/", &[], &profile("1")).await.unwrap();
    assert_eq!((answer.status, &answer.headers["retry-after"]), (429, &"7".parse().unwrap()));
    assert!(answer.headers.contains_key("x-request-id"));

    let answer = tried.send("PUT", "/_control", &[], "{\"trottled\":1}").await.unwrap();
    assert_eq!(answer.status, 400);
    assert!(answer.body["error"].as_str().unwrap().contains("unknown field `trottled`"));
    assert_eq!(tried.send("PUT", "/_control", &[], "{\"throttled\":2}").await.unwrap().status, 400);
    let behaviour = tried.send("GET", "/_control", &[], "").await.unwrap().body;
    assert_eq!(behaviour["retry_after_secs"], 7);
    let stats = tried.send("GET", "/_stats", &[], "").await.unwrap().body;
    assert_eq!((&stats["refused"], &stats["taken"]), (&1.into(), &0.into()));
}

/// What a client on a bare socket sees.
async fn raw(tried: &Tried) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(tried.endpoint.address()).await.unwrap();
    let body = profile("1");
    let length = body.len();
    let request = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn connections_are_reset_before_and_after_the_profile_is_taken() {
    let tried = start(Settings::default()).await;
    tried.endpoint.behave(Behaviour { reset_before: 1.0, ..Default::default() });
    let reset = raw(&tried).await.unwrap_err();
    assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(tried.endpoint.received("crmid", "1"), None);

    tried.endpoint.behave(Behaviour { reset_after: 1.0, ..Default::default() });
    let reset = raw(&tried).await.unwrap_err();
    assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(tried.endpoint.received("crmid", "1").unwrap().times, 1);
    let report = tried.endpoint.report();
    assert_eq!((report.reset_before, report.reset_after, report.taken), (1, 1, 1));
}

#[tokio::test]
async fn it_goes_down_and_comes_back_with_all_that_it_had_seen() {
    let mut tried = start(Settings::default()).await;
    assert_eq!(tried.deliver("1", 2).await, 200);
    tried.endpoint.close().await;
    let refused = tried.send("POST", "/", &[], &profile("1")).await;
    assert!(refused.is_err_and(|error| error.is_connect()));
    tried.endpoint.reopen().await.unwrap();
    assert_eq!(tried.deliver("1", 1).await, 200);
    assert_eq!(tried.endpoint.report().order_violations, 1);
}

#[tokio::test]
async fn what_arrives_is_handed_on() {
    let (sender, mut arrivals) = mpsc::channel(8);
    let tried = start(Settings { arrivals: Some(sender), ..Settings::default() }).await;
    tried.deliver("1", 2).await;
    assert_eq!(arrivals.recv().await.unwrap(), profile("1"));
}

#[tokio::test(start_paused = true)]
async fn a_delayed_answer_comes_late_while_the_profile_is_taken_at_once() {
    let behaviour = Behaviour { delayed: 1.0, delay_ms: 3_600_000, ..Default::default() };
    let tried = start(Settings { behaviour, ..Settings::default() }).await;
    let began = tokio::time::Instant::now();
    assert_eq!(tried.deliver("1", 2).await, 200);
    assert!(began.elapsed() >= Duration::from_hours(1));
}
