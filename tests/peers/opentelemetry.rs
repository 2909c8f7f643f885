//! The program behind OpenTelemetry's own exporter.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};
use tokio::{task::spawn_blocking, time::timeout};

use crate::{
    peer,
    support::{PATIENCE, Place, Process},
};

const COUNT: usize = 300;

const EVERYTHING: &str =
    "    profile: { key: identityMap.crmid }\n    export: { attributes: \"*\" }\n";

impl Place {
    /// Runs the exporter to its end; none if it is not installed.
    async fn export(&self, options: Value) -> Option<Output> {
        if !is_installed() {
            return None;
        }
        let folder = folder();
        let mut all = json!({ "port": self.address.port(), "count": COUNT, "compression": "none" });
        all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        let mut command = Command::new(folder.join(".venv/bin/python"));
        command.arg(folder.join("otlp.py")).env("OTLP_OPTIONS", all.to_string());
        Some(spawn_blocking(move || command.output().unwrap()).await.unwrap())
    }

    /// Waits until every profile is at the endpoint.
    async fn all(&mut self) -> BTreeMap<String, Value> {
        let mut seen = BTreeMap::new();
        while seen.len() < COUNT {
            let body = timeout(PATIENCE, self.arrived.recv()).await.unwrap().unwrap();
            let profile: Value = serde_json::from_slice(&body).unwrap();
            let id = profile["identityMap"]["crmid"][0]["id"].as_str().unwrap().to_owned();
            seen.insert(id, profile);
        }
        seen
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers")
}

fn is_installed() -> bool {
    let mut command = Command::new(folder().join(".venv/bin/python"));
    command.args(["-c", "import opentelemetry.exporter.otlp.proto.http"]);
    let installed = command.output().is_ok_and(|output| output.status.success());
    if !installed {
        peer::missing("opentelemetry-exporter-otlp-proto-http");
    }
    installed
}

fn succeeded(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

async fn every_profile_arrives(options: Value, source: &str) -> Option<BTreeMap<String, Value>> {
    let mut place = Place::new().await;
    let process = place.run("opentelemetry", source, EVERYTHING);
    succeeded(&place.export(options).await?);
    let profiles = place.all().await;
    process.signal("TERM");
    let (status, log) = process.wait();
    assert!(status.success(), "{log}");
    Some(profiles)
}

fn assert_whole(profile: &Value) {
    assert_eq!(profile["name"], "p7");
    let more = json!({
        "text": "äöü \"\n", "bytes": "/w==", "list": [1, -1, 1.5, true, null], "a.b": i64::MAX,
    });
    assert_eq!(profile["more"], more);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn bodies_of_the_exporter_are_profiles_with_every_kind_of_value() {
    let options = json!({ "profile_from": "body", "compression": "gzip" });
    if let Some(profiles) = every_profile_arrives(options, "").await {
        assert_whole(&profiles["c-7"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn text_in_bodies_of_the_exporter_is_json() {
    let options = json!({ "profile_from": "text", "compression": "deflate" });
    if let Some(profiles) = every_profile_arrives(options, ", profile_from: body").await {
        assert_eq!(profiles["c-7"]["name"], "p7");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn attributes_of_the_exporter_are_profiles() {
    let options = json!({ "profile_from": "attributes" });
    if let Some(profiles) = every_profile_arrives(options, ", profile_from: attributes").await {
        assert_whole(&profiles["c-7"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_exporter_goes_on_after_records_that_are_set_aside() {
    let mut place = Place::new().await;
    let mut process = place.run("opentelemetry", "", EVERYTHING);
    let options = json!({ "profile_from": "body", "invalid": 5 });
    let Some(output) = place.export(options).await else { return };
    succeeded(&output);
    let line = process.wait_for("invalid records are set aside");
    assert!(line.contains("WARN"), "{line}");
    place.all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_exporter_repeats_what_the_store_could_not_take() {
    if !is_installed() {
        return;
    }
    let mut place = Place::new().await;
    // Writes fail, as they do on a full disk, instead of ending the process.
    let source = format!("{{ type: opentelemetry, address: '{}' }}", place.address);
    let config = place.site.configure("run.yaml", &source, &place.endpoint.url(), EVERYTHING);
    let script = "trap '' XFSZ; PROFILE_HTTP_LOG=debug exec \"$0\" run -c \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_profile-http")]).arg(&config);
    let mut process = Process::spawn(command);
    process.wait_for("listening");
    let pid = process.pid().to_string();
    let limited = Command::new("prlimit").args(["--fsize=0:", "--pid", &pid]).status().unwrap();
    assert!(limited.success());

    let options = json!({ "profile_from": "body", "timeout": 60 });
    let export = place.export(options);
    let recover = spawn_blocking(move || {
        process.wait_for("an export was turned away for now");
        process.kill();
        let mut process = Process::run(&config);
        process.wait_for("listening");
        process
    });
    let Some(output) = export.await else { return };
    let process = recover.await.unwrap();
    succeeded(&output);
    place.all().await;
    drop(process);
}
