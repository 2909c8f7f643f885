//! The examples, in the real Fluent Bit.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use profile_http::local_endpoint::{Client, LocalEndpoint, Settings};
use tokio::{sync::mpsc, time::timeout};

use crate::{given, plugin};

/// Longer than anything here takes when it works.
const PATIENCE: Duration = Duration::from_mins(1);

const PROFILES: usize = 1000;

/// A Fluent Bit, ended by its id when it is dropped.
struct FluentBit(Child);

impl Drop for FluentBit {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the example as it stands, but for the places of this machine.
async fn delivers(example: &str) {
    let (Some(binary), Some(plugin)) = (given("FLUENT_BIT_BIN", "a Fluent Bit"), plugin()) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().display().to_string();
    let client = Client {
        id: "profile-http".to_owned(),
        secret: "change-me".to_owned(),
        token_lifetime: Duration::from_mins(10),
    };
    let (arrivals, mut arrived) = mpsc::channel(PROFILES);
    let settings =
        Settings { client: Some(client), arrivals: Some(arrivals), ..Settings::default() };
    let endpoint = LocalEndpoint::start(settings).await.unwrap();

    let senders = Path::new(env!("CARGO_MANIFEST_DIR")).join("config-examples/senders");
    for name in [example, "fluent-bit-parsers.conf"] {
        let text = fs::read_to_string(senders.join(name)).unwrap();
        let text = text
            .replace("/usr/local/lib/libprofile_http.so", &plugin.display().to_string())
            .replace("/var/lib/fluent-bit", &place)
            .replace("/var/log/profiles", &place)
            .replace("127.0.0.1:8089", &endpoint.address().to_string());
        fs::write(dir.path().join(name), text).unwrap();
    }
    let mut lines = String::new();
    for id in 0..PROFILES {
        let profile = serde_json::json!({
            "identityMap": { "crmid": [{ "id": format!("c-{id}") }] },
            "_acme": { "updatedAt": id },
            "loyalty": { "tier": "gold" },
            "segmentMembership": { "ups": {
                "59bd2fcd-3c48-4b18-bf56-4f5c5e6967ae": { "status": "realized" },
            } },
        });
        lines.push_str(&profile.to_string());
        lines.push('\n');
    }
    fs::write(dir.path().join("a.ndjson"), lines).unwrap();

    let log = fs::File::create(dir.path().join("log")).unwrap();
    let mut command = Command::new(binary);
    command.env("ACME_CLIENT_SECRET", "change-me").current_dir(dir.path());
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    if Path::new(example).extension().is_some_and(|extension| extension == "conf") {
        command.arg("-e").arg(plugin);
    }
    let _running = FluentBit(command.args(["-c", example]).spawn().unwrap());
    for _ in 0..PROFILES {
        let profile = timeout(PATIENCE, arrived.recv()).await;
        assert!(profile.is_ok(), "{}", fs::read_to_string(dir.path().join("log")).unwrap());
    }
    assert!(endpoint.received("crmid", "c-999").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_yaml_example_delivers() {
    delivers("fluent-bit-plugin.yaml").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_classic_example_delivers() {
    delivers("fluent-bit-plugin.conf").await;
}
