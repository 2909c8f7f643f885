//! An endpoint that is down for a while.

use std::time::Duration;

use profile_http::local_endpoint::{LocalEndpoint, Settings};
use tokio::{sync::mpsc, time::timeout};

use crate::support::{MAPPING, Process, Sender, Site, free_address, record};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn after_an_outage_only_the_latest_version_of_each_changed_profile_is_sent() {
    let (arrivals, mut arrived) = mpsc::channel(10_000);
    let settings = Settings { arrivals: Some(arrivals), ..Settings::default() };
    let mut endpoint = LocalEndpoint::start(settings).await.unwrap();
    endpoint.close().await;
    let site = Site::new();
    let address = free_address();
    let source = format!("{{ type: http_server, address: '{address}' }}");
    let config = site.configure("run.yaml", &source, &endpoint.url(), MAPPING);
    let mut process = Process::run(&config);
    process.wait_for("listening");

    let sender = Sender::new(address);
    for round in 0..20 {
        let records: Vec<_> = (0..50).map(|id| record(id, round)).collect();
        let taken = sender.send(&records).await;
        assert_eq!(taken["changed"], 50, "updates are taken though nothing can be delivered");
    }
    process.wait_for("cannot connect");
    endpoint.reopen().await.unwrap();

    for _ in 0..50 {
        let body = timeout(Duration::from_mins(1), arrived.recv()).await.unwrap().unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["n"], 19, "an older version was sent");
    }
    process.signal("TERM");
    let (status, log) = process.wait();
    assert!(status.success(), "{log}");
    assert_eq!(endpoint.report().taken, 50);
    assert!(arrived.try_recv().is_err());
}
