//! Against nginx that speaks HTTP/2 only.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use http::Version;
use profile_http::endpoint::{Http2, TlsSettings, Transport, TransportSettings};
use tower::ServiceExt;

use crate::{
    nginx::{Nginx, TAKE},
    program::{ends_well, options, profile, records, run},
    support::Site,
};

fn transport(nginx: &Nginx, http2: Http2) -> Transport {
    let tls = TlsSettings { ca_file: Some(nginx.ca_file()), ..TlsSettings::default() };
    Transport::new(TransportSettings { tls, http2, ..TransportSettings::default() }).unwrap()
}

fn request(nginx: &Nginx) -> http::Request<bytes::Bytes> {
    http::Request::post(nginx.url("/profiles")).body("{}".into()).unwrap()
}

#[tokio::test]
async fn http_2_is_agreed_upon_and_one_connection_carries_200_requests_at_once() {
    let allowed = "http2_max_concurrent_streams 16; location / { return 204; }";
    let Some(nginx) = Nginx::start_http2(allowed) else { return };
    let transport = transport(&nginx, Http2::Auto);
    let first = transport.clone().oneshot(request(&nginx)).await.unwrap();
    assert_eq!((first.status().as_u16(), first.version()), (204, Version::HTTP_2));
    let answers = join_all((0..200).map(|_| transport.clone().oneshot(request(&nginx)))).await;
    let connections: BTreeSet<_> = answers
        .into_iter()
        .map(|answer| {
            let answer = answer.unwrap();
            assert_eq!((answer.status().as_u16(), answer.version()), (204, Version::HTTP_2));
            answer.headers()["x-connection"].as_bytes().to_vec()
        })
        .collect();
    assert_eq!(connections.len(), 1);
}

#[tokio::test]
async fn http_1_is_refused_there() {
    let Some(nginx) = Nginx::start_http2("location / { return 204; }") else { return };
    let answer = transport(&nginx, Http2::Never).oneshot(request(&nginx)).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (426, Version::HTTP_11));
}

#[tokio::test]
async fn a_server_that_ends_connections_now_and_then_gets_every_profile_once() {
    // Each end is a GOAWAY.
    let often = format!("keepalive_requests 20; http2_max_concurrent_streams 8; {TAKE}");
    let Some(nginx) = Nginx::start_http2(&often) else { return };
    let site = Site::new();
    let mut process = run(&site, &nginx, &options(&nginx));
    process.write(&records(500, 1));
    let log = ends_well(process);
    assert!(!log.contains("WARN"), "{log}");
    let answered = nginx.rest();
    let good = answered.iter().filter(|request| request.status == "204");
    let delivered: Vec<_> = good.clone().map(profile).collect();
    let distinct: BTreeSet<_> = delivered.iter().collect();
    assert_eq!((delivered.len(), distinct.len()), (500, 500));
    assert!(good.clone().all(|request| request.protocol == "HTTP/2.0"));
    let connections: BTreeSet<_> = good.map(|request| &request.connection).collect();
    assert!(connections.len() >= 500 / 20, "{}", connections.len());
}
