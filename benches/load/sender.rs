//! Sends records to the HTTP source as a pipeline does: NDJSON bodies, several at once.

use std::net::SocketAddr;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::task::JoinSet;

/// Records of one body.
const BODY: usize = 1000;

/// Bodies at once.
const AT_ONCE: usize = 4;

pub(crate) struct Sender {
    client: Client<HttpConnector, Full<Bytes>>,
    uri: http::Uri,
}

impl Sender {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let uri = format!("http://{address}/").parse().expect("a URL");
        Self { client, uri }
    }

    /// Returns when all records are acknowledged.
    pub(crate) async fn send(&self, mut records: impl Iterator<Item = Vec<u8>>) {
        let mut posts = JoinSet::new();
        loop {
            let mut body = Vec::with_capacity(BODY * 1024);
            for record in records.by_ref().take(BODY) {
                body.extend_from_slice(&record);
                body.push(b'\n');
            }
            if body.is_empty() {
                break;
            }
            if posts.len() >= AT_ONCE {
                posts.join_next().await.expect("a post").expect("no panic");
            }
            let (client, uri) = (self.client.clone(), self.uri.clone());
            posts.spawn(async move {
                let request = Request::post(uri)
                    .header("content-type", "application/x-ndjson")
                    .body(Full::new(Bytes::from(body)))
                    .expect("a request");
                let answer = client.request(request).await.expect("an answer");
                let status = answer.status();
                let text = answer.into_body().collect().await.expect("a body").to_bytes();
                assert!(status.is_success(), "{}", String::from_utf8_lossy(&text));
            });
        }
        while let Some(post) = posts.join_next().await {
            post.expect("no panic");
        }
    }
}
