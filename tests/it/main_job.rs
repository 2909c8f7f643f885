//! The main job: records on stdin, and exactly the right requests at the endpoint.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use bytes::Bytes;
use profile_http::{
    clock::Clock,
    local_endpoint::{LocalEndpoint, Settings},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::{MAPPING, Process, Site, record};

const GOLD: &str = "11111111-2222-4333-8444-555555555555";
const SILVER: &str = "66666666-7777-4888-9999-aaaaaaaaaaaa";
const UNMAPPED: &str = "bbbbbbbb-cccc-4ddd-8eee-ffffffffffff";

/// What `config-examples/stdin.yaml` maps.
const EXAMPLE: &str = "    profile: { key: identityMap.email_lc_sha256 }\n    \
    export:\n      attributes: [person.name, personalEmail.address]\n      segments: \
    [11111111-2222-4333-8444-555555555555, 66666666-7777-4888-9999-aaaaaaaaaaaa]\n";

/// A profile of the shape that the destination documents, with more than is mapped: it has left
/// one mapped segment and is still in the other.
fn sample() -> Value {
    json!({
        "person": {
            "birthDate": "1990-01-31",
            "name": { "firstName": "Ada", "lastName": "Example" },
        },
        "personalEmail": { "address": "ada@example.org", "status": "active" },
        "loyalty": { "points": 12 },
        "segmentMembership": { "ups": {
            GOLD: { "lastQualificationTime": "2024-01-03T03:04:05+0000", "status": "exited" },
            SILVER: { "lastQualificationTime": "2024-01-02T03:04:05.000Z", "status": "existing" },
            UNMAPPED: { "lastQualificationTime": "2024-01-01T00:00:00Z", "status": "realized" },
        } },
        "identityMap": {
            "ecid": [{ "id": "12345678901234567890123456789012345678", "primary": true }],
            "email_lc_sha256": [{
                "id": "b7b28b83e8b1b9d1fc6a2bcb6a8f7d0a8a2b3ab1e0c2f54b6e0d5c4a7c9e1f20",
                "authenticatedState": "ambiguous",
            }],
        },
    })
}

/// What of it is exported; `status` is that of the segment it is still in.
fn sample_export(status: &str) -> Value {
    json!({
        "person": { "name": { "firstName": "Ada", "lastName": "Example" } },
        "personalEmail": { "address": "ada@example.org" },
        "segmentMembership": { "ups": {
            GOLD: { "lastQualificationTime": "2024-01-03T03:04:05Z", "status": "exited" },
            SILVER: { "lastQualificationTime": "2024-01-02T03:04:05Z", "status": status },
        } },
        "identityMap": {
            "ecid": [{ "id": "12345678901234567890123456789012345678" }],
            "email_lc_sha256": [{
                "id": "b7b28b83e8b1b9d1fc6a2bcb6a8f7d0a8a2b3ab1e0c2f54b6e0d5c4a7c9e1f20",
            }],
        },
    })
}

/// The value with something else at a JSON Pointer. The entry is made if it is not there.
fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = value.pointer_mut(parent).unwrap();
    match parent {
        Value::Object(map) => drop(map.insert(key.to_owned(), new)),
        _ => *parent.pointer_mut(&format!("/{key}")).unwrap() = new,
    }
    value
}

fn without(mut value: Value, pointer: &str) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = value.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    parent.remove(key).expect("it is there to be removed");
    value
}

fn membership(segment: &str) -> String {
    format!("/segmentMembership/ups/{segment}")
}

/// A sink that is run anew for each piece of input.
struct Job {
    endpoint: LocalEndpoint,
    arrived: mpsc::Receiver<Bytes>,
    config: PathBuf,
    _site: Site,
}

impl Job {
    async fn start(options: &str) -> Self {
        let (arrivals, arrived) = mpsc::channel(1000);
        let settings = Settings { arrivals: Some(arrivals), ..Settings::default() };
        let endpoint = LocalEndpoint::start(settings).await.unwrap();
        let site = Site::new();
        let config = site.configure("run.yaml", "{ type: stdin }", &endpoint.url(), options);
        Self { endpoint, arrived, config, _site: site }
    }

