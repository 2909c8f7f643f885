//! Another configuration for a running process: what differs is exchanged, what does not runs on,
//! and what cannot be used changes nothing.

use std::{fs, time::Duration};

use profile_http::local_endpoint::{Behaviour, LocalEndpoint, Settings};
use serde_json::{Value, json};

use crate::{
    several::{Held, OTHER_MAPPING, Several, mapping_with, until},
    support::{MAPPING, Process, record},
};

async fn endpoint() -> LocalEndpoint {
    LocalEndpoint::start(Settings::default()).await.unwrap()
}

/// A sink `crm` and an endpoint.
async fn one_sink() -> (Several, LocalEndpoint) {
    let crm = endpoint().await;
    let mut several = Several::new();
    several.sink("crm", &crm.url(), MAPPING);
    (several, crm)
}

/// A record with an attribute that only the other mapping maps.
fn other(id: u64, n: u64) -> String {
    record(id, n).replacen('{', "{\"other\":true,", 1)
}

fn body(endpoint: &LocalEndpoint, id: u64) -> Value {
    let received = endpoint.received("crmid", &format!("c-{id}")).expect("the profile");
    serde_json::from_slice(&received.body).unwrap()
}

const NO_GAUGES: [String; 0] = [];

/// The gauges that are shown of a sink.
fn gauges_of(several: &Several, sink: &str) -> Vec<String> {
    let (_, text) = several.get("/metrics");
    let names: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" gauge"))
        .collect();
    let of_sink = format!("component_id=\"{sink}\",component_kind=\"sink\"");
    let is_gauge = |line: &&str| {
        line.contains(&of_sink)
            && line.split_once('{').is_some_and(|(name, _)| names.contains(&name))
    };
    text.lines().filter(is_gauge).map(str::to_owned).collect()
}

