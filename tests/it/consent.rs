//! Consent, from outside: who is exported, what the endpoint hears of a withdrawal, and that
//! nothing else of the person leaves.

use std::{
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use profile_http::{listen, local_endpoint::Behaviour};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    console::Looked,
    support::{Place, Process, Site},
};

/// A sink that asks for consent to mails.
const SINK: &str = "    profile: { key: identityMap.crmid }
    export:
      attributes: [person.name, loyalty]
      segments: [gold, silver]
      unmapped_segments: true
      removed: null
      consent: consents.marketing.email.val
";

/// A gold member who is in an unmapped segment too, with this consent; `null` is none.
fn record(name: &str, consent: &Value) -> Value {
    let mut record = json!({
        "identityMap": { "crmid": [{ "id": "c-1" }] },
        "person": { "name": name },
        "consents": { "marketing": { "email": { "val": consent } } },
        "segmentMembership": { "ups": {
            "gold": { "status": "realized", "lastQualificationTime": "2024-01-02T03:04:05Z" },
            "other": { "status": "realized" },
        } },
    });
    if consent.is_null() {
        record.as_object_mut().unwrap().remove("consents");
    }
    record
}

fn full_export(name: &str) -> Value {
    json!({
        "person": { "name": name },
        "loyalty": null,
        "segmentMembership": { "ups": {
            "gold": { "lastQualificationTime": "2024-01-02T03:04:05Z", "status": "realized" },
            "other": { "status": "realized" },
        } },
        "identityMap": { "crmid": [{ "id": "c-1" }] },
    })
}

/// Checks a last export, which says since when it holds.
fn assert_withdrawal(mut export: Value) {
    let at = export["segmentMembership"]["ups"]["gold"]["lastQualificationTime"].take();
    let year: u32 = at.as_str().unwrap()[..4].parse().unwrap();
    assert!(year > 2024, "the time of the update: {at}");
    let expected = json!({
        "segmentMembership": { "ups": {
            "gold": { "lastQualificationTime": null, "status": "exited" },
        } },
        "identityMap": { "crmid": [{ "id": "c-1" }] },
    });
    assert_eq!(export, expected);
}

