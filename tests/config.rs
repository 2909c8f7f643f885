//! The configuration as an operator meets it: the examples, and what `validate` says of mistakes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

const EX_CONFIG: i32 = 78;

/// A directory in which a configuration is validated.
struct Workplace(TempDir);

impl Workplace {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn with(name: &str, text: &str) -> Self {
        let place = Self::new();
        fs::write(place.0.path().join(name), text).unwrap();
        place
    }

    fn run(&self, arguments: &[&str], env: &[(&str, &str)]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_profile-http"))
            .args(arguments)
            .current_dir(self.0.path())
            .env_remove("PROFILE_HTTP_CONFIG")
            .envs(env.iter().copied())
            .output()
            .unwrap()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config-examples");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    // The folders in it hold configurations of other programs.
    entries.filter(|path| path.is_file()).collect()
}

fn smallest() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config-examples");
    fs::read_to_string(folder.join("stdin.yaml")).unwrap()
}

/// What `validate` says of the smallest example with a mistake in it.
fn complaint(from: &str, to: &str) -> String {
    let text = smallest();
    assert!(text.contains(from), "the example has no {from}");
    complaint_of(&text.replacen(from, to, 1))
}

/// What `validate` says of a configuration with a mistake in it. Nothing is left behind.
fn complaint_of(text: &str) -> String {
    let place = Workplace::with("c.yaml", text);
    let output = place.run(&["validate", "c.yaml"], &[]);
    assert_eq!(output.status.code(), Some(EX_CONFIG), "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
    assert_eq!(fs::read_dir(place.0.path()).unwrap().count(), 1);
    stderr(&output)
}

/// The line of the smallest example, counted from 1, on which the text stands.
fn line_of(text: &str) -> usize {
    smallest().lines().position(|line| line.contains(text)).unwrap() + 1
}

#[test]
fn every_example_is_valid_and_has_no_warnings() {
    let examples = examples();
    assert!(examples.len() >= 5);
    for example in examples {
        let path = example.to_str().unwrap();
        let output = Workplace::new().run(&["validate", "--deny-warnings", path], &[]);
        assert!(output.status.success(), "{path}: {}", stderr(&output));
        assert_eq!(stderr(&output), "");
        assert!(stdout(&output).contains("The configuration is valid."));
    }
}

#[test]
fn the_summary_says_what_goes_where() {
    let path = examples().into_iter().find(|path| path.ends_with("oauth2.yaml")).unwrap();
    let output = Workplace::new().run(&["validate", path.to_str().unwrap()], &[]);
    let summary = stdout(&output);
    for part in [
        "source from_http: HTTP at 127.0.0.1:8080",
        "sink acme_crm, from from_http",
        "POST http://127.0.0.1:8089/profiles with OAuth2 client credentials",
        "key identityMap.crmid",
        "maps 3 attributes and 2 segments",
    ] {
        assert!(summary.contains(part), "{summary}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let output = Workplace::new().run(&["validate", "nowhere.yaml"], &[]);
    assert_eq!(output.status.code(), Some(EX_CONFIG));
    assert!(stderr(&output).contains("nowhere.yaml: cannot read the configuration"));
}

#[test]
fn an_unknown_option_is_shown_with_the_nearest_known_one() {
    let complaint = complaint("inputs:", "inptus:");
    let line = line_of("inputs:");
    let expected = format!(
        "error: c.yaml:{line}:5: unknown option `inptus` in sink `local`\n\
         \x20       inptus: [from_stdin]\n\
         \x20       ^^^^^^\n\
         \x20 help: did you mean `inputs`?\n"
    );
    assert_eq!(complaint, expected);
}

#[test]
fn a_wrong_type_says_what_was_found_and_what_is_expected() {
    let complaint = complaint("type: profile_http", "type: profile_http\n    name: 12");
    assert!(complaint.contains("`name` must be text, but this is a number"), "{complaint}");
    assert!(complaint.contains("help: put it in quotes"), "{complaint}");
}

#[test]
fn a_bad_url_is_shown() {
    let line = line_of("http_endpoint");
    let complaint = complaint("http://127.0.0.1:8089/profiles", "api.acme.example/v1");
    assert!(complaint.contains(&format!("c.yaml:{line}:20: `http_endpoint` must be")));
    assert!(complaint.contains("help: begin it with https://"), "{complaint}");
}

#[test]
fn two_sinks_of_one_name_are_an_error() {
    let complaint = complaint("sinks:", "sinks:\n  local: { type: profile_http }");
    assert!(complaint.contains("`local` stands here twice"), "{complaint}");
}

#[test]
fn an_unset_variable_is_named() {
    let complaint = complaint("[person.name,", "[\"${ATTRIBUTE_TO_MAP}\",");
    assert!(complaint.contains("the variable ATTRIBUTE_TO_MAP is not set"), "{complaint}");
    assert!(complaint.contains("${ATTRIBUTE_TO_MAP:-default}"), "{complaint}");
}

#[test]
fn an_unreadable_ca_file_is_named() {
    let complaint = complaint("    profile:", "    tls: { ca_file: /no/ca.pem }\n    profile:");
    assert!(complaint.contains("cannot read the CA file /no/ca.pem"), "{complaint}");
}

#[test]
fn a_ca_file_without_certificates_is_an_error() {
    let complaint = complaint("    profile:", "    tls: { ca_file: c.yaml }\n    profile:");
    assert!(complaint.contains("there is no certificate in the CA file c.yaml"), "{complaint}");
}

/// What `validate` says of a source that listens with these options of `tls`.
fn complaint_of_listener(tls: &str) -> String {
    let source = format!("type: http_server\n    address: 127.0.0.1:0\n    tls: {{ {tls} }}");
    complaint("type: stdin", &source)
}

#[test]
fn a_certificate_of_a_source_that_is_not_there_is_named() {
    let complaint = complaint_of_listener("crt_file: /no/server.crt, key_file: /no/server.key");
    assert!(complaint.contains("cannot read /no/server.crt: No such file"), "{complaint}");
    assert!(complaint.contains("help: name a file in PEM form"), "{complaint}");
}

#[test]
fn tls_options_of_a_source_that_need_each_other_are_asked_for() {
    for (given, wanted) in [
        ("crt_file: a", "`tls` of source `from_stdin` has no `key_file`"),
        ("crt_file: a, key_file: b, verify_client: true", "name the authorities"),
        ("crt_file: a, key_file: b, ca_file: c", "not used without `verify_client: true`"),
    ] {
        let complaint = complaint_of_listener(given);
        assert!(complaint.contains(wanted), "{complaint}");
    }
}

#[test]
fn senders_of_a_source_prove_themselves_with_all_it_takes() {
    for (given, wanted) in [
        ("token: a", "has no `strategy`"),
        ("strategy: bearer", "has no `token`"),
        ("strategy: basic, user: a", "has no `password`"),
        ("strategy: basic, user: 'a:b', password: c", "a colon in it"),
        ("strategy: basic, user: a, password: ''", "`password` is empty"),
        ("strategy: basic, user: a, password: b, token: c", "unknown option `token`"),
        ("strategy: oauth2", "must be `basic` or `bearer`"),
    ] {
        let source =
            format!("type: http_server\n    address: 127.0.0.1:0\n    auth: {{ {given} }}");
        let complaint = complaint("type: stdin", &source);
        assert!(complaint.contains(wanted), "{complaint}");
    }
}

#[test]
fn a_sink_that_maps_nothing_is_an_error() {
    let text = smallest();
    let (before, _) = text.split_once("    export:").unwrap();
    let complaint = complaint_of(&format!("{before}    export: {{ segment_names: true }}\n"));
    assert!(complaint.contains("nothing is mapped"), "{complaint}");
}

#[test]
fn a_data_dir_that_cannot_be_written_is_an_error() {
    let complaint = complaint("./profile-http-data", "c.yaml/data");
    assert!(complaint.contains("cannot write to c.yaml"), "{complaint}");
}

#[test]
fn the_environment_is_left_alone_on_demand() {
    let text = smallest()
        .replace("http://127.0.0.1:8089", "https://no-such-host.invalid")
        .replace("    profile:", "    tls: { ca_file: /no/ca.pem }\n    profile:");
    let place = Workplace::with("c.yaml", &text);
    let output = place.run(&["validate", "c.yaml", "--no-environment"], &[]);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn warnings_are_errors_on_demand() {
    let text = smallest().replace("http://127.0.0.1:8089", "http://192.0.2.1");
    let place = Workplace::with("c.yaml", &text);
    let output = place.run(&["validate", "c.yaml"], &[]);
    assert!(output.status.success());
    assert!(stderr(&output).starts_with("warning: c.yaml:"), "{}", stderr(&output));
    let output = place.run(&["validate", "c.yaml", "--deny-warnings"], &[]);
    assert_eq!(output.status.code(), Some(EX_CONFIG));
    assert!(stderr(&output).starts_with("error: c.yaml:"), "{}", stderr(&output));
}

/// The smallest example with a label on one of its attributes and a policy.
fn governed(denied: &str) -> String {
    smallest()
        .replace("[person.name, personalEmail.address]", "[{ path: person.name, labels: [pii] }]")
        .replace(
            "    profile:",
            &format!("    governance: {{ policies: [{{ name: p, deny_labels: [{denied}] }}] }}\n    profile:"),
        )
}

#[test]
fn a_policy_that_denies_a_mapped_attribute_starts_nothing() {
    let place = Workplace::with("c.yaml", &governed("pii"));
    for command in [&["validate", "c.yaml"][..], &["run", "-c", "c.yaml"]] {
        let output = place.run(command, &[]);
        assert_eq!(output.status.code(), Some(EX_CONFIG));
        let error = stderr(&output);
        assert!(error.starts_with("error: c.yaml:"), "{error}");
        assert!(error.contains("`person.name` is labelled pii"), "{error}");
        assert!(error.contains("the policy `p` does not allow"), "{error}");
    }
    assert_eq!(fs::read_dir(place.0.path()).unwrap().count(), 1, "nothing was made");
}

#[test]
fn a_denied_label_that_nobody_knows_is_a_warning_and_an_error_on_demand() {
    let place = Workplace::with("c.yaml", &governed("PII"));
    let output = place.run(&["validate", "c.yaml"], &[]);
    assert!(output.status.success());
    let warning = "no attribute has the label `PII` that is denied here";
    assert!(stderr(&output).starts_with("warning: c.yaml:"), "{}", stderr(&output));
    assert!(stderr(&output).contains(warning), "{}", stderr(&output));
    let output = place.run(&["validate", "c.yaml", "--deny-warnings"], &[]);
    assert_eq!(output.status.code(), Some(EX_CONFIG));
    assert!(stderr(&output).starts_with("error: c.yaml:"), "{}", stderr(&output));
    assert!(stderr(&output).contains(warning), "{}", stderr(&output));

    let place = Workplace::with("c.yaml", &governed("C4"));
    let output = place.run(&["validate", "c.yaml", "--deny-warnings"], &[]);
    assert!(output.status.success(), "a documented label may be on no attribute yet");
}

#[test]
fn the_configuration_is_found_where_it_is_expected() {
    let place = Workplace::with("profile-http.yaml", &smallest());
    assert!(place.run(&["validate"], &[]).status.success());
    let place = Workplace::with("other.yaml", &smallest());
    let named = place.run(&["validate"], &[("PROFILE_HTTP_CONFIG", "other.yaml")]);
    assert!(named.status.success());
    let output = place.run(&["validate"], &[("PROFILE_HTTP_CONFIG", "nowhere.yaml")]);
    assert!(stderr(&output).contains("nowhere.yaml"));
}

#[test]
fn what_is_no_command_is_a_failure_and_not_a_bad_configuration() {
    let output = Workplace::new().run(&["validte"], &[]);
    assert_eq!(output.status.code(), Some(1));
    let output = Workplace::new().run(&["--version"], &[]);
    assert!(output.status.success());
    assert!(stdout(&output).starts_with("profile-http "));
}

#[test]
fn an_unreadable_log_filter_is_named() {
    let output = Workplace::new().run(&["validate"], &[("PROFILE_HTTP_LOG", "a=b=c")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("PROFILE_HTTP_LOG"), "{}", stderr(&output));
}
