//! The API of a running process: who may call, what it says of the process, and where it listens.

use std::net::TcpListener;

use profile_http::local_endpoint::Behaviour;
use serde_json::Value;

use crate::{
    console::{Looked, stderr, stdout},
    support::{Process, record},
};

const LOCAL: (&str, &str) = ("host", "localhost");
const CHANGE: (&str, &str) = ("x-profile-http", "1");

fn error(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {body}"));
    body["error"].as_str().unwrap_or_else(|| panic!("no error: {body}")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_a_token_only_this_machine_and_no_web_page_may_call() {
    let looked = Looked::at(Behaviour::default(), "").await;
    let _process = looked.start();
    for host in ["localhost", "127.0.0.1:8686", "[::1]"] {
        assert_eq!(looked.call("GET", "/api/v1/sinks", &[("host", host)]).0, 200, "{host}");
    }
    for path in ["/api/v1/sinks", "/metrics", "/nowhere"] {
        let (status, body) = looked.call("GET", path, &[("host", "evil.example")]);
        assert_eq!(status, 403, "{path}");
        assert!(error(&body).contains("loopback"), "{body}");
    }
    for (method, path) in [
        ("POST", "/api/v1/sinks/crm/pause"),
        ("DELETE", "/api/v1/sinks/crm/dead-letters"),
        ("POST", "/api/v1/sinks/crm/dead-letters/replay"),
    ] {
        let (status, body) = looked.call(method, path, &[LOCAL]);
        assert_eq!(status, 403, "{path}");
        assert!(error(&body).contains("X-Profile-Http: 1"), "{body}");
        assert_eq!(looked.call(method, path, &[LOCAL, CHANGE]).0, 200, "{path}");
    }
    assert_eq!(looked.call("GET", "/health/live", &[("host", "10.1.2.3")]).0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn with_a_token_nobody_else_may_call_but_for_health() {
    let looked = Looked::at(Behaviour::default(), ", token: s3cret").await;
    let process = looked.start();
    let bearer = |token: &str| format!("Bearer {token}");
    for path in ["/api/v1/sinks", "/metrics", "/api/v1/sinks/crm/dead-letters", "/nowhere"] {
        for headers in [
            vec![LOCAL],
            vec![LOCAL, CHANGE],
            vec![LOCAL, ("authorization", "Bearer s3cre")],
            vec![LOCAL, ("authorization", "Basic s3cret")],
        ] {
            let (status, body) = looked.call("GET", path, &headers);
            assert_eq!(status, 401, "{path} {headers:?}");
            assert!(error(&body).contains("api.token"), "{body}");
        }
    }
    let shown = bearer("s3cret");
    let headers = [("host", "profiles.example"), ("authorization", shown.as_str())];
    assert_eq!(looked.call("GET", "/metrics", &headers).0, 200);
    assert_eq!(looked.call("POST", "/api/v1/sinks/crm/pause", &headers).0, 200);
    assert_eq!(looked.call("GET", "/health/ready", &[LOCAL]).0, 200);
    // The commands send it.
    assert_eq!(looked.json(&["status", "--sink", "crm"])["gate"]["reason"], "paused");
    let url = format!("http://{}", looked.api);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_profile-http"))
        .args(["status", "--api", &url])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("name the configuration of the process with -c"));
    process.signal("TERM");
    let (_, log) = process.wait();
    assert!(!log.contains("s3cret"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_not_there_is_said_in_json() {
    let looked = Looked::at(Behaviour::default(), "").await;
    let _process = looked.start();
    let missing = "0".repeat(32);
    let sink = "/api/v1/sinks/crm";
    for (method, path, status, part) in [
        ("GET", "/".to_owned(), 404, "/api/v1/sinks"),
        ("GET", "/api/v1/sinks/other".to_owned(), 404, "the sinks are: crm"),
        ("GET", "/api/v1/sinks/other/dead-letters".to_owned(), 404, "the sinks are: crm"),
        ("GET", format!("{sink}/dead-letters/{missing}"), 404, &missing),
        ("DELETE", format!("{sink}/dead-letters/{missing}"), 404, &missing),
        ("POST", format!("{sink}/dead-letters/{missing}/replay"), 404, &missing),
        ("GET", format!("{sink}/dead-letters/x"), 400, "`x` is no id"),
        ("GET", format!("{sink}/dead-letters?limit=0"), 400, "`limit` lies between"),
        ("GET", format!("{sink}/dead-letters?limit=x"), 400, "limit"),
        ("GET", format!("{sink}/dead-letters?limits=1"), 400, "limits"),
        ("GET", format!("{sink}/dead-letters?before=x"), 400, "`x` is no id"),
        ("POST", format!("{sink}/dead-letters/i-1-1/replay"), 409, "invalid record"),
        ("DELETE", sink.to_owned(), 405, "DELETE"),
        ("PUT", "/metrics".to_owned(), 405, "PUT"),
        ("GET", format!("{sink}/pause"), 405, "GET"),
    ] {
        let (found, body) = looked.call(method, &path, &[LOCAL, CHANGE]);
        assert_eq!(found, status, "{method} {path}: {body}");
        assert!(error(&body).contains(part), "{method} {path}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_paused_sink_takes_updates_and_delivers_nothing_until_it_is_resumed() {
    let looked = Looked::at(Behaviour::default(), "").await;
    let _process = looked.start();
    let (status, body) = looked.call("POST", "/api/v1/sinks/crm/pause", &[LOCAL, CHANGE]);
    assert_eq!(status, 200, "{body}");
    looked.send(1, 1).await;
    let paused = looked.until(|sink| sink["profiles"]["due"] == 1).await;
    assert_eq!(
        (&paused["gate"]["state"], &paused["gate"]["reason"]),
        (&"closed".into(), &"paused".into())
    );
    assert_eq!(looked.endpoint.report().requests, 0);
    let shown = stdout(&looked.command(&["status"]));
    assert!(shown.contains("crm: the gate is closed (paused)"), "{shown}");
    looked.call("POST", "/api/v1/sinks/crm/resume", &[LOCAL, CHANGE]);
    looked.until(|sink| sink["delivered"] == 1).await;
    assert_eq!(looked.endpoint.report().taken, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn status_tells_why_profiles_wait_and_what_went_wrong() {
    let looked = Looked::at(Behaviour::answering(403), "").await;
    let process = looked.start();
    looked.send(1, 1).await;
    looked.until(|sink| sink["gate"]["reason"] == "endpoint").await;
    let sinks = looked.json(&["status"]);
    let sink = &sinks[0];
    assert_eq!((&sink["sink"], &sink["profiles"]["due"]), (&"crm".into(), &1.into()));
    assert!(sink["last_error"]["message"].as_str().unwrap().contains("403"), "{sink}");
    let shown = stdout(&looked.command(&["status", "--sink", "crm"]));
    assert!(shown.starts_with("SINK"), "{shown}");
    assert!(shown.contains("(endpoint") && shown.contains("permission"), "{shown}");
    process.signal("TERM");
    process.wait();
    let output = looked.command(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("nothing answers at http://"), "{}", stderr(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn metrics_are_in_the_text_format_and_count_what_happens() {
    let looked = Looked::at(Behaviour::default(), "").await;
    let _process = looked.start();
    looked.send(1, 1).await;
    looked.until(|sink| sink["delivered"] == 1).await;
    let (status, text) = looked.call("GET", "/metrics", &[LOCAL]);
    assert_eq!(status, 200);
    assert!(text.ends_with("# EOF\n"), "{text}");
    let mut typed = "";
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(comment) = line.strip_prefix("# ") {
            let (kind, rest) = comment.split_once(' ').unwrap();
            assert!(["HELP", "TYPE", "UNIT"].contains(&kind), "{line}");
            typed = rest.split(' ').next().unwrap();
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(series.starts_with(typed), "{line} below {typed}");
        value.parse::<f64>().unwrap_or_else(|_| panic!("no number: {line}"));
    }
    let labels = r#"{component_id="crm",component_kind="sink",component_type="profile_http"}"#;
    for name in ["component_sent_events_total", "http_client_requests_sent_total"] {
        assert!(text.contains(&format!("{name}{labels} 1\n")), "{name} in {text}");
    }
    for name in [
        "profile_http_profiles{",
        "profile_http_updates_total{",
        "profile_http_exports_total{",
        "profile_http_oldest_due_seconds{",
        "profile_http_delivery_lag_seconds_bucket{",
        "profile_http_gate{",
        "profile_http_reconcile_remaining{",
        "profile_http_store_commit_seconds_bucket{",
    ] {
        assert!(text.contains(name), "{name} in {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_port_in_use_is_told_before_anything_is_taken() {
    let looked = Looked::at(Behaviour::default(), "").await;
    let taken = TcpListener::bind(looked.api).unwrap();
    let (status, message) = Process::run(&looked.config).fed("");
    assert_eq!(status.code(), Some(1));
    assert!(message.starts_with("error: the API cannot listen on "), "{message}");
    assert!(message.contains("api.address") && message.contains("api.enabled"), "{message}");
    assert!(!looked.site.path("data").exists(), "no store is made");
    drop(taken);
    let _process = looked.start();
    let (status, body) = looked.get("/health/ready");
    assert_eq!((status, &body["status"]), (200, &"ready".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_process_that_drains_still_answers() {
    let looked = Looked::at(Behaviour::answering(503), "").await;
    let config = std::fs::read_to_string(&looked.config).unwrap();
    let (before, rest) = config.split_once("  in: ").unwrap();
    let (_, after) = rest.split_once('\n').unwrap();
    std::fs::write(&looked.config, format!("{before}  in: {{ type: stdin }}\n{after}")).unwrap();
    let mut process = Process::run(&looked.config);
    process.write(&(record(1, 1) + "\n"));
    process.close_stdin();
    process.wait_for("every source has ended");
    looked.until(|sink| sink["profiles"]["due"] == 1).await;
    looked.endpoint.behave(Behaviour::default());
    let (status, log) = process.wait();
    assert!(status.success(), "{log}");
}