fn posted(record: &Value) -> [String; 1] {
    [record.to_string()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_withdraws_consent_is_taken_back_and_who_gives_it_again_is_exported_again() {
    let mut place = Place::new().await;
    let _process = place.run("http_server", "", SINK);
    let sender = crate::support::Sender::new(place.address);
    let verdict = |answer: &Value| {
        ["changed", "unchanged", "not_followed"].map(|name| answer[name].as_u64().unwrap())
    };
    let next = |body: Option<Bytes>| serde_json::from_slice::<Value>(&body.unwrap()).unwrap();

    // What the endpoint never hears of: no consent, none at all, and consent that comes and goes
    // before anything was sent.
    for silent in [record("Ada", &json!("n")), record("Ada", &Value::Null)] {
        assert_eq!(verdict(&sender.send(&posted(&silent)).await), [0, 0, 1]);
    }
    let came_and_went = [record("Ada", &json!("y")), record("Ada", &json!("n"))];
    let came_and_went = came_and_went.map(|record| record.to_string());
    assert_eq!(verdict(&sender.send(&came_and_went).await), [1, 0, 1]);

    assert_eq!(verdict(&sender.send(&posted(&record("Ada", &json!("y")))).await), [1, 0, 0]);
    assert_eq!(next(place.arrived.recv().await), full_export("Ada"));
    assert_eq!(verdict(&sender.send(&posted(&record("Ada", &json!("VI")))).await), [0, 1, 0]);

    assert_eq!(verdict(&sender.send(&posted(&record("Eve", &json!("n")))).await), [1, 0, 0]);
    assert_withdrawal(next(place.arrived.recv().await));
    // Changes are remembered, but not exported.
    assert_eq!(verdict(&sender.send(&posted(&record("Zoe", &json!("n")))).await), [0, 0, 1]);
    assert_eq!(verdict(&sender.send(&posted(&record("Zoe", &json!("y")))).await), [1, 0, 0]);
    assert_eq!(next(place.arrived.recv().await), full_export("Zoe"));
    assert_eq!(place.endpoint.report().requests, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_withdrawal_is_an_item_of_a_batch_like_any_other() {
    let mut place = Place::new().await;
    let sink = format!("{SINK}    batch: {{ max_profiles: 10, timeout_secs: 0.01 }}\n");
    let _process = place.run("http_server", "", &sink);
    let sender = crate::support::Sender::new(place.address);
    // The local endpoint takes batches apart.
    let both = [record("Ada", &json!("y")), keyed(record("Bob", &json!("y")), "c-2")];
    sender.send(&both.map(|record| record.to_string())).await;
    for _ in 0..2 {
        place.arrived.recv().await.unwrap();
    }
    let both = [record("Eve", &json!("n")), keyed(record("Bo", &json!("y")), "c-2")];
    sender.send(&both.map(|record| record.to_string())).await;
    let mut exports = Vec::new();
    for _ in 0..2 {
        let body = place.arrived.recv().await.unwrap();
        exports.push(serde_json::from_slice::<Value>(&body).unwrap());
    }
    exports.sort_by_key(|export| export["identityMap"].to_string());
    assert_eq!(exports.pop().unwrap(), keyed(full_export("Bo"), "c-2"));
    assert_withdrawal(exports.pop().unwrap());
}

/// The same of another person.
fn keyed(mut profile: Value, id: &str) -> Value {
    profile["identityMap"]["crmid"] = json!([{ "id": id }]);
    profile
}

/// Requests as text: method, URL, headers and body.
async fn endpoint() -> (String, Arc<Mutex<Vec<String>>>, CancellationToken) {
    let requests = Arc::<Mutex<Vec<String>>>::default();
    let listener = listen::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let url = format!(
        "http://{}/contacts/{{identityMap.crmid}}?n={{person.name}}",
        listener.local_addr().unwrap()
    );
    let stop = CancellationToken::new();
    let answer = {
        let requests = requests.clone();
        move |request: Request<Incoming>| {
            let requests = requests.clone();
            async move {
                let head = format!("{} {:?}", request.uri(), request.headers());
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let text = format!("{head} {}", String::from_utf8_lossy(&body));
                requests.lock().unwrap().push(text);
                Ok(Response::new(Full::new(Bytes::new())))
            }
        }
    };
    tokio::spawn(listen::serve(listener, None, stop.clone(), answer));
    (url, requests, stop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_attribute_is_in_url_headers_body_or_log_of_a_withdrawal_that_reaches_its_place() {
    let (url, requests, _stop) = endpoint().await;
    let site = Site::new();
    let sink = format!("    custom_headers: {{ x-name: \"{{person.name}}\" }}\n{SINK}");
    let config = site.configure("run.yaml", "{ type: stdin }", &url, &sink);
    let mut log = String::new();
    for record in [record("Ada", &json!("y")), record("Eve", &json!("n"))] {
        let (status, said) = Process::run(&config).fed(&record.to_string());
        assert!(status.success(), "{said}");
        log = said;
    }
    let requests = requests.lock().unwrap().clone();
    let [full, last] = &requests[..] else { panic!("{requests:?}") };
    assert!(full.starts_with("/contacts/c-1?n=Ada ") && full.contains("x-name"), "{full}");
    assert!(last.starts_with("/contacts/c-1 ") && last.contains("exited"), "{last}");
    for personal in ["Eve", "Ada", "x-name", "other"] {
        assert!(!last.contains(personal) && !log.contains(personal), "{last}\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_withdrawal_that_no_url_can_be_made_of_leaves_no_dead_letter() {
    let (url, requests, _stop) = endpoint().await;
    let site = Site::new();
    let url = url.replace("{identityMap.crmid}", "{person.name}");
    let config = site.configure("run.yaml", "{ type: stdin }", &url, SINK);
    let mut logs = String::new();
    for record in [record("Ada", &json!("y")), record("Eve", &json!("n"))] {
        let (status, log) = Process::run(&config).fed(&record.to_string());
        assert!(status.success(), "{log}");
        logs = log;
    }
    assert_eq!(requests.lock().unwrap().len(), 1);
    assert!(logs.contains("cannot be told of withdrawn consent"), "{logs}");
    assert!(logs.contains("{person.name} has no value"), "{logs}");
    assert!(!logs.contains("Eve") && logs.contains("dead_letters=0"), "{logs}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_missing_value_of_consent_is_counted() {
    let looked = Looked::at(Behaviour::default(), "").await;
    let text = std::fs::read_to_string(&looked.config).unwrap();
    std::fs::write(&looked.config, text.replace("[name, n]", "[name, n], consent: ok")).unwrap();
    let _process = looked.start();
    looked.send(1, 1).await;
    looked.send(2, 1).await;
    let (_, metrics) = looked.call("GET", "/metrics", &[("host", "localhost")]);
    let labels = r#"{component_id="crm",component_kind="sink",component_type="profile_http"}"#;
    let line = format!("profile_http_consent_missing_total{labels} 2");
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
}

fn explain(records: &[Value], json: bool) -> String {
    let site = Site::new();
    site.configure("c.yaml", "{ type: stdin }", "https://api.acme.example/p", SINK);
    let mut command = Command::new(env!("CARGO_BIN_EXE_profile-http"));
    command.arg("explain").arg("-c").arg(site.path("c.yaml")).stdout(Stdio::piped());
    if json {
        command.arg("--json");
    }
    let mut process = Process::spawn(command);
    let mut out = process.stdout();
    let lines: Vec<_> = records.iter().map(ToString::to_string).collect();
    let (status, log) = process.fed(&lines.join("\n"));
    assert!(status.success(), "{log}");
    std::io::read_to_string(&mut out).unwrap()
}

#[test]
fn explain_says_which_value_is_or_is_no_consent() {
    let records = [
        record("Ada", &Value::Null),
        record("Ada", &json!("y")),
        record("Ada", &json!("n")),
        record("Ada", &json!(true)),
        record("Ada", &json!("VI")),
    ];
    let text = explain(&records, false);
    for line in [
        "  consent     consents.marketing.email.val",
        "  consent     not given: there is nothing at consents.marketing.email.val",
        "  followed    no: it does not consent",
        "  consent     given: consents.marketing.email.val is \"y\"",
        "  followed    yes: member of ups/gold",
        "  consent     not given: consents.marketing.email.val is \"n\", neither \"y\" nor \"VI\"",
        "  because     unfollowed: it does not consent any more; its last export, without attributes",
        "  consent     not given: consents.marketing.email.val is true, neither \"y\" nor \"VI\"",
        "  because     followed: it consents again",
        "5 records: 3 requests would be sent",
    ] {
        assert!(text.lines().any(|found| found == line), "no line {line:?} in:\n{text}");
    }
    let said: Value = serde_json::from_str(&explain(&records, true)).unwrap();
    let path = "consents.marketing.email.val";
    assert_eq!(said[0]["consent"], json!([{ "path": path, "value": null, "given": false }]));
    assert_eq!(said[1]["consent"], json!([{ "path": path, "value": "y", "given": true }]));
    assert_eq!(said[2]["request"]["body"].get("person"), None);
}
