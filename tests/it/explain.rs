//! `explain`: what a data engineer sees of a record that is, or is not, sent.

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

use crate::support::Site;

/// A sink that maps one attribute and two segments.
const MAPPING: &str = "
    profile: { key: identityMap.crmid, version: changed }
    custom_headers: { x-source: cdp }
    query: { tenant: t-17 }
    export:
      attributes: [loyalty.tier]
      segments: [{ id: gold, name: Gold members }, { id: silver, namespace: ups }]
";

const ENDPOINT: &str = "https://api.acme.example/v1/profiles";

/// A record with one identity besides its key.
fn record(tier: &str, segments: &Value, ecid: &str) -> String {
    let record = json!({
        "identityMap": { "crmid": [{ "id": "c-1" }], "ecid": [{ "id": ecid }] },
        "loyalty": { "tier": tier, "points": 7 },
        "segmentMembership": { "ups": segments },
    });
    record.to_string()
}

fn gold() -> Value {
    json!({ "gold": { "status": "realized", "lastQualificationTime": "2026-01-02T03:04:05Z" } })
}

/// A site whose data directory is a file, so that touching it would fail.
fn site(sink: &str) -> Site {
    let site = Site::new();
    site.write("data", "not a directory");
    site.configure("c.yaml", "{ type: stdin }", ENDPOINT, sink);
    site
}

