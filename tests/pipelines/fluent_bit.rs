//! Fluent Bit, with the program behind it and with the plugin inside.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;

use crate::{
    given,
    pipeline::{Other, Pipeline},
    updates::{ROUNDS, UPDATES, lines, of_round},
};

/// A Fluent Bit that follows a file.
struct FluentBit {
    program: PathBuf,
    pipeline: Pipeline,
    followed: File,
}

impl FluentBit {
    async fn new(client: Option<&str>) -> Option<Self> {
        let program = given("FLUENT_BIT_BIN", "Fluent Bit")?;
        let mut pipeline = Pipeline::new(client).await;
        let here = pipeline.path("");
        pipeline.move_to("/var/lib/fluent-bit", &here);
        pipeline.move_to("/var/log/profiles", &here);
        let followed = File::create(pipeline.path("followed.ndjson")).unwrap();
        Some(Self { program, pipeline, followed })
    }

    /// With the plugin instead of the program.
    async fn with_plugin() -> Option<Self> {
        let plugin = given("PROFILE_HTTP_PLUGIN", "libprofile_http.so")?;
        let mut fluent_bit = Self::new(Some("change-me")).await?;
        fluent_bit.pipeline.move_to("/usr/local/lib/libprofile_http.so", &plugin);
        Some(fluent_bit)
    }

    fn run(&self, config: &Path) -> Other {
        self.pipeline.run_other(&self.program, [Path::new("-c"), config])
    }

    /// Appends the updates of a round to the file, and returns once the first has arrived.
    async fn round(&mut self, round: u64) {
        self.append(round);
        self.pipeline.sees_begin(round).await;
    }

    /// Appends the updates of a round to the file, and returns a place among the last states.
    fn append(&mut self, round: u64) -> u64 {
        let lines = lines(of_round(round));
        self.followed.write_all(lines.as_bytes()).unwrap();
        self.followed.metadata().unwrap().len() - lines.len() as u64 / 10
    }

    /// Waits until no chunk is left.
    async fn lets_go(&self) {
        let chunks = self.pipeline.path("storage/tail.0");
        let none = || fs::read_dir(&chunks).unwrap().next().is_none();
        self.pipeline.wait_until("no chunk is left", none).await;
    }

    /// Waits until it has read so far.
    async fn reads(&self, other: &Other, place: u64) {
        let descriptors = PathBuf::from(format!("/proc/{}/fd", other.id()));
        let followed = self.pipeline.path("followed.ndjson");
        let position = |descriptor: &Path| -> Option<u64> {
            let info = descriptor.to_str()?.replace("/fd/", "/fdinfo/");
            let info = fs::read_to_string(info).ok()?;
            info.lines().find_map(|line| line.strip_prefix("pos:"))?.trim().parse().ok()
        };
        let read = || {
            let open = fs::read_dir(&descriptors).unwrap().map_while(Result::ok);
            let mut open = open.map(|entry| entry.path());
            let descriptor = open.find(|path| fs::read_link(path).is_ok_and(|to| to == followed));
            descriptor.and_then(|path| position(&path)) >= Some(place)
        };
        self.pipeline.wait_until("the file is read", read).await;
    }
}

/// Whether some chunk has failed more than once.
fn failed_again(log: &str) -> bool {
    let failed = log.split("failed to flush chunk '").skip(1);
    let mut names = HashSet::new();
    failed.filter_map(|rest| rest.split('\'').next()).any(|name| !names.insert(name))
}

/// The id of a process that runs with this among its arguments.
fn process_with(argument: &Path) -> Option<u32> {
    let argument = argument.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().map_while(Result::ok);
    let mut ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.find(|id| {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word == argument.as_bytes())
    })
}

/// Runs as a daemon; ended by its id when it is dropped.
struct Daemon(u32);