/// Ends it as an operator would.
fn stop(process: Process) -> String {
    process.signal("TERM");
    let (status, log) = process.wait();
    assert!(status.success(), "{log}");
    log
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_differs_is_said_in_one_line_and_counted() {
    let (mut several, crm) = one_sink().await;
    several.sink("ads", &crm.url(), MAPPING).sink("old", &crm.url(), MAPPING);
    let mut process = several.start();
    assert_eq!(several.metric("config_reloaded_total"), Some(0.0));
    several.remove("old");
    several.sink("ads", &crm.url(), OTHER_MAPPING).sink("new", &crm.url(), MAPPING);
    let line = several.reload(&mut process);
    let said = "reloaded: sinks changed: ads; added: new; removed: old; unchanged: crm; \
                sources unchanged: in";
    assert!(line.contains("INFO") && line.ends_with(said), "{line}");
    let line = several.reload(&mut process);
    assert!(line.ends_with("reloaded: sinks unchanged: crm, ads, new; sources unchanged: in"));
    assert_eq!(several.metric("config_reloaded_total"), Some(2.0));
    assert_eq!(several.metric("config_reload_rejected_total"), Some(0.0));
    let (_, body) = several.get("/api/v1/sinks");
    let body: Vec<Value> = serde_json::from_str(&body).unwrap();
    let names: Vec<_> = body.iter().map(|sink| sink["sink"].as_str().unwrap()).collect();
    assert_eq!(names, ["crm", "ads", "new"], "in the order of the file");
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn comments_order_and_format_are_no_change() {
    let (several, _crm) = one_sink().await;
    let mut process = several.start();
    let text = several.text();
    let (head, sink) = text.split_once("    type: profile_http\n").unwrap();
    fs::write(&several.config, format!("# new\n{head}{sink}    type: \"profile_http\"\n")).unwrap();
    process.signal("HUP");
    let line = process.wait_for("reloaded");
    assert!(line.ends_with("reloaded: sinks unchanged: crm; sources unchanged: in"), "{line}");
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_added_sink_takes_what_comes_and_a_removed_one_takes_no_more_and_keeps_its_store() {
    let (mut several, crm) = one_sink().await;
    let mail = endpoint().await;
    let mut process = several.start();
    several.sender.send(&[record(1, 1)]).await;
    several.sink("mail", &mail.url(), MAPPING);
    several.reload(&mut process);
    assert_eq!(several.sender.send(&[record(2, 1)]).await["changed"], 2);
    several.until("mail", |status| status["delivered"] == 1).await;

    several.remove("mail");
    several.begin_reload(&mut process);
    let line = process.wait_for("the sink was removed");
    assert!(line.contains("sink=\"mail\"") && line.contains("/data/mail"), "{line}");
    process.wait_for("reloaded: ");
    assert_eq!(several.get("/api/v1/sinks/mail").0, 404);
    assert_eq!(gauges_of(&several, "mail"), NO_GAUGES);
    assert_eq!(several.sender.send(&[record(2, 2)]).await["changed"], 1);

    // It knows what it had delivered.
    several.sink("mail", &mail.url(), MAPPING);
    several.reload(&mut process);
    let ack = several.sender.send(&[record(2, 1), record(3, 1)]).await;
    assert_eq!((&ack["changed"], &ack["unchanged"]), (&json!(3), &json!(1)), "{ack}");
    several.delivered("mail").await;
    several.delivered("crm").await;
    assert_eq!((mail.report().taken, mail.report().duplicates), (2, 0));
    assert_eq!(crm.report().taken, 5);
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_request_of_an_unchanged_sink_is_answered_once_and_not_repeated() {
    let (held, mail) = (Held::new().await, endpoint().await);
    let mut several = Several::new();
    several.sink("crm", &held.endpoint.url(), MAPPING).sink("mail", &mail.url(), MAPPING);
    let mut process = several.start();
    several.sender.send(&[record(1, 1)]).await;
    held.holds(1).await;
    several.sink("mail", &mail.url(), OTHER_MAPPING);
    let line = several.reload(&mut process);
    assert!(line.contains("changed: mail; unchanged: crm"), "{line}");
    several.sender.send(&[other(2, 1)]).await;
    let crm = held.let_go();
    several.until("crm", |status| status["delivered"] == 2).await;
    several.until("mail", |status| status["delivered"] == 2).await;
    assert_eq!((crm.report().requests, crm.report().duplicates), (2, 0));
    assert_eq!(body(&mail, 2)["other"], true, "by the new mapping");
    assert_eq!(body(&crm, 2).get("other"), None, "by the old one");
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_changed_sink_ends_what_is_in_flight_and_meanwhile_takes_records() {
    let held = Held::new().await;
    let mut several = Several::new();
    several.sink("crm", &held.endpoint.url(), MAPPING);
    let mut process = several.start();
    several.sender.send(&[record(1, 1)]).await;
    held.holds(1).await;
    several.sink("crm", &held.endpoint.url(), OTHER_MAPPING);
    several.begin_reload(&mut process);
    // The newer version of the profile in flight waits for that to end, its sender does not.
    let ack = several.sender.send(&[other(1, 2), other(2, 1)]).await;
    assert_eq!(ack["changed"], 2, "{ack}");
    assert_eq!(held.endpoint.received("crmid", "c-1").unwrap().times, 1);
    let crm = held.let_go();
    process.wait_for("reloaded: sinks changed: crm");
    several.until("crm", |status| status["delivered"] == 3).await;
    let report = crm.report();
    assert_eq!((report.requests, report.duplicates, report.order_violations), (3, 0, 0));
    assert_eq!(body(&crm, 1)["n"], 2);
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_does_not_end_within_the_limit_is_sent_again_under_its_version() {
    let held = Held::new().await;
    let mut several = Several::new();
    several.sink(
        "crm",
        &held.endpoint.url(),
        &mapping_with("timeout_secs: 600, deadline_secs: 600"),
    );
    let mut process = several.start_with(&["--shutdown-limit-secs", "1"]);
    several.sender.send(&[record(1, 1)]).await;
    held.holds(1).await;
    let before = held.endpoint.received("crmid", "c-1").unwrap().version;
    let mail = endpoint().await;
    several.sink("crm", &mail.url(), MAPPING);
    several.reload(&mut process);
    several.until("crm", |status| status["delivered"] == 1).await;
    assert_eq!(mail.received("crmid", "c-1").unwrap().version, before);
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_end_that_comes_during_a_reload_is_an_end() {
    let held = Held::new().await;
    let mut several = Several::new();
    several.sink(
        "crm",
        &held.endpoint.url(),
        &mapping_with("timeout_secs: 600, deadline_secs: 600"),
    );
    let mut process = several.start_with(&["--shutdown-limit-secs", "2"]);
    several.sender.send(&[record(1, 1)]).await;
    held.holds(1).await;
    several.sink("crm", &held.endpoint.url(), MAPPING);
    several.begin_reload(&mut process);
    let log = stop(process);
    assert!(log.contains("profiles wait in the store"), "{log}");
    assert!(!log.contains("reloaded"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_broken_file_is_reported_as_at_start_and_changes_nothing() {
    let (mut several, crm) = one_sink().await;
    let mut process = several.start();
    let good = several.text();
    let policy = "    marketing_use_cases: [ads]\n    governance: { policies: [{ name: none, \
                  deny_labels: [C4], use_cases: [ads] }] }\n";
    let denied = MAPPING.replace("[name,", "[{ path: name, labels: [C4] },") + policy;
    let broken = [
        (good.replace("http_endpoint", "http_endpiont"), "did you mean `http_endpoint`?"),
        (good.replace("sinks:", "sinks: ["), "run.yaml"),
        (good.replace("[name,", "[\"${NO_SUCH_VARIABLE}\","), "NO_SUCH_VARIABLE is not set"),
        (good.replace(MAPPING, &denied), "C4"),
        (
            good.replace("    profile:", "    tls: { ca_file: /no/such/file }\n    profile:"),
            "/no/such",
        ),
    ];
    let mut rejected = 0_u32;
    for (text, what) in broken {
        fs::write(&several.config, text).unwrap();
        process.signal("HUP");
        let line = process.wait_for("not reloaded, the former configuration stays in use");
        assert!(line.contains("ERROR") && line.contains("run.yaml:"), "{line}");
        if !line.contains(what) {
            process.wait_for(what);
        }
        rejected += 1;
        let series = "config_reload_rejected_total";
        until("the count", || several.metric(series) == Some(f64::from(rejected))).await;
        several.sender.send(&[record(rejected.into(), 1)]).await;
        several.until("crm", |status| status["delivered"] == rejected).await;
    }
    assert_eq!(several.metric("config_reloaded_total"), Some(0.0));
    several.sink("crm", &crm.url(), OTHER_MAPPING);
    assert!(several.reload(&mut process).contains("reloaded: sinks changed: crm"));
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn another_data_dir_needs_a_restart_and_nothing_of_that_file_is_used() {
    let (mut several, crm) = one_sink().await;
    let mut process = several.start();
    several.sink("mail", &crm.url(), MAPPING);
    several.data_dir = several.site.path("elsewhere");
    let line = several.reload(&mut process);
    for part in ["ERROR", "not reloaded", "data_dir has changed from", "elsewhere", "restart"] {
        assert!(line.contains(part), "there is no {part:?} in {line}");
    }
    assert!(!several.site.path("elsewhere").exists());
    assert_eq!(several.get("/api/v1/sinks/mail").0, 404);
    several.sender.send(&[record(1, 1)]).await;
    several.until("crm", |status| status["delivered"] == 1).await;
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_store_that_cannot_be_opened_refuses_the_whole_reload() {
    let (mut several, crm) = one_sink().await;
    let mut process = several.start();
    several.site.write("data/mail", "in the way");
    several.sink("mail", &crm.url(), MAPPING).sink("crm", &crm.url(), OTHER_MAPPING);
    let line = several.reload(&mut process);
    assert!(line.contains("not reloaded") && line.contains("sink mail: "), "{line}");
    assert_eq!(gauges_of(&several, "mail"), NO_GAUGES);
    several.sender.send(&[other(1, 1)]).await;
    several.until("crm", |status| status["delivered"] == 1).await;
    assert_eq!(body(&crm, 1).get("other"), None, "by the former mapping");
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_changed_sink_knows_what_it_delivered_and_tries_the_endpoint_anew() {
    let behaviour = Behaviour::answering(404);
    let crm = LocalEndpoint::start(Settings { behaviour, ..Settings::default() }).await.unwrap();
    let mail = endpoint().await;
    let mut several = Several::new();
    several.sink("crm", &crm.url(), MAPPING);
    let mut process = several.start();
    several.sender.send(&[record(1, 1), record(2, 1)]).await;
    several.until("crm", |status| status["gate"]["state"] == "closed").await;
    several.sink("crm", &mail.url(), MAPPING);
    several.reload(&mut process);
    let status = several.until("crm", |status| status["delivered"] == 2).await;
    assert_eq!(status["gate"]["state"], "open");
    let shown: Vec<_> = several
        .get("/metrics")
        .1
        .lines()
        .filter(|line| line.starts_with("profile_http_gate{") && line.ends_with(" 1"))
        .map(ToOwned::to_owned)
        .collect();
    assert!(shown.len() == 1 && shown[0].contains("state=\"open\""), "{shown:?}");
    let ack = several.sender.send(&[record(1, 1), record(2, 1)]).await;
    assert_eq!(ack["unchanged"], 2, "{ack}");
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_paused_sink_stays_paused_when_it_changes() {
    let (mut several, crm) = one_sink().await;
    let mut process = several.start();
    let api = several.api;
    let call = |action: &str| {
        let path = format!("/api/v1/sinks/crm/{action}");
        let headers = [("host", "localhost"), ("x-profile-http", "1")];
        assert_eq!(crate::console::call(api, "POST", &path, &headers).0, 200);
    };
    call("pause");
    several.sink("crm", &crm.url(), OTHER_MAPPING);
    several.reload(&mut process);
    let ack = several.sender.send(&[record(1, 1)]).await;
    assert_eq!(ack["changed"], 1);
    let status = several.status("crm");
    assert_eq!(
        (&status["gate"]["reason"], &status["profiles"]["due"]),
        (&json!("paused"), &json!(1))
    );
    assert_eq!(crm.report().requests, 0);
    call("resume");
    several.until("crm", |status| status["delivered"] == 1).await;
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn with_watch_config_a_changed_file_is_read_without_a_signal() {
    let (mut several, crm) = one_sink().await;
    let mut process = several.start_with(&["--watch-config"]);
    several.sink("crm", &crm.url(), OTHER_MAPPING);
    several.write();
    process.wait_for("its files have changed");
    process.wait_for("reloaded: sinks changed: crm");

    // Replaced as a whole, as editors and Kubernetes do.
    fs::write(several.site.path("new.yaml"), several.text().replace("in:", "in: [")).unwrap();
    fs::rename(several.site.path("new.yaml"), &several.config).unwrap();
    process.wait_for("not reloaded, the former configuration stays in use");
    several.sink("mail", &crm.url(), MAPPING);
    several.write();
    process.wait_for("reloaded: sinks added: mail; unchanged: crm");
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_watch_config_a_changed_file_waits_for_the_signal() {
    let (mut several, crm) = one_sink().await;
    let mut process = several.start();
    several.sink("crm", &crm.url(), OTHER_MAPPING);
    several.write();
    tokio::time::timeout(Duration::from_secs(4), async {
        several.until("crm", |_| false).await;
    })
    .await
    .unwrap_err();
    assert_eq!(several.metric("config_reloaded_total"), Some(0.0));
    assert!(several.reload(&mut process).contains("changed: crm"));
    stop(process);
}
