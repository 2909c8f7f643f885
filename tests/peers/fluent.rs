//! The program behind real senders of the forward protocol.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tokio::{task::spawn_blocking, time::timeout};

use crate::{
    peer,
    support::{MAPPING, PATIENCE, Place, Process},
};

const COUNT: usize = 300;

impl Place {
    /// Options for a sender.
    fn options(&self, more: &Value) -> Value {
        let mut options = json!({ "port": self.address.port(), "count": COUNT });
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        options
    }

    /// Waits until every profile is at the endpoint.
    async fn has_all(&mut self) {
        let mut seen = BTreeSet::new();
        while seen.len() < COUNT {
            let body = timeout(PATIENCE, self.arrived.recv()).await.unwrap().unwrap();
            let profile: Value = serde_json::from_slice(&body).unwrap();
            seen.insert(profile["identityMap"]["crmid"][0]["id"].as_str().unwrap().to_owned());
        }
        assert_eq!(seen, (0..COUNT).map(|id| format!("c-{id}")).collect());
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers")
}

/// Runs the logger of Node.js to its end; none if it is not installed.
async fn node(options: &Value) -> Option<Output> {
    if !folder().join("node_modules/@fluent-org/logger").exists() {
        peer::missing("@fluent-org/logger");
        return None;
    }
    let mut command = Command::new("node");
    command.arg(folder().join("fluent_logger.mjs")).env("FLUENT_OPTIONS", options.to_string());
    run(command, "Node.js").await
}

/// Runs the logger of Python to its end; none if it is not installed.
async fn python(options: &Value) -> Option<Output> {
    let mut command = Command::new(folder().join(".venv/bin/python3"));
    command.arg(folder().join("fluent_logger.py")).env("FLUENT_OPTIONS", options.to_string());
    run(command, "fluent-logger").await
}

async fn run(mut command: Command, name: &str) -> Option<Output> {
    let Ok(output) = spawn_blocking(move || command.output()).await.unwrap() else {
        peer::missing(name);
        return None;
    };
    Some(output)
}

/// That the logger of Node.js had everything acknowledged.
fn assert_acknowledged(output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), COUNT.to_string(), "{stderr}");
}

fn end(process: Process) {
    process.signal("TERM");
    let (status, log) = process.wait();
    assert!(status.success(), "{status}: {log}");
    assert!(!log.contains("WARN"), "{log}");
}

async fn every_record_is_acknowledged_and_arrives(mode: &str) {
    let mut place = Place::new().await;
    let process = place.run("fluent", "", MAPPING);
    let Some(output) = node(&place.options(&json!({ "mode": mode }))).await else { return };
    assert_acknowledged(&output);
    place.has_all().await;
    end(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn node_logger_in_message_mode() {
    every_record_is_acknowledged_and_arrives("Message").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn node_logger_in_forward_mode() {
    every_record_is_acknowledged_and_arrives("Forward").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn node_logger_in_packed_forward_mode() {
    every_record_is_acknowledged_and_arrives("PackedForward").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn node_logger_in_compressed_packed_forward_mode() {
    every_record_is_acknowledged_and_arrives("CompressedPackedForward").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn node_logger_with_shared_key_and_password_over_tls() {
    let mut place = Place::new().await;
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap().pem();
    let crt = place.site.write("server.crt", &certificate);
    let key = place.site.write("server.key", &key.serialize_pem());
    place.site.write("password", "p4ss\n");
    let password = place.site.path("password");
    let process = place.run(
        "fluent",
        &format!(
            ", shared_key: k3y, users: [{{ user: ann, password: {{ file: {password:?} }} }}], \
         tls: {{ crt_file: {crt:?}, key_file: {key:?} }}"
        ),
        MAPPING,
    );
    let security = json!({ "sharedKey": "k3y", "username": "ann", "password": "p4ss" });
    let options = json!({ "mode": "PackedForward", "security": security, "ca": certificate });
    let Some(output) = node(&place.options(&options)).await else { return };
    assert_acknowledged(&output);
    place.has_all().await;
    end(process);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn node_logger_with_a_wrong_key_is_told_and_so_is_the_operator() {
    let place = Place::new().await;
    let mut process = place.run("fluent", ", shared_key: k3y", MAPPING);
    let security = json!({ "sharedKey": "other" });
    let options = place.options(&json!({ "mode": "Message", "security": security }));
    let Some(output) = node(&options).await else { return };
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("shared_key mismatch"), "{told}");
    let line = process.wait_for("another shared key");
    assert!(line.contains("give both sides the same `shared_key`"), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn python_logger_with_times_in_seconds_and_nanoseconds() {
    for nanoseconds in [false, true] {
        let mut place = Place::new().await;
        let mut process = place.run("fluent", "", MAPPING);
        let options = place.options(&json!({ "nanoseconds": nanoseconds }));
        let Some(output) = python(&options).await else { return };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        place.has_all().await;
        // The bytes among the attributes.
        process.wait_for("text came that is not UTF-8");
    }
}
