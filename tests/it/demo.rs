//! The commands that need no configuration.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::support::Sender;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_profile-http"));
    command.env_remove("PROFILE_HTTP_LOG").env_remove("PROFILE_HTTP_CONFIG");
    command
}

#[test]
fn a_demo_loses_nothing_and_delivers_what_it_exports() {
    let args = ["demo", "--seconds", "1", "--rate", "2000", "--profiles", "200", "--json"];
    let output = program().args(args).output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let count = |name: &str| summary[name].as_u64().unwrap();
    assert_eq!((count("lost"), count("order_violations"), count("refused")), (0, 0, 0));
    assert_eq!(count("delivered"), count("exported"), "{summary}");
    let verdicts = count("unchanged") + count("not_followed") + count("changed");
    assert_eq!(count("received"), verdicts, "{summary}");
    assert!(count("unchanged") > 0 && count("exported") >= 180, "{summary}");
    assert!(count("tokens") >= 1, "{summary}");
    assert_eq!(summary["custom_headers"]["x-source"], "profile-http-demo");
    assert!(summary["latency_ms"]["p99"].is_number() && summary["requests_per_second"].is_number());
}

#[test]
fn a_demo_loses_nothing_when_the_endpoint_fails_now_and_then() {
    let args = ["demo", "--seconds", "1", "--rate", "1000", "--profiles", "100", "--fail-rate"];
    let output = program().args(args).args(["0.2", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&summary["lost"], &summary["order_violations"]), (&json!(0), &json!(0)));
    assert!(summary["retried"].as_u64().unwrap() > 0, "{summary}");
}

#[tokio::test]
async fn the_endpoint_prints_each_profile_as_a_line_and_ends_with_a_summary() {
    let mut child = program()
        .args(["endpoint", "--address", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let url = said
        .by_ref()
        .find_map(|line| line.trim().strip_prefix("http_endpoint: http://").map(str::to_owned));
    let address = url.unwrap().split('/').next().unwrap().parse().unwrap();
    let json = [("content-type", "application/json")];
    let (status, _) = Sender::new(address).post_as(&json, "{\n\"a\": 1\n}").await.unwrap();
    assert_eq!(status, 200);

    let mut printed = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(printed.next().unwrap(), "{ \"a\": 1 }");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert!(child.wait().unwrap().success());
    assert_eq!(printed.next(), None);
    let said: Vec<String> = said.collect();
    assert!(
        said.iter().any(|line| line.starts_with("requests: 1; taken: 1, again: 0")),
        "{said:?}"
    );
}
