//! A bare hyper client: what a request costs at least.

use std::net::SocketAddr;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};

use crate::process::{Cost, Watch};

/// Sends `body` this many times, so many at once.
pub(crate) async fn run(address: SocketAddr, body: &[u8], count: usize, at_once: usize) -> Cost {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let body = Bytes::copy_from_slice(body);
    let uri: http::Uri = format!("http://{address}/bare").parse().expect("a URL");
    let watch = Watch::on(std::process::id());
    let workers = (0..at_once).map(|worker| {
        let (client, body, uri) = (client.clone(), body.clone(), uri.clone());
        let share = count / at_once + usize::from(worker < count % at_once);
        tokio::spawn(async move {
            for _ in 0..share {
                let request = Request::post(uri.clone())
                    .header("content-type", "application/json")
                    .body(Full::new(body.clone()))
                    .expect("a request");
                let answer = client.request(request).await.expect("an answer");
                assert!(answer.status().is_success());
                answer.into_body().collect().await.expect("a body");
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.expect("a worker that does not panic");
    }
    watch.read()
}
