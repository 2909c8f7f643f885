use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use profile_http::local_endpoint::{LocalEndpoint, Settings};
use tempfile::TempDir;
use tokio::{sync::mpsc, time::timeout};

use crate::plugin;

/// Longer than anything here takes when it works, also under valgrind.
const PATIENCE: Duration = Duration::from_mins(1);

const OK: i32 = 1;
const ERROR: i32 = 0;
const RETRY: i32 = 2;

/// Profiles in the larger chunk; fewer under valgrind, which is slow.
const MANY: u64 = 2000;
const FEW: u64 = 60;

/// The host, compiled, and what it is run with.
struct Place {
    dir: TempDir,
    plugin: PathBuf,
    endpoint: LocalEndpoint,
    arrived: mpsc::Receiver<Bytes>,
}

/// How the host ended, and what it reported.
struct Outcome {
    report: String,
    /// What was printed, which is nothing.
    printed: String,
    succeeded: bool,
}

impl Place {
    /// With a chunk of `many` profiles and one of three.
    async fn new(many: u64) -> Option<Self> {
        let plugin = plugin()?;
        let dir = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plugin/host.c");
        let compiled = Command::new("cc")
            .args(["-O1", "-g", "-pthread", "-o"])
            .arg(dir.path().join("host"))
            .arg(source)
            .arg("-ldl")
            .status();
        assert!(compiled.unwrap().success());
        let (arrivals, arrived) = mpsc::channel(100_000);
        let settings = Settings { arrivals: Some(arrivals), ..Settings::default() };
        let endpoint = LocalEndpoint::start(settings).await.unwrap();
        fs::write(dir.path().join("big"), chunk(0..many)).unwrap();
        fs::write(dir.path().join("small"), chunk(many..many + 3)).unwrap();
        Some(Self { dir, plugin, endpoint, arrived })
    }

    /// The options of an output that works.
    fn output(&self, name: &str) -> Vec<String> {
        vec![
            format!("http_endpoint={}", self.endpoint.url()),
            "profile_key=identityMap.crmid".to_owned(),
            "attributes=name,n".to_owned(),
            format!("state_dir={}", self.dir.path().display()),
            format!("sink={name}"),
            // Fluent Bit has replaced variables already; what looks like one now is none.
            "custom_headers=x-source:$$5".to_owned(),
        ]
    }

    /// Runs the host with these outputs until so many profiles have arrived.
    async fn run(&mut self, under: &[&str], outputs: &[Vec<String>], profiles: u64) -> Outcome {
        let path = |name: &str| self.dir.path().join(name);
        let mut words: Vec<_> = under.iter().map(PathBuf::from).collect();
        words.extend([
            path("host"),
            self.plugin.clone(),
            path("report"),
            path("big"),
            path("small"),
        ]);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(outputs.join(&"--".to_owned()));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        for _ in 0..profiles {
            timeout(PATIENCE, self.arrived.recv()).await.unwrap().unwrap();
        }
        drop(child.stdin.take());
        let ended =
            tokio::task::spawn_blocking(|| child.wait_with_output()).await.unwrap().unwrap();
        Outcome {
            report: fs::read_to_string(path("report")).unwrap(),
            printed: String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned(),
            succeeded: ended.status.success(),
        }
    }
}

impl Outcome {
    fn has(&self, line: &str) -> bool {
        self.report.lines().any(|known| known == line)
    }
}

fn text(text: &str) -> Vec<u8> {
    [&[0xd9, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

/// Log events as Fluent Bit hands them over, every other one without metadata, as older versions
/// have them, and last a number.
fn chunk(ids: Range<u64>) -> Vec<u8> {
    let time = b"\xd7\x00\x65\x00\x00\x00\x00\x00\x00\x01";
    let event = |id: u64| {
        let header = if id.is_multiple_of(2) {
            [&b"\x92\x92"[..], time, b"\x80"].concat()
        } else {
            [&b"\x92"[..], time].concat()
        };
        let key = [&b"\xabidentityMap\x81\xa5crmid\x91\x81\xa2id"[..], &text(&format!("c-{id}"))];
        [
            header,
            b"\x83".to_vec(),
            key.concat(),
            b"\xa4name".to_vec(),
            text("p"),
            b"\xa1n\x01".to_vec(),
        ]
        .concat()
    };
    ids.flat_map(event).collect()
}

/// The lines of a report in their order, apart from what was logged.
fn results(report: &str) -> Vec<&str> {
    report.lines().filter(|line| !line.starts_with("log ")).collect()
}

fn check(place: &Place, outcome: &Outcome, profiles: u64) {
    let report = &outcome.report;
    assert!(outcome.succeeded, "{report}\n{}", outcome.printed);
    for output in [0, 1] {
        assert!(outcome.has(&format!("init {output} 1")), "{report}");
        let flushed = format!("flush {output} {OK}");
        assert_eq!(report.lines().filter(|line| *line == flushed).count(), 2, "{report}");
    }
    assert!(outcome.has("init 2 -1") && outcome.has(&format!("flush 2 {RETRY}")), "{report}");
    assert!(outcome.has(&format!("flush of garbage {ERROR}")), "{report}");
    let first = "register 0 2 11 0 profile_http: Streams customer profiles to an HTTP endpoint";
    let results = results(report);
    assert_eq!(results[..2], [first, "exit of nothing 1"]);
    let last = ["exit 1", "exit 1", "exit 1", "init again 1", "exit again 1", "unload 0", "end"];
    assert_eq!(results[results.len() - last.len()..], last);

    let arrived = |id: &u64| place.endpoint.received("crmid", &format!("c-{id}")).is_some();
    assert!((0..profiles).all(|id| arrived(&id)));
    assert_eq!(place.endpoint.report().headers["x-source"], "$$5");
}

fn outputs(place: &Place) -> Vec<Vec<String>> {
    let mut wrong = place.output("third");
    wrong.push("timeout=soon".to_owned());
    wrong.push("client_secret=hunter2".to_owned());
    vec![place.output("first"), place.output("second"), wrong]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_outputs_take_chunks_on_small_stacks_and_a_third_says_what_is_wrong_with_it() {
    let Some(mut place) = Place::new(MANY).await else { return };
    let outputs = outputs(&place);
    let outcome = place.run(&[], &outputs, 2 * (MANY + 3)).await;
    check(&place, &outcome, MANY + 3);
    let report = &outcome.report;
    assert_eq!(outcome.printed, "", "something was printed, where it could be Fluent Bit's pipe");
    let wrong = "log 1 [profile_http] options:";
    assert!(report.contains(wrong) && report.contains("timeout: soon"), "{report}");
    assert!(!report.contains("hunter2"), "{report}");
    assert!(report.contains("log 3 [profile_http] delivering sink=\"first\""), "{report}");
    assert!(report.contains("log 1 [profile_http] Fluent Bit drops a chunk"), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn valgrind_finds_nothing() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("skipped: valgrind is not installed");
        return;
    }
    let Some(mut place) = Place::new(FEW).await else { return };
    let outputs = outputs(&place);
    let log = format!("--log-file={}", place.dir.path().join("valgrind").display());
    let valgrind = ["valgrind", "--error-exitcode=9", "--quiet", &log];
    let outcome = place.run(&valgrind, &outputs, 2 * (FEW + 3)).await;
    let found = fs::read_to_string(place.dir.path().join("valgrind")).unwrap();
    assert_eq!(found, "");
    check(&place, &outcome, FEW + 3);
}
