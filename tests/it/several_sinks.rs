//! Several sinks of one source: none slows another, and a record is safe in all of them before its
//! sender hears of it.

use std::{
    net::{Ipv4Addr, TcpListener},
    process::Command,
};

use http::StatusCode;
use profile_http::local_endpoint::{Behaviour, LocalEndpoint, Settings};
use serde_json::{Value, json};

use crate::{
    several::{Several, listening, mapping_with, until},
    support::{MAPPING, Process, Sender, free_address, record},
};

const PROFILES: u64 = 200;

async fn endpoint() -> LocalEndpoint {
    LocalEndpoint::start(Settings::default()).await.unwrap()
}

/// A sink `crm` before an endpoint that works and a sink `mail` before one that does not, for as
/// long as all of it takes.
async fn is_held_by_nothing(dead: &str, gate: Option<&str>) {
    let crm = endpoint().await;
    let mut several = Several::new();
    // Attempts that are never answered last as long as the test.
    several.sink("crm", &crm.url(), MAPPING).sink("mail", dead, &mapping_with("timeout_secs: 600"));
    let process = several.start();
    for id in 0..PROFILES {
        // Each is answered, and delivered by the one sink before the next is sent.
        let ack = several.sender.send(&[record(id, 1)]).await;
        assert_eq!(ack["changed"], 2, "by either sink: {ack}");
        until("the profile at the endpoint that works", || crm.report().taken == id + 1).await;
    }
    let well = several.delivered("crm").await;
    assert_eq!((&well["delivered"], &well["oldest_due"]), (&json!(PROFILES), &Value::Null));
    assert_eq!(well["gate"]["state"], "open");

    let ill = several.status("mail");
    assert_eq!((&ill["delivered"], &ill["profiles"]["due"]), (&json!(0), &json!(PROFILES)));
    assert!(ill["oldest_due"].is_string(), "{ill}");
    if let Some(reason) = gate {
        let ill = several.until("mail", |status| status["gate"]["state"] != "open").await;
        assert_eq!(ill["gate"]["reason"], reason);
    }

    let sent = |sink| {
        format!(
            "component_sent_events_total{{component_id=\"{sink}\",component_kind=\"sink\",component_type=\"profile_http\"}}"
        )
    };
    assert_eq!(several.metric(&sent("crm")), Some(200.0));
    assert_eq!(several.metric(&sent("mail")), Some(0.0));
    assert_eq!(crm.report().duplicates, 0);
    process.kill();

    // What the other sink has not delivered waits in a store of its own.
    let mail = endpoint().await;
    several.sink("mail", &mail.url(), MAPPING);
    let process = several.start();
    several.delivered("mail").await;
    assert_eq!((mail.report().profiles, crm.report().taken), (PROFILES, PROFILES));
    drop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_endpoint_that_never_answers_holds_no_other_sink() {
    // Connections are made and nobody takes them.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    is_held_by_nothing(&url, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_endpoint_that_refuses_connections_holds_no_other_sink() {
    is_held_by_nothing(&format!("http://{}/", free_address()), Some("failing")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_closed_gate_holds_no_other_sink() {
    let behaviour = Behaviour::answering(404);
    let closed = LocalEndpoint::start(Settings { behaviour, ..Settings::default() }).await.unwrap();
    is_held_by_nothing(&closed.url(), Some("endpoint")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_sink_keeps_its_own_pace() {
    let (crm, mail) = (endpoint().await, endpoint().await);
    let mut several = Several::new();
    let slow = mapping_with("rate_limit_num: 1, rate_limit_duration_secs: 86400");
    several.sink("crm", &crm.url(), MAPPING).sink("mail", &mail.url(), &slow);
    let _process = several.start();
    let records: Vec<_> = (0..PROFILES).map(|id| record(id, 1)).collect();
    several.sender.send(&records).await;
    several.delivered("crm").await;
    several.until("mail", |status| status["delivered"] == 1).await;
    assert_eq!(several.status("mail")["profiles"]["due"], PROFILES - 1);
    assert_eq!((crm.report().taken, mail.report().taken), (PROFILES, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_sender_is_turned_away_while_one_of_the_stores_cannot_take_its_record() {
    const LIMIT: u64 = 1 << 20;
    let (crm, mail) = (endpoint().await, endpoint().await);
    let mut several = Several::new();
    let extra = free_address();
    several.sources.push(("extra".to_owned(), listening(extra, "")));
    several.sink("crm", &crm.url(), MAPPING);
    several.sink_from("[in, extra]", "mail", &mail.url(), MAPPING);
    several.write();
    // A write beyond the largest size of a file fails instead of ending the process.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" run -c \"$1\""]);
    command.arg(env!("CARGO_BIN_EXE_profile-http")).arg(&several.config);
    let mut process = Process::spawn(command);
    process.wait_for("source=\"extra\"");

    // The files of the one store grow beyond the limit that comes then.
    let name = "x".repeat(1000);
    let wide = |id: u64| {
        format!(r#"{{"identityMap":{{"crmid":[{{"id":"w-{id}"}}]}},"name":"{id}{name}"}}"#)
    };
    let records: Vec<_> = (0..4 * LIMIT / 1000).map(wide).collect();
    let extra = Sender::new(extra);
    for part in records.chunks(500) {
        extra.send(part).await;
    }
    several.delivered("mail").await;
    let fsize = format!("--fsize={LIMIT}:");
    let pid = process.pid().to_string();
    let limited = Command::new("prlimit").args([&fsize, "--pid", &pid]).status().unwrap();
    assert!(limited.success());

    let (status, body) = several.sender.post(record(1, 1)).await.expect("an answer");
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    let (status, log) = process.wait();
    assert!(!status.success() && log.contains("sink mail: "), "{log}");

    let process = several.start();
    let ack = several.sender.send(&[record(1, 1)]).await;
    let taken = ack["changed"].as_u64().unwrap() + ack["unchanged"].as_u64().unwrap();
    assert!(taken == 2 && ack["changed"] != 0, "taken by the store that had failed: {ack}");
    for (sink, endpoint) in [("crm", &crm), ("mail", &mail)] {
        several.delivered(sink).await;
        let received = endpoint.received("crmid", "c-1").expect("it was delivered");
        assert!(received.times <= 2, "{sink}: {received:?}");
    }
    drop(process);
}