/// Runs `explain` with variables, and with a directory of its own for what is temporary, in which
/// nothing may stay.
fn explain(site: &Site, args: &[&str], input: &str, env: &[(&str, &str)]) -> Output {
    let temporary = site.path("tmp");
    std::fs::create_dir_all(&temporary).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_profile-http"))
        .args(["explain", "-c"])
        .arg(site.path("c.yaml"))
        .args(args)
        .env_remove("PROFILE_HTTP_CONFIG")
        .env("PROFILE_HTTP_LOG", "trace")
        .env("TMPDIR", &temporary)
        .envs(env.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read its input may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    assert!(is_empty(&temporary), "something is left in {}", temporary.display());
    output
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).unwrap().next().is_none()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What `--json` says of these records, and the exit code.
fn explained(site: &Site, records: &[String]) -> (Vec<Value>, Option<i32>) {
    let output = explain(site, &["--json", "-"], &records.join("\n"), &[]);
    let array = serde_json::from_slice(&output.stdout).unwrap();
    (array, output.status.code())
}

#[test]
fn each_record_is_explained_against_what_the_ones_before_it_made_known() {
    let silver = json!({ "gold": { "status": "existing" }, "silver": { "status": "realized" } });
    let (said, code) = explained(
        &site(MAPPING),
        &[
            record("basic", &gold(), "7"),
            record("basic", &json!({ "gold": { "status": "existing" }, "x": {} }), "7"),
            record("top", &gold(), "8"),
            record("top", &silver, "8"),
            record("top", &json!({ "silver": { "status": "exited" } }), "8"),
            record("top", &json!({ "silver": { "status": "exited" } }), "9"),
        ],
    );
    assert_eq!(code, Some(0));
    let said: Vec<_> = said
        .iter()
        .map(|said| (said["verdict"].as_str().unwrap(), &said["triggers"], &said["changes"]))
        .collect();
    assert_eq!((said[0].0, said[0].1), ("changed", &json!(["followed"])));
    assert_eq!((said[1].0, said[1].1), ("unchanged", &json!([])));
    assert_eq!((said[2].0, said[2].1), ("changed", &json!(["identity", "attribute"])));
    assert_eq!(said[2].2["attributes"], json!(["loyalty.tier"]));
    assert_eq!(said[2].2["identities_added"], json!([{ "namespace": "ecid", "id": "8" }]));
    assert_eq!(said[2].2["identities_removed"], json!([{ "namespace": "ecid", "id": "7" }]));
    assert_eq!((said[3].0, said[3].1), ("changed", &json!(["membership"])));
    assert_eq!(said[3].2["joined"][0]["id"], "silver");
    assert_eq!((said[4].0, said[4].1), ("changed", &json!(["membership", "unfollowed"])));
    assert_eq!(said[4].2["left"].as_array().unwrap().len(), 2);
    assert_eq!(said[4].2["exits_by_absence"][0]["id"], "gold", "silver is named as exited");
    assert_eq!(said[4].2["exits_by_absence"].as_array().unwrap().len(), 1);
    assert_eq!((said[5].0, said[5].1), ("not_followed", &json!([])));
}

#[test]
fn only_attributes_whose_value_differs_are_named() {
    let record = |a: &str, b: &str| {
        format!(r#"{{"identityMap":{{"crmid":[{{"id":"c-1"}}]}},"a":{a},"b":{{"x":{b}}},"c":1}}"#)
    };
    for attributes in ["[a, b.x]", "'*'"] {
        let sink = format!(
            "    profile: {{ key: identityMap.crmid }}\n    export: {{ attributes: {attributes} }}\n"
        );
        let (said, _) = explained(&site(&sink), &[record("1", "1"), record("1.0", "2")]);
        let path = if attributes == "'*'" { "b" } else { "b.x" };
        assert_eq!(said[1]["changes"]["attributes"], json!([path]));
    }
}

#[test]
fn the_request_is_the_one_that_the_stack_would_send() {
    let (said, _) = explained(&site(MAPPING), &[record("basic", &gold(), "7")]);
    let request = &said[0]["request"];
    assert_eq!(request["method"], "POST");
    assert_eq!(request["url"], format!("{ENDPOINT}?tenant=<hidden>"));
    let headers = request["headers"].as_array().unwrap();
    let value = |name: &str| {
        let header = headers.iter().find(|header| header["name"] == name);
        header.unwrap_or_else(|| panic!("no {name}"))["value"].as_str().unwrap()
    };
    assert_eq!((value("x-source"), value("content-type")), ("cdp", "application/json"));
    assert_eq!(value("idempotency-key").len(), 32);
    assert!(value("profile-version").parse::<u64>().is_ok());
    assert!(headers.iter().all(|header| header["name"] != "authorization"));
    let body = json!({
        "loyalty": { "tier": "basic" },
        "segmentMembership": { "ups": {
            "gold": { "lastQualificationTime": "2026-01-02T03:04:05Z", "status": "realized" },
        } },
        "identityMap": { "crmid": [{ "id": "c-1" }], "ecid": [{ "id": "7" }] },
    });
    assert_eq!(request["body"], body);
}

#[test]
fn a_person_reads_why_a_record_is_sent_or_not() {
    let records = [
        record("basic", &gold(), "7"),
        record("basic", &gold(), "7"),
        record("top", &json!({}), "7"),
        r#"{"identityMap":{"crmid":[{"id":"c-2"}]},"segmentMembership":
            {"aam":{"silver":{"status":"realized"}},"ups":{"gold":{"status":"exited"}}}}"#
            .replace('\n', ""),
    ];
    let output = explain(&site(MAPPING), &[], &records.join("\n"), &[]);
    let text = stdout(&output);
    assert!(output.status.success(), "{}", stderr(&output));
    for line in [
        "  profile     identityMap.crmid = c-1",
        "  followed    yes: member of ups/gold (Gold members)",
        "  because     followed: nothing was known of it before",
        "  sent        POST https://api.acme.example/v1/profiles?tenant=<hidden>",
        "              x-source: cdp",
        "                \"loyalty\": {\"tier\": \"basic\"},",
        "  sent        nothing: no mapped attribute, mapped membership or identity has changed \
         since line 1",
        "  because     membership: left ups/gold (Gold members): not named any more, so exited by \
         absence",
        "              attribute: loyalty.tier changed",
        "              unfollowed: member of no mapped segment now; its last export",
        "  followed    no: member of no mapped segment",
        "  seen        aam/silver: realized, mapped only in namespace ups",
        "              ups/gold (Gold members): exited, mapped",
        "  sent        nothing: a profile that is not followed is remembered, but not sent",
        "4 records: 2 requests would be sent",
    ] {
        assert!(text.lines().any(|found| found == line), "no line {line:?} in:\n{text}");
    }
}

#[test]
fn what_is_wrong_with_a_record_is_said_and_the_others_are_explained() {
    let keyless = r#"{"identityMap":{"ecid":[{"id":"7"}]}}"#.to_owned();
    let at = |version: &str| {
        record("basic", &gold(), "7").replacen('{', &format!("{{\"changed\":{version},"), 1)
    };
    let (said, code) = explained(
        &site(MAPPING),
        &[keyless, "[1]".to_owned(), at("5"), at("4"), at("\"2026-01-01T00:00:00Z\"")],
    );
    assert_eq!(code, Some(1));
    let reason = |at: usize| said[at]["reason"].as_str().unwrap();
    assert_eq!(reason(0), "no unique identifier: identityMap.crmid holds no id");
    assert_eq!((&said[1]["record"], reason(1)), (&json!("line 2"), "the record is not an object"));
    assert_eq!((&said[2]["verdict"], &said[2]["reason"]), (&json!("changed"), &Value::Null));
    assert_eq!((&said[3]["verdict"], &said[3]["request"]), (&json!("stale"), &Value::Null));
    assert!(reason(4).starts_with("profile.version is of another kind"));

    let output = explain(&site(MAPPING), &["{}"], "", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("  invalid     no unique identifier: "));
    assert!(stderr(&output).ends_with("error: the record is invalid\n"));
}

#[test]
fn a_record_over_several_lines_is_met_with_the_remedy() {
    let output = explain(&site(MAPPING), &["-"], "{\n  \"loyalty\": 1\n}\n", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("on one line, as `jq -c .` does"), "{}", stderr(&output));

    let pretty = "{\n \"identityMap\": {\"crmid\": [{\"id\": \"c-1\"}]}\n}";
    let output = explain(&site(MAPPING), &[pretty], "", &[]);
    assert_eq!(output.status.code(), Some(0), "as an argument it is one record");
}

#[test]
fn no_secret_is_shown_and_none_is_needed() {
    let strategies = [
        ("{ strategy: bearer, token: '${SECRET}' }", "Bearer <hidden>"),
        ("{ strategy: bearer, token: { file: /nowhere/token } }", "Bearer <hidden>"),
        ("{ strategy: basic, user: u-hunter2, password: hunter2 }", "Basic <hidden>"),
        (
            "{ strategy: oauth2, auth_endpoint: 'https://login.acme.example/token?k=hunter2', \
             client_id: me, client_secret: hunter2 }",
            "Bearer <token from https://login.acme.example/token?k=<hidden>>",
        ),
        (
            "{ strategy: oauth2, auth_endpoint: 'https://login.acme.example/token', client_id: me, \
             client_auth: private_key_jwt, private_key_file: /nowhere/key, grant: password, \
             username: u-hunter2, password: hunter2 }",
            "Bearer <token from https://login.acme.example/token>",
        ),
    ];
    for (auth, authorization) in strategies {
        let sink = format!(
            "    auth: {auth}
    query: {{ code: hunter2 }}
    custom_headers: {{ x-region: '${{SECRET}}', x-api-key: hunter2 }}
    profile: {{ key: identityMap.crmid }}
    export: {{ attributes: [loyalty.tier] }}
"
        );
        for form in [&["-"][..], &["--json", "-"]] {
            let input = record("basic", &gold(), "7");
            let output = explain(&site(&sink), form, &input, &[("SECRET", "hunter2")]);
            let (text, log) = (stdout(&output), stderr(&output));
            assert!(output.status.success(), "{log}");
            assert!(!text.contains("hunter2") && !log.contains("hunter2"), "{text}\n{log}");
            // `Basic` goes over the wire in base64, which hides nothing.
            assert!(!text.contains("dS1odW50ZXIyOm"), "{text}");
            assert!(text.contains(authorization), "{text}");
            assert!(text.contains("x-region") && text.contains("x-api-key"), "{text}");
        }
    }
}

#[test]
fn a_sink_that_is_not_there_is_met_with_the_nearest_name() {
    let site = site(MAPPING);
    let output = explain(&site, &["--sink", "crn", "{}"], "", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "");
    assert!(stderr(&output).contains("there is no sink named `crn`; did you mean `crm`?"));

    let output = explain(&site, &["--sink", "crm", &record("basic", &gold(), "7")], "", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn without_a_record_or_a_configuration_nothing_is_explained() {
    let output = explain(&site(MAPPING), &[], "\n", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("there is no record to explain"));

    let output = explain(&site("    exprot: {}\n"), &["{}"], "", &[]);
    assert_eq!(output.status.code(), Some(78));
}

#[test]
fn a_file_in_place_of_a_record_is_pointed_to_standard_input() {
    let site = Site::new();
    let file = site.write("records.ndjson", "{}\n");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_profile-http"))
        .args(["explain", "-c", "config-examples/stdin.yaml"])
        .arg(&file)
        .output()
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains(&format!("`< {}`", file.display())), "{message}");
}

#[test]
fn a_request_of_a_sink_that_sends_batches_is_shown_as_it_is_framed() {
    for (batch, framed) in [
        ("max_profiles: 100", "[{"),
        ("max_profiles: 100, framing: ndjson", "{\"identityMap\""),
        (
            "max_profiles: 9, framing: envelope, envelope_key: all, results_pointer: /r",
            "{\"all\":[{",
        ),
    ] {
        let site = site(&format!("{MAPPING}    batch: {{ {batch} }}\n"));
        let records = [record("gold", &gold(), "1"), record("silver", &gold(), "1")].join("\n");
        let output = explain(&site, &["--json"], &records, &[]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let explained: Value = serde_json::from_str(&text).unwrap();
        let request = &explained[0]["request"];
        let compact = request["body"].to_string();
        assert!(compact.starts_with(framed), "{compact}");
        let headers = request["headers"].to_string();
        assert!(!headers.contains("profile-version"), "{headers}");
        assert_eq!(headers.contains("application/x-ndjson"), batch.contains("ndjson"));
        // What changed is told from the profile, not from its frame.
        assert_eq!(explained[1]["changes"]["attributes"], json!(["loyalty.tier"]));
    }
}
