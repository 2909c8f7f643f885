use bytes::Bytes;
use http::{HeaderValue, Request, header::CONTENT_ENCODING};
use tower::{Layer, ServiceExt};

use super::CompressLayer;
use crate::{
    delivery::{
        Coding,
        test_support::{Script, request},
    },
    encoding::Encoding,
};

async fn sent(coding: Coding, request: Request<Bytes>) -> Request<Bytes> {
    let script = Script::default();
    CompressLayer::new(coding).layer(script.clone()).oneshot(request).await.unwrap();
    script.last_request()
}

fn with_body(size: usize) -> Request<Bytes> {
    request().map(|_| (0..size).map(|i| b"profile, "[i % 9]).collect())
}

#[tokio::test]
async fn what_arrives_is_what_was_sent_and_smaller() {
    for coding in [Coding::Gzip, Coding::Zstd] {
        for size in [256, 4_000, 300_000] {
            let request = sent(coding, with_body(size)).await;
            let encoding = Encoding::of(request.headers()).unwrap();
            assert_ne!(encoding, Encoding::Identity);
            let body = request.into_body();
            assert!(body.len() < size / 2, "{coding:?} {size}: {}", body.len());
            let decoded = encoding.decode(body, size).unwrap();
            assert_eq!(decoded, with_body(size).into_body());
        }
    }
}

#[tokio::test]
async fn a_body_that_would_gain_nothing_goes_as_it_is() {
    let request = sent(Coding::Gzip, with_body(255)).await;
    assert!(!request.headers().contains_key(CONTENT_ENCODING));
    assert_eq!(request.body().len(), 255);
}

#[tokio::test]
async fn what_is_encoded_already_is_left_alone() {
    let mut encoded = with_body(1_000);
    encoded.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("br"));
    let request = sent(Coding::Gzip, encoded).await;
    assert_eq!(request.headers()[CONTENT_ENCODING], "br");
    assert_eq!(request.body().len(), 1_000);
}
