//! Reloads while records pour in: nothing acknowledged is lost, nobody is turned away, and a sink
//! that does not change gets each version once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::StatusCode;
use profile_http::local_endpoint::{LocalEndpoint, Settings};
use serde_json::Value;

use crate::{
    several::{OTHER_MAPPING, Several, listening},
    support::{MAPPING, Sender, record},
};

const SENDERS: u64 = 4;
const PROFILES: u64 = 50;
const RELOADS: u64 = 12;

/// Posts updates of profiles of its own until it is told to end, each until it is acknowledged.
/// Gives the last state of each.
async fn post(sender: Sender, first: u64, end: Arc<AtomicBool>) -> u64 {
    let mut n = 0;
    loop {
        n += 1;
        let records: Vec<_> = (first..first + PROFILES).map(|id| record(id, n)).collect();
        loop {
            match sender.post(records.join("\n")).await {
                Some((StatusCode::OK, _)) => break,
                // A connection that was idle may close just when it is used again.
                None => tokio::task::yield_now().await,
                Some((status, body)) => panic!("{status}: {body}"),
            }
        }
        if end.load(Ordering::Relaxed) {
            return n;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn under_load_nothing_is_lost_or_doubled_by_reloads() {
    let settings = Settings::default;
    let crm = LocalEndpoint::start(settings()).await.unwrap();
    let mail = LocalEndpoint::start(settings()).await.unwrap();
    let third = LocalEndpoint::start(settings()).await.unwrap();
    let mut several = Several::new();
    several.sink("crm", &crm.url(), MAPPING).sink("mail", &mail.url(), MAPPING);
    let mut process = several.start();
    let end = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..SENDERS)
        .map(|i| tokio::spawn(post(several.sender.clone(), i * PROFILES, end.clone())))
        .collect();
    for reload in 0..RELOADS {
        // Deliveries go on between any two.
        let delivered = crm.report().taken;
        several.until("crm", |_| crm.report().taken > delivered + PROFILES).await;
        let mapping = if reload % 2 == 0 { OTHER_MAPPING } else { MAPPING };
        several.sink("crm", &crm.url(), mapping);
        if reload % 4 == 3 {
            several.sink("third", &third.url(), MAPPING);
            several.sources[0].1 =
                listening(several.address, &format!(", max_body_bytes: {}", 1_000_000 + reload));
        } else {
            several.remove("third");
        }
        let line = several.reload(&mut process);
        assert!(line.contains("reloaded: sinks changed: crm"), "{line}");
        assert!(line.contains("mail"), "{line}");
    }
    several.remove("third");
    several.reload(&mut process);
    end.store(true, Ordering::Relaxed);
    for (i, sender) in senders.into_iter().enumerate() {
        let last = sender.await.unwrap();
        for sink in ["crm", "mail"] {
            several.delivered(sink).await;
        }
        for id in i as u64 * PROFILES..(i as u64 + 1) * PROFILES {
            for endpoint in [&crm, &mail] {
                let received = endpoint.received("crmid", &format!("c-{id}")).unwrap();
                let body: Value = serde_json::from_slice(&received.body).unwrap();
                assert_eq!(body["n"], last, "profile {id}");
            }
        }
    }
    let (crm, mail) = (crm.report(), mail.report());
    assert_eq!((crm.duplicates, crm.order_violations), (0, 0), "{crm:?}");
    assert_eq!((mail.duplicates, mail.order_violations), (0, 0), "{mail:?}");
    process.signal("TERM");
    let (status, log) = process.wait();
    assert!(status.success(), "{log}");
}
