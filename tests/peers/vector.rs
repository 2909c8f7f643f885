//! The examples for Vector as they stand, with the Vector that `VECTOR_BIN` names.

use std::{
    env,
    ffi::OsString,
    fs::File,
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
};

use http::StatusCode;
use profile_http::local_endpoint::{LocalEndpoint, Settings};
use serde_json::{Value, json};
use tokio::{
    sync::Mutex,
    time::{Duration, Instant, sleep},
};

use crate::{
    peer::Peer,
    support::{Process, Sender, Site},
};

const CUSTOMERS: u64 = 100_000;
const BATCH: u64 = 1000;

/// What the examples say.
const ENDPOINT: u16 = 8089;
const CRM: u16 = 8687;

/// Longer than it takes to deliver everything.
const PATIENCE: Duration = Duration::from_mins(10);

/// The examples have their ports to themselves.
static PORTS: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn vector_loses_nothing_over_its_own_protocol_when_the_program_is_killed() {
    survive("vector.yaml").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn vector_loses_nothing_over_http_when_the_program_is_killed() {
    survive("vector-http.yaml").await;
}

/// Sends customers to the source of Vector's example while the program is killed and started again.
async fn survive(example: &str) {
    let Some(vector) = env::var_os("VECTOR_BIN") else {
        let test = std::thread::current().name().unwrap_or_default().to_owned();
        let _ = writeln!(io::stderr(), "{test} is skipped: VECTOR_BIN names no Vector");
        return;
    };
    let _ports = PORTS.lock().await;
    let site = Site::new();
    let address = at(ENDPOINT);
    let settings = Settings { address, ..Settings::default() };
    let endpoint = LocalEndpoint::start(settings).await.unwrap();
    let mut process = start(&site, example);
    let _vector = run_vector(vector, &site, example).await;

    let crm = Sender::new(at(CRM));
    for first in (0..CUSTOMERS).step_by(usize::try_from(BATCH).unwrap()) {
        let customers: Vec<_> = (first..first + BATCH).map(customer).collect();
        let post = tokio::spawn({
            let crm = crm.clone();
            async move {
                let json = [("content-type", "application/json")];
                crm.post_as(&json, Value::from(customers).to_string()).await
            }
        });
        if first % 25_000 == 5000 {
            process.kill();
            process = start(&site, example);
        }
        let (status, body) = post.await.unwrap().expect("an answer");
        assert_eq!(status, StatusCode::OK, "{body}");
    }

    let deadline = Instant::now() + PATIENCE;
    for id in 0..CUSTOMERS {
        while endpoint.received("crmid", &format!("c-{id}")).is_none() {
            assert!(Instant::now() < deadline, "customer {id} was acknowledged and is lost");
            sleep(Duration::from_millis(50)).await;
        }
    }
    let last = endpoint.received("crmid", "c-7").unwrap().body;
    let last: Value = serde_json::from_slice(&last).unwrap();
    assert_eq!(last["person"]["name"]["firstName"], "Ada");
    assert_eq!(last["loyalty"]["tier"], "gold");
    let members = &last["segmentMembership"]["ups"];
    assert_eq!(members["59bd2fcd-3c48-4b18-bf56-4f5c5e6967ae"]["status"], "realized");
}

fn customer(id: u64) -> Value {
    json!({
        "customer_id": format!("c-{id}"), "first_name": "Ada", "last_name": "Example",
        "email": "ada@example.org", "tier": "gold", "updated_at": "2024-01-02T03:04:05Z",
    })
}

fn at(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config-examples")
}

fn start(site: &Site, example: &str) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_profile-http"));
    command.arg("run").arg("-c").arg(examples().join(example)).current_dir(site.path(""));
    let mut process = Process::spawn(command);
    process.wait_for("listening");
    process
}

async fn run_vector(program: OsString, site: &Site, example: &str) -> Peer {
    std::fs::create_dir(site.path("vector-data")).unwrap();
    let log = File::create(site.path("vector.log")).unwrap();
    let mut command = Command::new(program);
    command.arg("-c").arg(examples().join("senders").join(example)).current_dir(site.path(""));
    command.stdout(log.try_clone().unwrap()).stderr(log);
    let mut vector = Peer::start(&mut command, None).unwrap();
    while TcpStream::connect(at(CRM)).is_err() {
        if let Some(ended) = vector.child().try_wait().unwrap() {
            let log = std::fs::read_to_string(site.path("vector.log")).unwrap();
            panic!("Vector has ended with {ended}: {log}");
        }
        sleep(Duration::from_millis(50)).await;
    }
    vector
}
