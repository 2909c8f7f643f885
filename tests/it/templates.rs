//! URLs and headers that are filled in from the profile.

use std::{
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use profile_http::listen;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::{Process, Site};

const SINK: &str = r#"    method: put
    query: { name: "{name}", tenant: acme }
    custom_headers: { x-tier: "tier {loyalty.tier}", x-source: cdp }
    profile: { key: identityMap.crmid }
    export: { attributes: [name, loyalty] }
"#;

fn record(id: &str, name: &str, tier: &Value) -> String {
    let record = json!({
        "identityMap": { "crmid": [{ "id": id }] },
        "name": name,
        "loyalty": { "tier": tier },
    });
    record.to_string()
}

/// The lines that arrive: method, path and query, and one header.
async fn endpoint() -> (String, Arc<Mutex<Vec<String>>>, CancellationToken) {
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let listener = listen::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let url = format!("http://{}/contacts/{{identityMap.crmid}}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let answer = {
        let lines = lines.clone();
        move |request: Request<Incoming>| {
            let tier = request.headers()["x-tier"].to_str().unwrap();
            let line = format!("{} {} {tier}", request.method(), request.uri());
            lines.lock().unwrap().push(line);
            async move { Ok(Response::new(Full::new(Bytes::new()))) }
        }
    };
    tokio::spawn(listen::serve(listener, None, stop.clone(), answer));
    (url, lines, stop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_profile_is_put_where_it_belongs_and_hostile_ones_are_set_aside() {
    let (url, lines, _stop) = endpoint().await;
    let site = Site::new();
    let config = site.configure("run.yaml", "{ type: stdin }", &url, SINK);
    let records = [
        record("c/1", "Ada & Co", &json!(1.5)),
        record("../admin", "x", &json!("gold")),
        record("c-2", "x", &json!("a\r\nx-admin: 1")),
        record("c-3", "x", &json!(["gold"])),
        record("c-4", "?#", &json!(true)),
    ];
    let (status, log) = Process::run(&config).fed(&records.join("\n"));
    assert!(status.success(), "{log}");
    let mut lines = lines.lock().unwrap().clone();
    lines.sort();
    assert_eq!(
        lines,
        [
            "PUT /contacts/c%2F1?name=Ada%20%26%20Co&tenant=acme tier 1.5",
            "PUT /contacts/c-4?name=%3F%23&tenant=acme tier true",
        ]
    );
    assert!(log.contains("path=\"/contacts/{identityMap.crmid}\""), "{log}");
    assert!(log.contains("dead_letters=3"), "{log}");
    assert!(log.contains("{loyalty.tier} has no value"), "{log}");
    for personal in ["admin", "c-2", "Ada"] {
        assert!(!log.contains(personal), "{log}");
    }
}

/// What `explain` prints for records on standard input.
fn explained(site: &Site, json: bool, records: &[String]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_profile-http"));
    command.arg("explain").arg("-c").arg(site.path("c.yaml")).stdout(Stdio::piped());
    if json {
        command.arg("--json");
    }
    let mut process = Process::spawn(command);
    let mut out = process.stdout();
    let (status, log) = process.fed(&records.join("\n"));
    assert!(status.success(), "{log}");
    std::io::read_to_string(&mut out).unwrap()
}

#[test]
fn explain_shows_the_url_and_the_headers_as_they_are_sent() {
    let site = Site::new();
    let url = "https://api.acme.example/contacts/{identityMap.crmid}";
    site.configure("c.yaml", "{ type: stdin }", url, SINK);
    let records = [record("c/1", "Ada", &json!("gold")), record("c-2", "", &json!("gold"))];
    let text = explained(&site, false, &records);
    for line in [
        "sink crm: PUT https://api.acme.example/contacts/{identityMap.crmid}?name={name}&tenant=<hidden>",
        "  sent        PUT https://api.acme.example/contacts/c%2F1?name=Ada&tenant=<hidden>",
        "              x-tier: tier gold",
        "  sent        nothing: {name} is empty; a dead letter until something relevant changes",
        "2 records: 1 request would be sent",
    ] {
        assert!(text.lines().any(|found| found == line), "no line {line:?} in:\n{text}");
    }
    let said: Value = serde_json::from_str(&explained(&site, true, &records)).unwrap();
    assert_eq!(said[0]["unrenderable"], Value::Null);
    assert_eq!(said[1]["unrenderable"], "{name} is empty");
    assert_eq!((&said[1]["request"], &said[1]["verdict"]), (&Value::Null, &json!("changed")));
}

#[test]
fn validate_takes_a_templated_url_and_names_what_is_not_mapped() {
    let validate = |url: &str| {
        let site = Site::new();
        let config = site.configure("c.yaml", "{ type: stdin }", url, SINK);
        let mut command = Command::new(env!("CARGO_BIN_EXE_profile-http"));
        command.arg("validate").arg("--no-environment").arg(config).output().unwrap()
    };
    let output = validate("https://api.acme.example/contacts/{identityMap.crmid}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let line = "  PUT https://api.acme.example/contacts/{identityMap.crmid} without authentication";
    assert!(text.lines().any(|found| found == line), "{text}");

    let output = validate("https://api.acme.example/contacts/{person.email}");
    assert_eq!(output.status.code(), Some(78));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("person.email is not mapped"), "{text}");
    assert!(text.contains("help: add it to export.attributes"), "{text}");
}
