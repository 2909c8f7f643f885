//! Updates that go on, sent as a pipeline does: NDJSON bodies, several at once.

use std::{
    fmt,
    future::Future,
    net::SocketAddr,
    pin::pin,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::task::JoinSet;

use crate::people::People;

/// Records of one body.
const BODY: usize = 500;

/// Bodies at once.
const AT_ONCE: usize = 4;

pub(crate) struct Live {
    client: Client<HttpConnector, Full<Bytes>>,
    uri: http::Uri,
}

/// How updates were taken.
pub(crate) struct Pace {
    records: u32,
    wall: Duration,
    /// How long each body took until it was acknowledged, the quickest first.
    answers: Vec<Duration>,
}

impl Live {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let uri = format!("http://{address}/").parse().expect("a URL");
        Self { client, uri }
    }

    /// Returns when all records are acknowledged.
    pub(crate) async fn send(&self, mut records: impl Iterator<Item = Vec<u8>>) {
        let mut posts = JoinSet::new();
        loop {
            let body = body(&mut records);
            if body.is_empty() {
                break;
            }
            if posts.len() >= AT_ONCE {
                posts.join_next().await.expect("a post").expect("no panic");
            }
            posts.spawn(self.post(body));
        }
        while let Some(post) = posts.join_next().await {
            post.expect("no panic");
        }
    }

    /// Sends visits of anybody, so many a second or as fast as they are taken, until `end`.
    #[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
    pub(crate) async fn during(
        &self,
        people: &People,
        rate: Option<f64>,
        end: impl Future<Output = ()>,
    ) -> Pace {
        let mut random = fastrand::Rng::with_seed(5);
        let mut posts = JoinSet::new();
        let mut answers = Vec::new();
        let mut sent = 0;
        let started = Instant::now();
        let mut end = pin!(end);
        loop {
            let due = rate.map(|rate| Duration::from_secs_f64(f64::from(sent) / rate));
            let wait = due.map_or(Duration::ZERO, |due| due.saturating_sub(started.elapsed()));
            let is_full = posts.len() >= AT_ONCE;
            tokio::select! {
                biased;
                () = &mut end => break,
                Some(took) = posts.join_next() => answers.push(took.expect("no panic")),
                () = tokio::time::sleep(wait), if !is_full => {
                    let mut visits = std::iter::repeat_with(|| people.visit(&mut random));
                    posts.spawn(self.post(body(&mut visits)));
                    sent += u32::try_from(BODY).expect("a small number");
                }
            }
        }
        let wall = started.elapsed();
        let records = u32::try_from(answers.len() * BODY).expect("not that many");
        // What is under way is no longer measured, but is not to be mixed with what follows.
        while posts.join_next().await.is_some() {}
        answers.sort_unstable();
        Pace { records, wall, answers }
    }

    /// Gives the time it took.
    #[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
    fn post(&self, body: Vec<u8>) -> impl Future<Output = Duration> + use<> {
        let request = Request::post(self.uri.clone())
            .header("content-type", "application/x-ndjson")
            .body(Full::new(Bytes::from(body)))
            .expect("a request");
        let client = self.client.clone();
        async move {
            let started = Instant::now();
            let answer = client.request(request).await.expect("an answer");
            let status = answer.status();
            let text = answer.into_body().collect().await.expect("a body").to_bytes();
            assert!(status.is_success(), "{}", String::from_utf8_lossy(&text));
            started.elapsed()
        }
    }
}

impl Pace {
    /// Records a second.
    pub(crate) fn rate(&self) -> f64 {
        f64::from(self.records) / self.wall.as_secs_f64()
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quantile = |of_100: usize| {
            let place =
                (self.answers.len() * of_100 / 100).min(self.answers.len().saturating_sub(1));
            self.answers.get(place).map_or(f64::NAN, |took| took.as_secs_f64() * 1e3)
        };
        write!(
            f,
            "{:>7.0}/s for {:.1} s; {BODY} of them are taken in {:.1} ms (p50), {:.1} ms (p99), \
             {:.1} ms (longest)",
            self.rate(),
            self.wall.as_secs_f64(),
            quantile(50),
            quantile(99),
            quantile(100)
        )
    }
}

fn body(records: &mut impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut body = Vec::with_capacity(BODY * 1024);
    for record in records.take(BODY) {
        body.extend_from_slice(&record);
        body.push(b'\n');
    }
    body
}