impl Daemon {
    fn signal(&self, signal: &str) -> bool {
        let id = self.0.to_string();
        Command::new("kill").args([format!("-{signal}"), id]).output().unwrap().status.success()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.signal("KILL");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn fluent_bit_loses_nothing_when_the_program_is_killed() {
    let Some(mut fluent_bit) = FluentBit::new(None).await else { return };
    fluent_bit.pipeline.listen_elsewhere(24224);
    let mut process = fluent_bit.pipeline.run("fluent.yaml");
    let config = fluent_bit.pipeline.example("senders/fluent-bit-forward.yaml");
    let _other = fluent_bit.run(&config);
    for round in 0..ROUNDS {
        // Once it is away for so long that what failed twice would be given up by default.
        if round == 0 {
            process.kill();
            fluent_bit.append(round);
            let again = || failed_again(&fluent_bit.pipeline.log());
            fluent_bit.pipeline.wait_until("a chunk failed twice", again).await;
            process = fluent_bit.pipeline.run("fluent.yaml");
            continue;
        }
        fluent_bit.round(round).await;
        if round < ROUNDS - 1 {
            process.kill();
            process = fluent_bit.pipeline.run("fluent.yaml");
        }
    }
    fluent_bit.pipeline.has_everything(UPDATES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_plugin_loses_nothing_when_fluent_bit_is_killed() {
    let Some(mut fluent_bit) = FluentBit::with_plugin().await else { return };
    let config = fluent_bit.pipeline.example("senders/fluent-bit-plugin.yaml");
    let mut other = fluent_bit.run(&config);
    for round in 0..ROUNDS {
        let place = fluent_bit.append(round);
        fluent_bit.reads(&other, place).await;
        // Now while Fluent Bit has the records, now when it has just let go of them.
        if !round.is_multiple_of(2) {
            fluent_bit.lets_go().await;
        }
        if round < ROUNDS - 1 {
            other.kill();
            other = fluent_bit.run(&config);
        }
    }
    fluent_bit.pipeline.has_everything(UPDATES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_plugin_delivers_in_the_classic_form() {
    let Some(mut fluent_bit) = FluentBit::with_plugin().await else { return };
    let pipeline = &fluent_bit.pipeline;
    let parsers = pipeline.example("senders/fluent-bit-parsers.conf");
    // Beside the configuration, under the name that stands there.
    fs::rename(parsers, pipeline.path("fluent-bit-parsers.conf")).unwrap();
    let config = pipeline.example("senders/fluent-bit-plugin.conf");
    let plugin = given("PROFILE_HTTP_PLUGIN", "libprofile_http.so").unwrap();
    let arguments = [Path::new("-e"), &plugin, Path::new("-c"), &config];
    let _other = pipeline.run_other(&fluent_bit.program, arguments);
    fluent_bit.round(0).await;
    fluent_bit.pipeline.has_everything(of_round(0).end).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_plugin_takes_its_store_up_again_after_each_hot_reload() {
    let Some(mut fluent_bit) = FluentBit::with_plugin().await else { return };
    let config = fluent_bit.pipeline.changed("senders/fluent-bit-plugin.yaml", |text| {
        // They do not go together.
        let text = text.replace("workers: 1", "# without workers");
        text.replace("flush: 1", "flush: 1\n  hot_reload: on")
    });
    let mut other = fluent_bit.run(&config);
    for round in 0..ROUNDS {
        fluent_bit.round(round).await;
        if round < ROUNDS - 1 {
            other.signal("HUP");
            let reloads = || fluent_bit.pipeline.log().matches("successful reload done").count();
            let done = || reloads() as u64 > round;
            fluent_bit.pipeline.wait_until("reloaded", done).await;
        }
    }
    fluent_bit.pipeline.has_everything(UPDATES).await;
    assert!(other.runs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_plugin_delivers_in_a_daemon_which_has_no_stdout_and_stderr() {
    let Some(mut fluent_bit) = FluentBit::with_plugin().await else { return };
    let config = fluent_bit.pipeline.example("senders/fluent-bit-plugin.yaml");
    let log = fluent_bit.pipeline.path("daemon.log");
    let arguments = [Path::new("-d"), Path::new("-l"), &log, Path::new("-c"), &config];
    let mut other = fluent_bit.pipeline.run_other(&fluent_bit.program, arguments);
    fluent_bit.pipeline.wait_until("it is in the background", || !other.runs()).await;
    let daemon = Daemon(process_with(&config).expect("the daemon"));

    fluent_bit.round(0).await;
    fluent_bit.pipeline.has_everything(of_round(0).end).await;
    for stream in [1, 2] {
        let file = fs::read_link(format!("/proc/{}/fd/{stream}", daemon.0));
        assert_ne!(file.ok(), Some(fluent_bit.pipeline.path("log")), "it has the stream still");
    }
    assert!(daemon.signal("TERM"));
    fluent_bit.pipeline.wait_until("it has ended", || !daemon.signal("0")).await;
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("[profile_http] stopped"), "{log}");
    assert!(!fluent_bit.pipeline.log().contains("[profile_http]"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn fluent_bit_delivers_over_http_in_every_format() {
    let Some(fluent_bit) = FluentBit::new(None).await else { return };
    let mut pipeline = fluent_bit.pipeline;
    let source = pipeline.listen_elsewhere(8080);
    let _process = pipeline.run("vector-http.yaml");
    let forms =
        [("json", "gzip"), ("json_lines", "zstd"), ("json_stream", "gzip"), ("msgpack", "snappy")];
    for (round, (format, compress)) in (0..).zip(forms) {
        let followed = pipeline.path(&format!("{format}.ndjson"));
        fs::write(&followed, lines(round * 1000..(round + 1) * 1000)).unwrap();
        let input = json!({
            "name": "tail", "tag": "profiles", "path": followed, "read_from_head": true,
            "parser": "profile",
        });
        let output = json!({
            "name": "http", "match": "profiles", "host": "127.0.0.1", "port": source.port(),
            "format": format, "compress": compress, "header": "Authorization Bearer change-me",
        });
        let config = json!({
            "service": { "flush": 1 },
            "parsers": [{ "name": "profile", "format": "json" }],
            "pipeline": { "inputs": [input], "outputs": [output] },
        });
        // JSON is YAML too.
        let path = pipeline.path(&format!("{format}.yaml"));
        fs::write(&path, config.to_string()).unwrap();
        let _other = pipeline.run_other(&fluent_bit.program, [Path::new("-c"), &path]);
        pipeline.has_everything((round + 1) * 1000).await;
    }
}
