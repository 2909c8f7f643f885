//! A mapping that changes between two runs of the program.

use std::{collections::BTreeMap, path::PathBuf};

use profile_http::local_endpoint::Received;

use crate::support::{Place, Process, Sender};

const PROFILES: u64 = 3000;

/// Of every three profiles one is in `t`; everybody is in `s`.
fn is_in_t(id: u64) -> bool {
    id.is_multiple_of(3)
}

fn record(id: u64, name: &str) -> String {
    let t = if is_in_t(id) { r#","t":{"status":"realized"}"# } else { "" };
    format!(
        r#"{{"identityMap":{{"crmid":[{{"id":"c-{id}"}}]}},"name":"{name}","city":"c","segmentMembership":{{"ups":{{"s":{{"status":"realized"}}{t}}}}}}}"#
    )
}

fn mapping(attributes: &str, segments: &str) -> String {
    format!(
        "    profile: {{ key: identityMap.crmid }}\n    \
         export: {{ attributes: [{attributes}], segments: [{segments}] }}\n    \
         request: {{ concurrency: 8 }}\n"
    )
}

/// A run that ends by itself once all that is known is judged and delivered.
fn to_end(place: &Place, mapping: &str) -> String {
    let config = configuration(place, mapping);
    let (status, log) = Process::run(&config).fed("");
    assert!(status.success(), "{log}");
    log
}

fn configuration(place: &Place, mapping: &str) -> PathBuf {
    place.site.configure("stdin.yaml", "{ type: stdin }", &place.endpoint.url(), mapping)
}

fn received(place: &Place) -> BTreeMap<u64, Received> {
    let received = |id| place.endpoint.received("crmid", &format!("c-{id}")).map(|r| (id, r));
    (0..PROFILES).filter_map(received).collect()
}

async fn known(place: &Place, mapping: &str) {
    let process = place.run("http_server", "", mapping);
    let sender = Sender::new(place.address);
    for name in ["former", "latest"] {
        let records: Vec<_> = (0..PROFILES).map(|id| record(id, name)).collect();
        sender.send(&records).await;
    }
    process.signal("TERM");
    assert!(process.wait().0.success());
    to_end(place, mapping);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn exactly_the_members_of_a_newly_mapped_segment_are_exported_and_the_log_says_how_many() {
    let place = Place::quiet().await;
    known(&place, &mapping("name, city", "s")).await;
    let before = received(&place);
    assert_eq!(before.len() as u64, PROFILES);

    // An attribute and a name of the segment go, an attribute and a segment come.
    let log = to_end(&place, &mapping("name, zip", "{ id: s, name: S }, t"));
    for (id, now) in received(&place) {
        let before = &before[&id];
        assert_eq!(now.times - before.times, u64::from(is_in_t(id)), "profile {id}");
        if is_in_t(id) {
            let body: serde_json::Value = serde_json::from_slice(&now.body).unwrap();
            assert_eq!(body["name"], "latest");
            assert_eq!(body["segmentMembership"]["ups"]["t"]["status"], "realized");
            assert!(body.get("city").is_none(), "{body}");
        }
    }
    for said in [
        "mapping changed: reconciling 3000 profiles".to_owned(),
        "mapping changed: these attributes were not kept".to_owned(),
        "attributes=\"zip\"".to_owned(),
        format!("reconciled sink=\"crm\" profiles=3000 due={}", PROFILES / 3),
    ] {
        assert!(log.contains(&said), "{said} in {log}");
    }
    let again = to_end(&place, &mapping("name, zip", "{ id: s, name: S }, t"));
    assert!(!again.contains("mapping changed"), "{again}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn killed_in_the_middle_it_goes_on_and_makes_no_version_twice() {
    let place = Place::quiet().await;
    known(&place, &mapping("name", "s")).await;
    let before = received(&place);
    let both = mapping("name", "s, t");
    let config = configuration(&place, &both);
    for _ in 0..4 {
        let mut process = Process::run(&config);
        let taken = place.endpoint.report().taken;
        process.wait_for("delivering");
        // Somewhere in it: some have arrived, unless all had.
        while place.endpoint.report().taken < taken + 50 && arrived(&place, &before) < PROFILES / 3
        {
            tokio::task::yield_now().await;
        }
        process.kill();
    }
    to_end(&place, &both);
    let report = place.endpoint.report();
    let mut repeated = 0;
    for (id, now) in received(&place) {
        let more = now.times - before[&id].times;
        assert_eq!(more > 0, is_in_t(id), "profile {id} arrived {more} times");
        repeated += more.saturating_sub(1);
    }
    assert_eq!(report.duplicates, repeated, "what came twice was in flight, under one version");
    assert_eq!(report.order_violations, 0);
}

/// How many profiles have arrived since.
fn arrived(place: &Place, before: &BTreeMap<u64, Received>) -> u64 {
    received(place).iter().filter(|(id, now)| now.times > before[id].times).count() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_source_that_sends_meanwhile_is_answered_and_nothing_falls_between() {
    let place = Place::quiet().await;
    known(&place, &mapping("name", "s")).await;
    let before = received(&place);
    let process = place.run("http_server", "", &mapping("name", "s, t"));
    let sender = Sender::new(place.address);
    // The same again, which is no change, while the background gets there or not.
    let records: Vec<_> = (0..PROFILES).rev().map(|id| record(id, "latest")).collect();
    for some in records.chunks(100) {
        let answer = sender.send(some).await;
        assert_eq!(answer["changed"], 0, "{answer}");
    }
    process.signal("TERM");
    assert!(process.wait().0.success());
    to_end(&place, &mapping("name", "s, t"));
    for (id, now) in received(&place) {
        assert_eq!(now.times - before[&id].times, u64::from(is_in_t(id)), "profile {id}");
    }
}
