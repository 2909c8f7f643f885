//! Single profiles, looked up, sent again and forgotten by the command: on a running process and on
//! a store that nothing uses.

use std::{fs, path::Path};

use profile_http::local_endpoint::Behaviour;
use serde_json::json;

use crate::{
    console::{Looked, stderr, stdout},
    support::{Process, record},
};

async fn taking() -> Looked {
    Looked::at(Behaviour::default(), "").await
}

fn stop(process: Process) -> String {
    process.signal("TERM");
    let (status, log) = process.wait();
    assert!(status.success(), "{log}");
    log
}

/// Whether a text stands in any file of a directory.
fn is_in_files(text: &str, dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return is_in_files(text, &path);
        }
        fs::read(path).unwrap().windows(text.len()).any(|part| part == text.as_bytes())
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_profile_is_shown_while_it_runs_and_after() {
    let looked = taking().await;
    let process = looked.start();
    looked.send(1, 7).await;
    looked.until(|sink| sink["delivered"] == 1).await;
    let shown = looked.json(&["profiles", "show", "--key", "c-1"]);
    assert_eq!((&shown["key"], &shown["key_path"]), (&"c-1".into(), &"identityMap.crmid".into()));
    assert_eq!((&shown["followed"], &shown["due"]), (&true.into(), &false.into()));
    assert_eq!(shown["version"], shown["confirmed"]);
    assert_eq!(shown["kept"]["n"], 7);
    let sent = looked.endpoint.received("crmid", "c-1").unwrap();
    assert_eq!(shown["version"], sent.version);
    let export = json!({ "name": "p1", "n": 7, "identityMap": { "crmid": [{ "id": "c-1" }] } });
    assert_eq!(shown["export"], export);
    assert_eq!(looked.json(&["profiles", "show", "--key", "identityMap.crmid=c-1"]), shown);
    let text = stdout(&looked.command(&["profiles", "show", "--key", "c-1"]));
    for part in ["identityMap.crmid c-1", "followed:         yes", "nothing is due", "\"n\": 7"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    for key in ["c-2", "..", "a/b?c#d", "ü"] {
        let unknown = looked.command(&["profiles", "show", "--key", key]);
        assert_eq!(unknown.status.code(), Some(1));
        assert!(stderr(&unknown).contains("there is no such profile"), "{}", stderr(&unknown));
    }
    let log = stop(process);
    assert!(!log.contains("c-1"), "no personal data: {log}");
    assert_eq!(looked.json(&["profiles", "show", "--key", "c-1"]), shown, "when nothing runs too");
    let unknown = looked.command(&["profiles", "show", "--key", "c-2"]);
    assert!(stderr(&unknown).contains("there is no such profile"), "{}", stderr(&unknown));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn any_key_can_be_named() {
    let looked = taking().await;
    let process = looked.start();
    let keys = ["..", ".", "a/b?c#d", "ü %2F", "resend", "x=y"];
    let records = keys
        .map(|key| format!(r#"{{"identityMap":{{"crmid":[{{"id":{key:?}}}]}},"name":"p","n":1}}"#));
    looked.sender.send(&records).await;
    looked.until(|sink| sink["delivered"] == keys.len()).await;
    for key in keys {
        assert_eq!(looked.json(&["profiles", "show", "--key", key])["key"], key);
        assert_eq!(looked.json(&["profiles", "resend", "--key", key])["resent"], 1, "{key}");
        assert_eq!(looked.json(&["profiles", "forget", "--key", key])["known"], true, "{key}");
    }
    looked.until(|sink| sink["profiles"]["known"] == 0).await;
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_profile_is_sent_again_under_a_new_version_and_all_of_them_are() {
    let looked = taking().await;
    let process = looked.start();
    for id in 1..=3 {
        looked.send(id, 1).await;
    }
    looked.until(|sink| sink["delivered"] == 3).await;
    let before = looked.endpoint.received("crmid", "c-1").unwrap().version;
    let one = looked.command(&["profiles", "resend", "--key", "c-1"]);
    assert_eq!(stdout(&one), "1 profile is due under a new version\n");
    looked.until(|sink| sink["delivered"] == 4).await;
    assert!(looked.endpoint.received("crmid", "c-1").unwrap().version > before);
    let all = looked.json(&["profiles", "resend", "--all"]);
    assert_eq!(all, json!({ "resent": 3, "not_followed": 0 }));
    looked.until(|sink| sink["delivered"] == 7).await;
    let log = stop(process);
    assert!(log.contains("profiles are sent again, by hand") && !log.contains("c-1"), "{log}");

    let all = looked.command(&["profiles", "resend", "--all"]);
    assert_eq!(stdout(&all), "3 profiles are due under a new version; delivered by the next run\n");
    let process = looked.start();
    looked.until(|sink| sink["delivered"] == 3).await;
    stop(process);
    let neither = looked.command(&["profiles", "resend"]);
    assert_eq!(neither.status.code(), Some(1), "neither a key nor --all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_profile_is_forgotten_by_a_running_process_and_erased_from_its_files() {
    let looked = taking().await;
    let process = looked.start();
    for id in 100..200 {
        looked.send(id, 1).await;
    }
    looked.sender.post(r#"{"n":1,"email":"c-100"}"#).await.unwrap();
    looked.until(|sink| sink["delivered"] == 100).await;
    let data = looked.site.path("data");
    assert!(is_in_files("c-100", &data) && is_in_files("c-101", &data));
    let forgotten = looked.command(&["profiles", "forget", "--key", "c-100"]);
    assert!(forgotten.status.success(), "{}", stderr(&forgotten));
    let said = stdout(&forgotten);
    for part in ["is forgotten", "1 invalid record that named it", "--erase rewrites them now"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let shown = looked.command(&["profiles", "show", "--key", "c-100"]);
    assert_eq!(shown.status.code(), Some(1));
    assert_eq!(looked.json(&["dead-letters", "list"]), json!([]));
    let erased = looked.json(&["profiles", "forget", "--key", "c-101", "--erase"]);
    assert_eq!((&erased["known"], &erased["erased"]), (&true.into(), &true.into()));
    assert!(!is_in_files("c-100", &data) && !is_in_files("c-101", &data));
    assert!(is_in_files("c-102", &data));
    let again = looked.command(&["profiles", "forget", "--key", "c-101"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("there is no such profile"), "{}", stderr(&again));

    // It works on as before.
    looked.send(102, 2).await;
    looked.send(101, 1).await;
    looked.until(|sink| sink["delivered"] == 102 && sink["profiles"]["known"] == 99).await;
    let log = stop(process);
    assert!(log.contains("a profile was forgotten by hand"), "{log}");
    assert!(!log.contains("c-10"), "no personal data: {log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_clean_stop_after_a_forget_erases() {
    let looked = taking().await;
    let process = looked.start();
    looked.sender.send(&[record(100, 1), record(101, 1)]).await;
    looked.until(|sink| sink["delivered"] == 2).await;
    looked.json(&["profiles", "forget", "--key", "c-100"]);
    let log = stop(process);
    assert!(log.contains("rewriting the store's files"), "{log}");
    let data = looked.site.path("data");
    assert!(!is_in_files("c-100", &data) && is_in_files("c-101", &data));

    let forgotten = looked.command(&["profiles", "forget", "--key", "c-101"]);
    assert!(stdout(&forgotten).contains("nothing of it is left in them"), "{}", stdout(&forgotten));
    assert!(!is_in_files("c-101", &data), "the command stops cleanly");
    assert!(!stderr(&forgotten).contains("c-101"), "{}", stderr(&forgotten));
    let process = looked.start();
    looked.until(|sink| sink["profiles"]["complete"] == true).await;
    assert_eq!(looked.get("/api/v1/sinks/crm").1["profiles"]["known"], 0);
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn records_of_a_suppressed_profile_are_acknowledged_and_ignored() {
    let looked = taking().await;
    let process = looked.start();
    looked.send(1, 1).await;
    looked.until(|sink| sink["delivered"] == 1).await;
    let forgotten = looked.json(&["profiles", "forget", "--key", "c-1", "--suppress"]);
    assert_eq!(forgotten["suppressed"], true);
    looked.send(1, 2).await;
    let (_, metrics) = looked.call("GET", "/metrics", &[("host", "localhost")]);
    let counted = metrics
        .lines()
        .any(|line| line.contains(r#"verdict="suppressed""#) && line.ends_with(" 1"));
    assert!(counted, "{metrics}");
    let shown = looked.command(&["profiles", "show", "--key", "c-1"]);
    assert!(stderr(&shown).contains("its records are ignored"), "{}", stderr(&shown));
    stop(process);
    let shown = looked.command(&["profiles", "show", "--key", "c-1"]);
    assert!(stderr(&shown).contains("its records are ignored"), "{}", stderr(&shown));
    let lifted = looked.command(&["profiles", "unsuppress", "--key", "c-1"]);
    assert_eq!(stdout(&lifted), "records of the profile are taken again\n");
    let process = looked.start();
    looked.send(1, 3).await;
    looked.until(|sink| sink["delivered"] == 1).await;
    let again = looked.command(&["profiles", "unsuppress", "--key", "c-1"]);
    assert_eq!(again.status.code(), Some(1));
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_last_export_that_waits_is_delivered_by_the_next_run_and_the_profile_removed() {
    let looked = taking().await;
    let process = looked.start();
    looked.send(1, 1).await;
    looked.until(|sink| sink["delivered"] == 1).await;
    stop(process);
    let forgotten = looked.command(&["profiles", "forget", "--key", "c-1", "--exit", "--erase"]);
    let said = stdout(&forgotten);
    assert!(said.contains("removed once that was delivered or refused by the next run"), "{said}");
    assert!(looked.json(&["profiles", "show", "--key", "c-1"])["leaving"] == true);
    assert!(!is_in_files("\"p1\"", &looked.site.path("data")), "what it does not need is erased");
    let process = looked.start();
    looked.until(|sink| sink["delivered"] == 1 && sink["profiles"]["known"] == 0).await;
    let sent = looked.endpoint.received("crmid", "c-1").unwrap();
    let body: serde_json::Value = serde_json::from_slice(&sent.body).unwrap();
    assert_eq!((&body["name"], &body["n"]), (&json!(null), &json!(null)));
    stop(process);
    assert!(!is_in_files("c-1", &looked.site.path("data")));
}
