//! The configuration's schema before a validator of its own mind.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{peer, support::Site};

/// What Ajv says of each of the files; none if it is not installed.
fn mistakes(site: &Site, files: &[PathBuf]) -> Option<Vec<Vec<String>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers");
    if !folder.join("node_modules/ajv").exists() {
        peer::missing("ajv");
        return None;
    }
    let printed = Command::new(env!("CARGO_BIN_EXE_profile-http")).arg("schema").output().unwrap();
    assert!(printed.status.success());
    let schema = site.path("schema.json");
    fs::write(&schema, printed.stdout).unwrap();
    let mut command = Command::new("node");
    let output = command.arg(folder.join("schema.mjs")).arg(schema).args(files).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn every_example_is_what_the_schema_describes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config-examples");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = entries.filter(|path| path.is_file()).collect();
    let Some(mistakes) = mistakes(&Site::new(), &files) else { return };
    assert!(files.len() >= 5);
    for (file, mistakes) in files.iter().zip(mistakes) {
        assert!(mistakes.is_empty(), "{}: {mistakes:#?}", file.display());
    }
}

#[test]
fn a_mistake_is_none_of_what_the_schema_describes() {
    let example =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("config-examples").join("every-option.yaml");
    let example = fs::read_to_string(example).unwrap();
    let site = Site::new();
    let changes = [
        ("data_dir: ./", "data_dri: ./", "data_dri"),
        ("    type: stdin\n", "    type: stdni\n", "/sources/from_stdin/type"),
        ("max_line_bytes: 16777216", "max_line_bytes: 1", "/sources/from_stdin/max_line_bytes"),
        ("shared_key: ${FLUENT_SHARED_KEY:-example}", "shared_kye: a", "shared_kye"),
        ("    type: profile_http\n", "", "'type'"),
        ("timeout_secs: 10\n", "timeout_secs: ten\n", "timeout_secs"),
        ("method: post", "method: get", "/sinks/acme_crm/method"),
        ("framing: envelope", "framing: enveloped", "/batch/framing"),
        ("verify_certificate: true", "verify_certificate: 1", "verify_certificate"),
        ("max_age: 30d", "max_age: 30 years", "/state/dead_letters/max_age"),
        ("labels: [C4]", "label: [C4]", "label"),
    ];
    let files = changes.iter().enumerate().map(|(n, (from, to, _))| {
        assert!(example.contains(from), "{from}");
        let file = site.path(&format!("{n}.yaml"));
        fs::write(&file, example.replacen(from, to, 1)).unwrap();
        file
    });
    let files: Vec<_> = files.collect();
    let Some(mistakes) = mistakes(&site, &files) else { return };
    for ((_, to, place), mistakes) in changes.iter().zip(mistakes) {
        assert!(mistakes.iter().any(|mistake| mistake.contains(place)), "{to}: {mistakes:#?}");
    }
}

#[test]
fn variables_may_stand_for_numbers_flags_and_words() {
    let site = Site::new();
    let file = site.path("variables.yaml");
    let text = "sources: { in: { type: http_server, address: '${AT}', max_body_bytes: '${MAX}' } }
sinks:
  s:
    type: profile_http
    inputs: in
    http_endpoint: '${URL}'
    profile: { key: '${KEY}' }
    export: { attributes: '*', segment_names: '${NAMES:-true}', when: '${WHEN}' }
    request: { concurrency: '${LIMIT}', timeout_secs: '${SECONDS:?needed}' }
";
    fs::write(&file, text).unwrap();
    let Some(mistakes) = mistakes(&site, &[file]) else { return };
    assert!(mistakes[0].is_empty(), "{mistakes:#?}");
}
