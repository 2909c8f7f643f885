//! Bad input: a run that cannot start says once what is wrong, and has not begun anything.

use std::{fs, net::TcpListener, path::PathBuf};

use profile_http::local_endpoint::{LocalEndpoint, Settings};

use crate::support::{MAPPING, Process, Sender, Site, free_address, record};

const FAILURE: i32 = 1;
const EX_CONFIG: i32 = 78;

/// A sink that could run, were it not for a mistake.
struct Place {
    endpoint: LocalEndpoint,
    site: Site,
    config: PathBuf,
}

impl Place {
    async fn new() -> Self {
        Self::with_source("{ type: stdin }").await
    }

    async fn with_source(source: &str) -> Self {
        let endpoint = LocalEndpoint::start(Settings::default()).await.unwrap();
        let site = Site::new();
        let config = site.configure("run.yaml", source, &endpoint.url(), MAPPING);
        Self { endpoint, site, config }
    }

    /// Replaces a part of the configuration.
    fn change(&self, from: &str, to: &str) {
        let text = fs::read_to_string(&self.config).unwrap();
        assert!(text.contains(from), "there is no {from} in {text}");
        fs::write(&self.config, text.replacen(from, to, 1)).unwrap();
    }

    /// The one message of a run that cannot start though a record waits for it.
    fn fails(&self, code: i32) -> String {
        let (status, message) = Process::run(&self.config).fed(&(record(1, 1) + "\n"));
        assert_eq!(status.code(), Some(code), "{message}");
        assert!(message.starts_with("error: "), "nothing is said before: {message}");
        assert_eq!(message.matches("error: ").count(), 1, "{message}");
        assert_eq!(self.endpoint.report().requests, 0, "nothing is delivered");
        message
    }

