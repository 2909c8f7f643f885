//! Partial records: what is sent of them, across batches and restarts, and what `explain` says.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::{Place, Process, Sender, Site};

const MAPPING: &str = "    profile: { key: identityMap.crmid, update: patch }
    export: { attributes: [person.name, tier], segments: [{ id: gold, name: Gold members }] }
";

fn patch(body: &str) -> String {
    format!(r#"{{"identityMap":{{"crmid":[{{"id":"c-1"}}]}},{body}}}"#)
}

fn first() -> String {
    patch(r#""person":{"name":{"first":"Ada","last":"L"}},"segmentMembership":{"ups":{"gold":{}}}"#)
}

/// What `explain` prints for these records.
fn explain(site: &Site, args: &[&str], records: &[String]) -> Output {
    site.write("records", &records.join("\n"));
    let records = std::fs::File::open(site.path("records")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_profile-http"))
        .args(["explain", "-c"])
        .arg(site.path("run.yaml"))
        .args(args)
        .env_remove("PROFILE_HTTP_CONFIG")
        .stdin(records)
        .output()
        .unwrap()
}

fn site(mapping: &str) -> Site {
    let site = Site::new();
    site.configure("run.yaml", "{ type: stdin }", "https://api.acme.example/", mapping);
    site
}

#[tokio::test]
async fn a_patch_is_sent_as_the_whole_profile_also_after_a_restart() {
    let mut place = Place::new().await;
    let mut next = async || serde_json::from_slice::<Value>(&place.arrived.recv().await.unwrap());
    let config = place.site.configure(
        "run.yaml",
        &format!("{{ type: http_server, address: '{}' }}", place.address),
        &place.endpoint.url(),
        MAPPING,
    );
    let sender = Sender::new(place.address);
    let ids = json!({ "crmid": [{ "id": "c-1" }] });
    let gold = json!({ "ups": { "gold": { "status": "realized" } } });

    let mut process = Process::run(&config);
    process.wait_for("listening");
    sender.send(&[first()]).await;
    let name = json!({ "first": "Ada", "last": "L" });
    let whole =
        json!({ "person": { "name": name }, "segmentMembership": gold, "identityMap": ids });
    assert_eq!(next().await.unwrap(), whole);
    process.signal("TERM");
    assert!(process.wait().0.success());

    let mut process = Process::run(&config);
    process.wait_for("listening");
    // Over a connection of its own: the former one ended with the process.
    let sender = Sender::new(place.address);
    let ack = sender.send(&[patch(r#""person":{"name":{"first":"Ada"}},"x":1"#)]).await;
    assert_eq!(ack["unchanged"], 1);
    sender.send(&[patch(r#""person":{"name":{"last":null}},"tier":7"#)]).await;
    let whole = json!({
        "person": { "name": { "first": "Ada" } },
        "tier": 7,
        "segmentMembership": gold,
        "identityMap": ids,
    });
    assert_eq!(next().await.unwrap(), whole);
    let ack = sender.send(&[r#"{"identityMap":{"crmid":null},"tier":8}"#.to_owned()]).await;
    assert_eq!(ack["invalid"], 1);
    process.wait_for("a patch has to name the profile that it changes");
    sender.send(&[patch(r#""segmentMembership":null"#)]).await;
    let last: Value = next().await.unwrap();
    assert_eq!(last["segmentMembership"]["ups"]["gold"]["status"], "exited");
    assert!(last["segmentMembership"]["ups"]["gold"]["lastQualificationTime"].is_string());
}

#[test]
fn explain_says_what_each_patch_is_merged_into_and_what_comes_of_it() {
    let records = [
        first(),
        patch(r#""person":{"name":{"first":"Eva"}}"#),
        patch(r#""tier":null"#),
        patch(r#""segmentMembership":{"ups":{"gold":null}}"#),
    ];
    let output = explain(&site(MAPPING), &[], &records);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "  records     patches; each is merged into what those before it made of its profile",
        "  merged      into nothing: no record before it is of this profile",
        "  merged      into what is known since line 1",
        "  because     attribute: person.name changed",
        "  sent        nothing: no mapped attribute, mapped membership or identity has changed \
         since line 2",
        "  because     membership: left ups/gold (Gold members): removed by null, so exited by \
         absence",
    ] {
        assert!(text.lines().any(|found| found == line), "no line {line:?} in:\n{text}");
    }
}

#[test]
fn explain_names_what_a_patch_changes_by_any_way_of_writing_it() {
    let mapping = "    profile: { key: id, update: patch, at: p, strip_prefix: 'x:', version: rev }
    export: { attributes: [a.b, c], identities: [e] }
";
    let records = [
        r#"{"p":{"x:id":1,"x:rev":1,"x:a":{"x:b":1,"x:z":1},"x:c":1,"x:identityMap":{"e":[{"id":1}]}}}"#,
        r#"{"p":{"id":1,"a":{"b":1.0},"x:c":2,"x:identityMap":{"e":[{"id":2}]}}}"#,
        r#"{"p":{"id":1,"a":null,"rev":0}}"#,
    ];
    let output = explain(&site(mapping), &["--json"], &records.map(str::to_owned));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said[1]["triggers"], json!(["identity", "attribute"]));
    assert_eq!(said[1]["changes"]["attributes"], json!(["c"]));
    assert_eq!(said[1]["changes"]["identities_added"], json!([{ "namespace": "e", "id": "2" }]));
    assert_eq!(said[1]["changes"]["identities_removed"], json!([]));
    assert_eq!((&said[1]["version_missing"], &said[2]["verdict"]), (&json!(true), &json!("stale")));
}
