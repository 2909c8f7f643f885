//! What could not be delivered, looked after by the command: on a running process and on a store
//! that nothing uses.

use profile_http::local_endpoint::Behaviour;
use serde_json::{Value, json};

use crate::{
    console::{Looked, stderr, stdout},
    support::{Process, record},
};

/// The endpoint refuses every profile.
async fn refusing() -> Looked {
    Looked::at(Behaviour::answering(422), "").await
}

fn stop(process: Process) -> String {
    process.signal("TERM");
    let (status, log) = process.wait();
    assert!(status.success(), "{log}");
    log
}

/// The ids of a list.
fn ids(list: &Value) -> Vec<String> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|letter| letter["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_refused_profile_is_listed_and_shown_while_it_runs_and_after() {
    let looked = refusing().await;
    let process = looked.start();
    looked.send(1, 1).await;
    looked.until(|sink| sink["profiles"]["dead"] == 1).await;
    looked.sender.post("{\"name\":\"nobody\"}").await.unwrap();
    let list = looked.json(&["dead-letters", "list"]);
    let [invalid, refused] = &list.as_array().unwrap()[..] else { panic!("{list}") };
    assert_eq!((&refused["kind"], &refused["key"]), (&"refused".into(), &"c-1".into()));
    assert_eq!((&refused["status"], &refused["attempts"]), (&422.into(), &1.into()));
    assert_eq!((&invalid["kind"], &invalid["source"]), (&"invalid_record".into(), &"in".into()));
    assert!(refused.get("answer").is_none(), "a list is short");
    let ids = ids(&list);

    let shown = looked.json(&["dead-letters", "show", &ids[1]]);
    assert!(shown["answer"].as_str().unwrap().contains("Unprocessable"), "{shown}");
    assert_eq!(shown["headers"]["content-type"], "application/json");
    assert_eq!(shown["headers"]["x-request-id"], shown["request_id"]);
    assert!(shown["version"].as_u64().unwrap() > 0 && shown["due_since"].is_string());
    let record = looked.json(&["dead-letters", "show", &ids[0]]);
    assert_eq!(record["record"], "{\"name\":\"nobody\"}");
    let text = looked.command(&["dead-letters", "list"]);
    assert!(stdout(&text).contains("c-1"), "{}", stdout(&text));
    assert!(stderr(&text).contains("1 dead letter and 1 invalid record of the running process"));

    let log = stop(process);
    assert!(!log.contains("c-1") && !log.contains("nobody"), "no personal data: {log}");
    assert_eq!(looked.json(&["dead-letters", "list"]), list, "the same when nothing runs");
    assert_eq!(looked.json(&["dead-letters", "show", &ids[1]]), shown);
    let text = stdout(&looked.command(&["dead-letters", "show", &ids[0], &ids[1]]));
    assert!(text.contains("identityMap.crmid c-1") && text.contains("nobody"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_replay_on_the_running_process_delivers_the_current_state_as_a_new_version() {
    let looked = refusing().await;
    let process = looked.start();
    for id in 1..=3 {
        looked.send(id, 1).await;
    }
    looked.until(|sink| sink["profiles"]["dead"] == 3).await;
    let list = looked.json(&["dead-letters", "list"]);
    let before =
        looked.json(&["dead-letters", "show", &ids(&list)[0]])["version"].as_u64().unwrap();
    looked.endpoint.behave(Behaviour::default());
    let one = looked.json(&["dead-letters", "replay", &ids(&list)[0]]);
    assert_eq!(one, json!({ "replayed": 1, "not_followed": 0, "missing": 0 }));
    looked.until(|sink| sink["delivered"] == 1 && sink["profiles"]["dead"] == 2).await;
    let received = looked.endpoint.received("crmid", "c-3").unwrap();
    assert!(received.version > before, "{:?}", received.version);

    let all = looked.command(&["dead-letters", "replay", "--all"]);
    assert_eq!(stdout(&all), "2 profiles are due again under a new version\n");
    looked.until(|sink| sink["delivered"] == 3 && sink["profiles"]["dead"] == 0).await;
    let again = looked.command(&["dead-letters", "replay", &ids(&list)[0]]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("there is no dead letter"), "{}", stderr(&again));
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_replay_on_the_store_is_delivered_by_the_next_run() {
    let looked = refusing().await;
    let process = looked.start();
    looked.send(1, 1).await;
    looked.until(|sink| sink["profiles"]["dead"] == 1).await;
    stop(process);
    let output = looked.command(&["dead-letters", "replay", "--all"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("1 profile is due again"), "{}", stdout(&output));
    assert_eq!(looked.json(&["dead-letters", "list"]), json!([]));
    looked.endpoint.behave(Behaviour::default());
    let process = looked.start();
    looked.until(|sink| sink["delivered"] == 1).await;
    assert!(looked.endpoint.received("crmid", "c-1").is_some());
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_dropped_is_not_sent_and_goes_out_with_the_next_change() {
    let looked = refusing().await;
    let process = looked.start();
    for id in 1..=3 {
        looked.send(id, 1).await;
    }
    looked.sender.post("[]").await.unwrap();
    looked.sender.post("3\n{}").await.unwrap();
    looked.until(|sink| sink["profiles"]["dead"] == 3).await;
    looked.endpoint.behave(Behaviour::default());
    let list = looked.json(&["dead-letters", "list"]);
    let letter = list.as_array().unwrap().iter().find(|letter| letter["key"] == "c-1").unwrap();
    let id = letter["id"].as_str().unwrap();
    assert_eq!(looked.json(&["dead-letters", "drop", id])["dropped"], 1);
    let rest = list.as_array().unwrap().len() - 1;
    assert_eq!(looked.json(&["dead-letters", "drop", "--all"])["dropped"], rest);
    assert_eq!(looked.json(&["dead-letters", "list"]), json!([]));
    looked.send(1, 1).await;
    looked.send(2, 2).await;
    let sink = looked.until(|sink| sink["delivered"] == 1).await;
    assert_eq!((&sink["profiles"]["known"], &sink["updates"]["unchanged"]), (&3.into(), &1.into()));
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_long_list_says_how_many_more_there_are() {
    let looked = refusing().await;
    let process = looked.start();
    let lines = "x\n".repeat(1250) + &record(1, 1);
    looked.sender.post(lines).await.unwrap();
    looked.until(|sink| sink["profiles"]["dead"] == 1).await;
    let check = || {
        let output = looked.command(&["dead-letters", "list"]);
        assert_eq!(stdout(&output).lines().count(), 101);
        assert!(stderr(&output).contains("1151 more are not shown"), "{}", stderr(&output));
        let all = looked.json(&["dead-letters", "list", "--limit", "5000"]);
        assert_eq!(ids(&all).len(), 1251);
    };
    check();
    stop(process);
    check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_store_that_is_in_use_but_cannot_be_asked_is_said_with_what_to_do() {
    let looked = refusing().await;
    let process = looked.start();
    let text = std::fs::read_to_string(&looked.config).unwrap();
    let other = crate::support::free_address();
    std::fs::write(&looked.config, text.replace(&looked.api.to_string(), &other.to_string()))
        .unwrap();
    for command in [&["dead-letters", "list"][..], &["dead-letters", "drop", "--all"]] {
        let output = looked.command(command);
        assert_eq!(output.status.code(), Some(1));
        let message = stderr(&output);
        for part in ["sink crm: a process has the store at", "nothing answers at", "stop it"] {
            assert!(message.contains(part), "{part} in {message}");
        }
    }
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn another_process_at_the_address_is_not_taken_for_this_one() {
    let looked = refusing().await;
    let process = looked.start();
    looked.send(1, 1).await;
    looked.until(|sink| sink["profiles"]["dead"] == 1).await;
    let text = std::fs::read_to_string(&looked.config).unwrap();
    let elsewhere = looked.site.path("elsewhere").display().to_string();
    let data = looked.site.path("data").display().to_string();
    std::fs::write(&looked.config, text.replace(&data, &elsewhere)).unwrap();
    let output = looked.command(&["dead-letters", "drop", "--all"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("there is no store at"), "{}", stderr(&output));
    assert!(!looked.site.path("elsewhere").exists(), "none is made");
    looked.until(|sink| sink["profiles"]["dead"] == 1).await;
    stop(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_invalid_record_cannot_be_replayed_and_it_is_said_what_to_do() {
    let looked = refusing().await;
    let output = looked.command(&["dead-letters", "replay", "i-1-1"]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(message.contains("correct the record") && message.contains("i-1-1"), "{message}");
    let output = looked.command(&["dead-letters", "replay"]);
    assert_eq!(output.status.code(), Some(1), "neither ids nor --all");
}