    /// The message of a run whose configuration cannot be used.
    fn is_misconfigured(&self) -> String {
        let before = self.files();
        let message = self.fails(EX_CONFIG);
        assert_eq!(self.files(), before, "nothing is made");
        message
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> =
            fs::read_dir(self.site.path("")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    /// The place of a text in the configuration, as messages show it.
    fn place_of(&self, text: &str) -> String {
        let config = fs::read_to_string(&self.config).unwrap();
        let (line, column) = config
            .lines()
            .enumerate()
            .find_map(|(i, line)| Some((i + 1, line.find(text)? + 1)))
            .unwrap();
        format!("error: {}:{line}:{column}: ", self.config.display())
    }

    /// Once mended it runs, so nothing was left locked or taken.
    fn runs(&self) {
        Process::run_to_end(&self.config, &(record(1, 1) + "\n"));
        assert_eq!(self.endpoint.report().taken, 1);
    }
}

#[track_caller]
fn has(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "there is no {part:?} in {message}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let site = Site::new();
    let (status, message) = Process::run(&site.path("nowhere.yaml")).fed("");
    assert_eq!(status.code(), Some(EX_CONFIG));
    assert!(message.starts_with("error: "), "{message}");
    has(&message, &["nowhere.yaml: cannot read the configuration: No such file", "-c FILE"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_unknown_key_is_shown_with_the_nearest_known_one() {
    let place = Place::new().await;
    place.change("http_endpoint:", "http_endpiont:");
    let message = place.is_misconfigured();
    has(
        &message,
        &["unknown option `http_endpiont` in sink `crm`", "did you mean `http_endpoint`?"],
    );
    assert!(message.starts_with(&place.place_of("http_endpiont")), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_value_of_a_wrong_type_is_shown_with_what_is_expected() {
    let place = Place::new().await;
    place.change("    profile:", "    request: { timeout_secs: soon }\n    profile:");
    let message = place.is_misconfigured();
    has(&message, &["`timeout_secs` must be a number", "this is text"]);
    assert!(message.starts_with(&place.place_of("soon")), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_bad_url_is_shown_with_what_is_missing() {
    let place = Place::new().await;
    place.change(&format!("{:?}", place.endpoint.url()), "api.acme.example/v1");
    let message = place.is_misconfigured();
    has(&message, &["`http_endpoint` must be", "help: begin it with https://"]);
    assert!(message.starts_with(&place.place_of("api.acme")), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn two_sinks_of_one_name_are_shown() {
    let place = Place::new().await;
    let text = fs::read_to_string(&place.config).unwrap();
    let (_, sink) = text.split_once("sinks:\n").unwrap();
    fs::write(&place.config, format!("{text}{sink}")).unwrap();
    has(&place.is_misconfigured(), &["`crm` stands here twice", "help: "]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_unset_variable_is_named() {
    let place = Place::new().await;
    place.change("[name,", "[\"${NAME_OF_THE_NAME}\",");
    let message = place.is_misconfigured();
    has(&message, &["variable NAME_OF_THE_NAME is not set", "${NAME_OF_THE_NAME:-default}"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_unreadable_ca_file_is_named() {
    let place = Place::new().await;
    place.change("    profile:", "    tls: { ca_file: /no/ca.pem }\n    profile:");
    let message = place.is_misconfigured();
    has(&message, &["cannot read the CA file /no/ca.pem: No such file", "help: "]);
    assert!(message.starts_with(&place.place_of("/no/ca.pem")), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_secret_whose_file_is_not_there_is_named() {
    let place = Place::new().await;
    let auth = "    auth: { strategy: bearer, token: { file: /no/token } }\n    profile:";
    place.change("    profile:", auth);
    let message = place.is_misconfigured();
    has(&message, &["cannot read the secret from /no/token: No such file", "help: "]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_sink_that_maps_neither_attributes_nor_segments_is_an_error() {
    let place = Place::new().await;
    place.change("attributes: [name, n]", "legacy_status: true");
    has(&place.is_misconfigured(), &["nothing is mapped", "export.attributes or export.segments"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_data_dir_that_cannot_be_written_is_an_error() {
    let place = Place::new().await;
    place.site.write("data", "something else");
    let message = place.is_misconfigured();
    has(&message, &["cannot write to", "it is not a directory", "choose another `data_dir`"]);
    assert!(message.starts_with(&place.place_of("/")), "{message}");
    fs::remove_file(place.site.path("data")).unwrap();
    place.runs();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_store_that_cannot_be_made_is_an_error() {
    let place = Place::new().await;
    fs::create_dir(place.site.path("data")).unwrap();
    let file = place.site.write("data/crm", "something else");
    let message = place.fails(FAILURE);
    has(&message, &["sink crm: cannot open the store at", "not a directory", "another data_dir"]);
    fs::remove_file(file).unwrap();
    place.runs();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_store_that_cannot_be_read_is_an_error() {
    let place = Place::new().await;
    Process::run_to_end(&place.config, "");
    place.site.write("data/crm/version", "something else");
    let message = place.fails(FAILURE);
    has(&message, &["sink crm: cannot open the store at", "cannot be read", "move it away"]);
    fs::rename(place.site.path("data/crm"), place.site.path("away")).unwrap();
    place.runs();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_address_in_use_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let place = Place::with_source(&format!("{{ type: http_server, address: '{address}' }}")).await;
    let before = place.files();
    let message = place.fails(FAILURE);
    has(&message, &[&format!("source in: cannot listen on {address}"), "choose another port"]);
    assert_eq!(message.lines().count(), 1, "{message}");
    assert_eq!(place.files(), before, "no store is made");

    drop(listener);
    let mut process = Process::run(&place.config);
    process.wait_for("listening");
    let taken = Sender::new(address).send(&[record(1, 1)]).await;
    assert_eq!(taken["changed"], 1);
    process.signal("TERM");
    assert!(process.wait().0.success());
}

/// Two sinks, `first` and `crm`, of which something waits for `first`.
async fn two_sinks() -> (Place, LocalEndpoint, PathBuf) {
    let place = Place::new().await;
    let mut first = LocalEndpoint::start(Settings::default()).await.unwrap();
    let text = fs::read_to_string(&place.config).unwrap();
    let (head, crm) = text.split_once("sinks:\n").unwrap();
    let other = crm.replace("  crm:", "  first:").replace(&place.endpoint.url(), &first.url());
    let alone = place.site.write("first.yaml", &format!("{head}sinks:\n{other}"));
    place.site.write("run.yaml", &format!("{head}sinks:\n{other}{crm}"));

    first.close().await;
    let limited = Process::start(&["run", "--drain-limit-secs", "1"], Some(&alone));
    let (status, log) = limited.fed(&record(7, 1));
    assert_eq!(status.code(), Some(FAILURE), "{log}");
    first.reopen().await.unwrap();
    (place, first, alone)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn while_one_store_is_in_use_no_sink_begins() {
    let (place, first, alone) = two_sinks().await;
    let endpoint = place.endpoint.url();
    let crm = place.site.configure("crm.yaml", "{ type: stdin }", &endpoint, MAPPING);
    let mut holder = Process::run(&crm);
    holder.wait_for("delivering");
    let message = place.fails(FAILURE);
    let store = place.site.path("data/crm");
    has(&message, &["sink crm: the store at", "is in use by another process", "another data_dir"]);
    has(&message, &[store.to_str().unwrap()]);
    assert_eq!(message.lines().count(), 1, "{message}");
    assert_eq!(first.report().requests, 0, "the other sink delivers nothing");

    holder.close_stdin();
    assert!(holder.wait().0.success());
    Process::run_to_end(&alone, "");
    assert_eq!(first.report().taken, 1, "it kept what waits");
    place.runs();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_run_that_cannot_start_does_not_disturb_the_one_that_has_the_store() {
    let place = Place::new().await;
    let address = free_address();
    let source = format!("{{ type: http_server, address: '{address}' }}");
    let config = place.site.configure("http.yaml", &source, &place.endpoint.url(), MAPPING);
    let mut process = Process::run(&config);
    process.wait_for("listening");
    place.fails(FAILURE);
    let taken = Sender::new(address).send(&[record(2, 1)]).await;
    assert_eq!(taken["changed"], 1);
    process.signal("TERM");
    let (status, log) = process.wait();
    assert!(status.success(), "{log}");
    Process::run_to_end(&place.config, "");
    assert_eq!(place.endpoint.report().taken, 1);
}