    /// A sink to which the sample was delivered.
    async fn with_sample() -> Self {
        let mut job = Self::start(EXAMPLE).await;
        assert_eq!(job.pipe(&[sample()]), [sample_export("realized")]);
        job
    }

    /// What arrives when these records are piped into `profile-http run`, each by itself.
    fn pipe(&mut self, records: &[Value]) -> Vec<Value> {
        let lines: Vec<_> = records.iter().map(|record| format!("{record}\n")).collect();
        self.pipe_text(&lines.concat())
    }

    fn pipe_text(&mut self, text: &str) -> Vec<Value> {
        let requests = self.endpoint.report().requests;
        Process::run_to_end(&self.config, text);
        let mut bodies = Vec::new();
        while let Ok(body) = self.arrived.try_recv() {
            bodies.push(serde_json::from_slice(&body).unwrap());
        }
        let requests = self.endpoint.report().requests - requests;
        assert_eq!(requests, bodies.len() as u64, "each request brought a profile");
        bodies
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_documented_sample_arrives_as_documented() {
    let mut job = Job::start(EXAMPLE).await;
    assert_eq!(job.pipe(&[sample()]), [sample_export("realized")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_documented_sample_arrives_with_the_legacy_status() {
    let mut job = Job::start(&format!("{EXAMPLE}      legacy_status: true\n")).await;
    assert_eq!(job.pipe(&[sample()]), [sample_export("existing")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_same_line_again_sends_nothing() {
    let mut job = Job::with_sample().await;
    let nothing: [Value; 0] = [];
    assert_eq!(job.pipe(&[sample()]), nothing);
    assert_eq!(job.pipe(&[sample(), sample()]), nothing);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_relevant_change_sends_exactly_one_request() {
    let mut job = Job::with_sample().await;
    let rejoined = json!({ "lastQualificationTime": "2024-02-01T00:00:00Z", "status": "realized" });
    let changes = [
        (membership(GOLD), rejoined.clone(), rejoined),
        (
            "/identityMap/crmid".to_owned(),
            json!([{ "id": "c-7", "primary": false }]),
            json!([{ "id": "c-7" }]),
        ),
        ("/person/name/lastName".to_owned(), json!("Lovelace"), json!("Lovelace")),
    ];
    let (mut now, mut expected) = (sample(), sample_export("realized"));
    for (pointer, new, exported) in changes {
        now = with(now, &pointer, new);
        expected = with(expected, &pointer, exported);
        assert_eq!(job.pipe(std::slice::from_ref(&now)), [expected.clone()], "{pointer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_irrelevant_change_sends_nothing() {
    let mut job = Job::with_sample().await;
    let silver = membership(SILVER);
    let changes = [
        ("/loyalty/points", json!(13)),
        ("/person/birthDate", json!("1990-02-01")),
        (&format!("{silver}/lastQualificationTime"), json!("2024-05-01T00:00:00Z")),
        (&format!("{silver}/status"), json!("realized")),
        (&format!("{silver}/status"), json!("existing")),
        (&format!("{}/status", membership(UNMAPPED)), json!("exited")),
        ("/segmentMembership/ups/another", json!({ "status": "realized" })),
        ("/identityMap/ecid/0/primary", json!(false)),
        ("/identityMap/ecid/0/authenticatedState", json!("authenticated")),
    ];
    let mut now = sample();
    for (pointer, new) in changes {
        now = with(now, pointer, new);
        assert!(job.pipe(std::slice::from_ref(&now)).is_empty(), "{pointer}");
    }
    let arrived = job.pipe(&[with(now, "/person/name/firstName", json!("Augusta"))]);
    assert_eq!(arrived.len(), 1, "a relevant change is still seen");
    let time = arrived[0].pointer(&format!("{silver}/lastQualificationTime"));
    assert_eq!(time, Some(&json!("2024-05-01T00:00:00Z")), "and what was irrelevant goes with it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_order_of_keys_and_identities_is_no_change() {
    let mut job = Job::start(MAPPING).await;
    let line = r#"{"identityMap":{"crmid":[{"id":"1"},{"id":"2"}],"ecid":[{"id":"3"}]},"#;
    let again = r#","identityMap":{"ecid":[{"id":"3"}],"crmid":[{"id":"2"},{"id":"1"}]}}"#;
    let arrived = job.pipe_text(&format!("{line}\"n\":1,\"name\":{{\"a\":\"é\",\"b\":[1]}}}}\n"));
    assert_eq!(arrived.len(), 1);
    let reordered = format!("{{\"name\":{{ \"b\":[1.0], \"a\":\"\\u00e9\" }},\"n\":1e0{again}\n");
    assert!(job.pipe_text(&reordered).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn whoever_leaves_all_mapped_segments_is_exported_a_last_time() {
    let mut job = Job::with_sample().await;
    let exit = json!({ "lastQualificationTime": "2024-06-01T00:00:00Z", "status": "exited" });
    let left = with(sample(), &membership(SILVER), exit.clone());
    let last = with(sample_export("realized"), &membership(SILVER), exit);
    assert_eq!(job.pipe(std::slice::from_ref(&left)), [last]);

    let changed = with(left, "/person/name/firstName", json!("Augusta"));
    assert!(job.pipe(&[changed]).is_empty(), "who has left is not followed any more");
    assert_eq!(job.pipe(&[sample()]), [sample_export("realized")], "who comes back is");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn whoever_is_in_no_mapped_segment_is_not_exported() {
    let mut job = Job::start(EXAMPLE).await;
    let stranger = without(sample(), &membership(SILVER));
    assert!(job.pipe(&[stranger]).is_empty());
    assert_eq!(job.pipe(&[sample()]), [sample_export("realized")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_segment_that_is_absent_is_exited_at_the_time_of_the_update() {
    for gone in [membership(SILVER), "/segmentMembership".to_owned()] {
        let mut job = Job::with_sample().await;
        let before = Clock::system().now();
        let arrived = job.pipe(&[without(sample(), &gone)]);
        let after = Clock::system().now();
        assert_eq!(arrived.len(), 1, "{gone}");
        let exit = arrived[0].pointer(&membership(SILVER)).unwrap();
        assert_eq!(exit["status"], "exited");
        let time = exit["lastQualificationTime"].as_str().unwrap();
        assert!(time.ends_with('Z'), "{time}");
        let time: jiff::Timestamp = time.parse().unwrap();
        let time = time.as_microsecond().cast_unsigned();
        let second = 1_000_000;
        assert!((before / second * second..=after).contains(&time), "{before} {time} {after}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn of_a_segment_with_100_members_only_the_5_that_are_new_are_exported() {
    let options = "    profile: { key: identityMap.crmid }\n    export: { segments: [gold] }\n";
    let mut job = Job::start(options).await;
    let member = |id: usize| {
        json!({
            "identityMap": { "crmid": [{ "id": format!("c-{id}") }] },
            "segmentMembership": { "ups": { "gold": { "status": "realized" } } },
        })
    };
    let outsider = |id: usize| with(member(id), "/segmentMembership/ups", json!({}));
    let mut everyone: Vec<_> = (0..100).map(member).chain((100..150).map(outsider)).collect();
    assert_eq!(job.pipe(&everyone).len(), 100);

    for id in [103, 110, 111, 127, 149] {
        everyone[id] = member(id);
    }
    let mut arrived = job.pipe(&everyone);
    arrived.sort_by_key(|profile| profile["identityMap"]["crmid"][0]["id"].to_string());
    assert_eq!(arrived, [103, 110, 111, 127, 149].map(|id| everyone[id].clone()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn unmapped_segments_are_sent_only_on_demand() {
    let mapping = "    profile: { key: identityMap.crmid }\n    export:\n      attributes: [person, \
                   personalEmail.address, loyalty.tier, loyalty.since]\n      segments: [{ id: m1, \
                   name: One }, m2, { id: m3, name: Three }]\n      segment_names: true\n";
    let member =
        |status| json!({ "lastQualificationTime": "2024-01-01T00:00:00Z", "status": status });
    let named = |status, name| with(member(status), "/name", json!(name));
    let record = json!({
        "person": { "name": { "firstName": "Ada" }, "birthYear": 1990 },
        "personalEmail": { "address": "ada@example.org", "primary": true },
        "loyalty": { "tier": "gold", "since": 2019, "points": 3 },
        "segmentMembership": {
            "ups": {
                "m1": member("realized"), "m2": member("existing"), "m3": member("exited"),
                "u1": member("realized"),
            },
            "partner": { "u2": member("exited") },
        },
        "identityMap": { "crmid": [{ "id": "c-1" }] },
    });
    let export = json!({
        "person": { "name": { "firstName": "Ada" }, "birthYear": 1990 },
        "personalEmail": { "address": "ada@example.org" },
        "loyalty": { "tier": "gold", "since": 2019 },
        "segmentMembership": { "ups": {
            "m1": named("realized", "One"), "m2": member("realized"), "m3": named("exited", "Three"),
        } },
        "identityMap": { "crmid": [{ "id": "c-1" }] },
    });

    let mut job = Job::start(mapping).await;
    assert_eq!(job.pipe(std::slice::from_ref(&record)), std::slice::from_ref(&export));

    let mut job = Job::start(&format!("{mapping}      unmapped_segments: true\n")).await;
    let export = with(export, "/segmentMembership/ups/u1", member("realized"));
    let export = with(export, "/segmentMembership/partner", json!({ "u2": member("exited") }));
    assert_eq!(job.pipe(&[record]), [export]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn custom_headers_arrive_written_as_text_or_as_a_map() {
    for headers in [
        r#""x-source:cdp,x-list:a\\,b,X-Tenant: acme""#,
        r#"{ x-source: cdp, x-list: "a,b", X-Tenant: acme }"#,
    ] {
        let mut job = Job::start(&format!("{MAPPING}    custom_headers: {headers}\n")).await;
        assert_eq!(job.pipe_text(&record(1, 1)).len(), 1);
        let arrived = job.endpoint.report().headers;
        let expected = [("x-list", "a,b"), ("x-source", "cdp"), ("x-tenant", "acme")];
        assert_eq!(
            arrived,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
        );
    }
}

/// As the head of `config-examples/stdin.yaml` says, in a directory that is empty at first.
#[test]
fn the_stdin_example_runs_as_it_stands() {
    // Its port is fixed: checkouts that are tested side by side take turns.
    let turn = File::create(std::env::temp_dir().join("profile-http-port-8089")).unwrap();
    turn.lock().unwrap();
    let site = Site::new();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config-examples/stdin.yaml");
    let command = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_profile-http"));
        command.args(args).current_dir(site.path("")).stdout(Stdio::piped());
        command
    };

    let mut endpoint = Process::spawn(command(&["endpoint"]));
    endpoint.wait_for("listening");
    let mut arrived = BufReader::new(endpoint.stdout()).lines();
    for _ in 0..2 {
        let sink = Process::spawn(command(&["run", "-c", example.to_str().unwrap()]));
        let (status, log) = sink.fed(&format!("{}\n", sample()));
        assert!(status.success(), "{log}");
    }
    let body: Value = serde_json::from_str(&arrived.next().unwrap().unwrap()).unwrap();
    assert_eq!(body, sample_export("realized"));
    endpoint.signal("INT");
    let (status, summary) = endpoint.wait();
    assert!(status.success(), "{summary}");
    assert!(summary.contains("requests: 1; taken: 1"), "{summary}");
    assert!(arrived.next().is_none(), "the same line again sends nothing");
    assert!(site.path("profile-http-data/local").is_dir());
}
