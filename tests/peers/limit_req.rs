//! nginx that allows fifty requests a second, of which it does not tell.

use std::collections::BTreeMap;

use crate::{
    nginx::{Answered, Nginx, TAKE},
    support::{MAPPING, Process, Site, record},
};

const PROFILES: u64 = 800;
/// What nginx allows in a second.
const ALLOWED: f64 = 50.0;
/// Seconds in which the sink finds that out.
const SETTLING: f64 = 6.0;

/// Delivers to nginx with this `limit_req`, and returns what nginx has answered.
fn deliver(limit_req: &str) -> Option<Vec<Answered>> {
    let nginx = Nginx::start(&format!("{limit_req}\n{TAKE}"))?;
    let site = Site::new();
    let options = format!("{MAPPING}    tls: {{ ca_file: '{}' }}\n", nginx.ca_file().display());
    let url = nginx.url("/profiles");
    let mut process = Process::run(&site.configure("run.yaml", "{ type: stdin }", &url, &options));
    let records = |n| (0..PROFILES).map(|id| record(id, n) + "\n").collect::<String>();
    process.write(&records(1));
    // Updates come while their profiles wait.
    process.wait_for("the sink finds out what pace it bears");
    process.write(&records(2));
    let (status, log) = process.fed("");
    assert!(status.success(), "{status}: {log}");
    assert!(!log.contains("dead letter"), "{log}");
    Some(nginx.rest())
}

fn at(answered: &Answered) -> f64 {
    answered.msec.parse().unwrap()
}

/// After the first seconds the sink goes at what nginx allows, or at least this part of it, and hardly
/// ever faster.
fn settles(answers: &[Answered], part: f64) {
    let start = at(&answers[0]) + SETTLING;
    let end = at(answers.last().unwrap()) - 0.5;
    assert!(end - start > 5.0, "there was not much to do: {:.1} s", end - start);
    let settled: Vec<_> = answers.iter().filter(|a| (start..end).contains(&at(a))).collect();
    let count = |status: &str| {
        f64::from(u32::try_from(settled.iter().filter(|a| a.status == status).count()).unwrap())
    };
    let (taken, refused) = (count("204"), count("429"));
    let rate = taken / (end - start);
    let share = refused / (taken + refused);
    println!("{rate:.1} taken a second, {:.2} % refused, for {:.1} s", 100.0 * share, end - start);
    assert!(rate >= part * ALLOWED, "{rate:.1} a second are taken");
    assert!(share < 0.02, "{refused} of {} are refused", taken + refused);
}

/// Every profile's latest version has arrived, and none before an older one.
fn all_in_order(answers: &[Answered]) {
    let mut latest = BTreeMap::new();
    for answered in answers.iter().filter(|answered| answered.status == "204") {
        let body: serde_json::Value = serde_json::from_str(&answered.body).unwrap();
        let id = body["identityMap"]["crmid"][0]["id"].as_str().unwrap().to_owned();
        let version: u64 = answered.profile_version.parse().unwrap();
        let now = (version, body["n"].as_u64().unwrap());
        let before = latest.insert(id, now);
        assert!(before.is_none_or(|before| before < now), "{before:?} before {now:?}");
    }
    assert_eq!(latest.len() as u64, PROFILES);
    assert!(latest.values().all(|(_, n)| *n == 2));
}

#[test]
fn the_sink_settles_at_a_limit_that_allows_no_burst() {
    let Some(answers) = deliver("limit_req zone=fifty;") else { return };
    // A request that is delayed by a millisecond makes the next one come too soon, so how near the
    // sink gets depends on how busy the machine is.
    settles(&answers, 0.6);
    all_in_order(&answers);
}

#[test]
fn the_sink_settles_at_a_limit_that_allows_a_burst() {
    let Some(answers) = deliver("limit_req zone=fifty burst=5 nodelay;") else { return };
    settles(&answers, 0.8);
    all_in_order(&answers);
}
