use bytes::Bytes;
use http::Request;
use tower::ServiceExt;

use crate::{client, nginx::Nginx};

#[tokio::test]
async fn requests_one_after_another_share_a_connection() {
    let Some(nginx) = Nginx::start("location / { return 204; }") else { return };
    let transport = client::transport(Some(&nginx.ca_file()));
    let mut connections = Vec::new();
    for _ in 0..3 {
        let request = Request::post(nginx.url("/profiles")).body(Bytes::from("{}")).unwrap();
        let answer = transport.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 204);
        connections.push(answer.headers()["x-connection"].clone());
    }
    connections.dedup();
    assert_eq!(connections.len(), 1);
}
