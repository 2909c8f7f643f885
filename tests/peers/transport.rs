use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use profile_http::endpoint::{SendError, TlsSettings, TlsVersion, Transport, TransportSettings};
use tower::ServiceExt;

use crate::nginx::Nginx;

fn transport(tls: &TlsSettings) -> Transport {
    let settings = TransportSettings { tls: tls.clone(), ..TransportSettings::default() };
    Transport::new(settings).unwrap()
}

fn trusting(nginx: &Nginx) -> TlsSettings {
    TlsSettings { ca_file: Some(nginx.ca_file()), ..TlsSettings::default() }
}

async fn send(transport: &Transport, nginx: &Nginx) -> Result<Response<Bytes>, SendError> {
    let request = Request::post(nginx.url("/profiles")).body(Bytes::from("{}")).unwrap();
    transport.clone().oneshot(request).await
}

/// The connections that requests sent one after another come over.
async fn connections(nginx: &Nginx, requests: usize) -> Vec<HeaderValue> {
    let transport = transport(&trusting(nginx));
    let mut connections = Vec::new();
    for _ in 0..requests {
        let answer = send(&transport, nginx).await.unwrap();
        assert_eq!(answer.status(), 204);
        connections.push(answer.headers()["x-connection"].clone());
    }
    connections.dedup();
    connections
}

#[tokio::test]
async fn requests_one_after_another_share_a_connection() {
    let Some(nginx) = Nginx::start("location / { return 204; }") else { return };
    assert_eq!(connections(&nginx, 50).await.len(), 1);
}

#[tokio::test]
async fn a_connection_that_the_server_ends_is_followed_by_another() {
    let directives = "keepalive_requests 10; location / { return 204; }";
    let Some(nginx) = Nginx::start(directives) else { return };
    assert_eq!(connections(&nginx, 50).await.len(), 5);
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_not_accepted() {
    let Some(nginx) = Nginx::start("location / { return 204; }") else { return };
    let result = send(&transport(&TlsSettings::default()), &nginx).await;
    assert!(matches!(result, Err(SendError::Tls(_))), "{result:?}");

    let careless = TlsSettings { skip_verification: true, ..TlsSettings::default() };
    assert_eq!(send(&transport(&careless), &nginx).await.unwrap().status(), 204);
}

#[tokio::test]
async fn nothing_older_than_the_oldest_version_asked_for_is_spoken() {
    let Some(nginx) = Nginx::start("ssl_protocols TLSv1.2; location / { return 204; }") else {
        return;
    };
    assert_eq!(send(&transport(&trusting(&nginx)), &nginx).await.unwrap().status(), 204);
    let strict = TlsSettings { min_version: TlsVersion::V1_3, ..trusting(&nginx) };
    let result = send(&transport(&strict), &nginx).await;
    assert!(matches!(result, Err(SendError::Tls(_))), "{result:?}");
}
