use std::{net::SocketAddr, path::PathBuf};

use super::{
    ApiPlan, Findings, Located, Need, NeedKind, Section, SinkPlan, SourceKind, SourcePlan, api,
    nearest, sink, source,
};
use crate::config::{
    Env,
    problem::{Place, Problem},
    written::{Node, Prints},
};

/// What will run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where each sink has its store.
    pub data_dir: PathBuf,
    /// Where it can be looked after; absent where that is switched off.
    pub api: Option<ApiPlan>,
    /// The sources, in the order of the files. There is at least one.
    pub sources: Vec<SourcePlan>,
    /// The sinks, in the order of the files. There is at least one.
    pub sinks: Vec<SinkPlan>,
    /// What can run, but deserves a second look.
    pub warnings: Vec<Problem>,
    pub(in crate::config) needs: Vec<Need>,
    pub(in crate::config) prints: Prints,
}

impl Plan {
    /// The directory of a sink's store.
    pub fn store_dir(&self, sink: &SinkPlan) -> PathBuf {
        self.data_dir.join(&sink.name)
    }

    /// Whether the source of this name was written alike in both plans.
    pub fn agrees_on_source(&self, other: &Self, name: &str) -> bool {
        self.prints.agree(&other.prints, "sources", name)
    }

    /// Whether the sink of this name was written alike in both plans. What its files hold is no
    /// part of that.
    pub fn agrees_on_sink(&self, other: &Self, name: &str) -> bool {
        self.prints.agree(&other.prints, "sinks", name)
    }

    /// Whether the API was written alike in both plans.
    pub fn agrees_on_api(&self, other: &Self) -> bool {
        self.prints.agree(&other.prints, "api", "")
    }
}

/// Makes a plan of the tree, with the proxies that the environment names, or says everything that is wrong with it.
pub(in crate::config) fn plan(tree: Node, env: &Env) -> Result<Plan, Vec<Problem>> {
    let findings = Findings::default();
    let place = tree.place.clone();
    let prints = Prints::of(&tree);
    let parts = Section::new("the configuration", &place, tree, &findings)
        .and_then(|top| read(top, &findings, env));
    let (mut errors, mut warnings, needs) = findings.into_parts();
    errors.sort_by(Problem::in_file_order);
    warnings.sort_by(Problem::in_file_order);
    match parts {
        Some(Parts { data_dir, api, sources, sinks }) if errors.is_empty() => {
            Ok(Plan { data_dir, api, sources, sinks, warnings, needs, prints })
        }
        _ => Err(errors),
    }
}

/// What a plan is made of.
struct Parts {
    data_dir: PathBuf,
    api: Option<ApiPlan>,
    sources: Vec<SourcePlan>,
    sinks: Vec<SinkPlan>,
}

fn read(mut top: Section<'_>, findings: &Findings, env: &Env) -> Option<Parts> {
    let data_dir = top.required::<PathBuf>("data_dir", "/var/lib/profile-http");
    if let Some(Located { value, place }) = &data_dir {
        findings.need(place, NeedKind::Directory(value.clone()));
    }
    let api_place = top.peek("api").map(|entry| entry.key_place.clone());
    let api = api::read(&mut top);
    let source_sections = named(&mut top, "sources", "source", "{ from_stdin: { type: stdin } }");
    let sink_sections = named(&mut top, "sinks", "sink", "{ acme: { type: profile_http, … } }");
    top.finish();

    let names: Vec<_> = source_sections
        .iter()
        .map(|(name, section)| (name.clone(), section.place().clone()))
        .collect();
    let sources: Vec<_> = source_sections
        .into_iter()
        .filter_map(|(name, section)| source::read(name, section))
        .collect();
    let mut used = Vec::new();
    let sinks: Vec<_> = sink_sections
        .into_iter()
        .filter_map(|(name, section)| sink::read(name, section, &names, &mut used, env))
        .collect();

    for (name, place) in &names {
        if !used.contains(name) {
            findings.warn(
                Problem::at(place, format!("no sink takes what source `{name}` reads"))
                    .help(format!("name it in the `inputs` of a sink: `inputs: [{name}]`")),
            );
        }
    }
    one_listener_an_address(&sources, &names, findings);
    if let Some(api) = &api {
        no_source_at_the_api(api, api_place.as_ref(), &sources, &names, findings);
    }
    Some(Parts { data_dir: data_dir?.value, api, sources, sinks })
}

/// The sections of a map whose keys are names that the operator gives.
fn named<'a>(
    top: &mut Section<'a>,
    key: &'static str,
    what: &str,
    example: &str,
) -> Vec<(String, Section<'a>)> {
    let Some(mut map) = top.required_section(key, example) else { return Vec::new() };
    let entries = map.rest();
    if entries.is_empty() {
        top.findings().error(
            Problem::at(map.place(), format!("`{key}` is empty"))
                .help(format!("add a {what}, for example `{key}: {example}`")),
        );
    }
    entries
        .into_iter()
        .filter_map(|entry| {
            check_name(&entry.key, &entry.key_place, what, top.findings());
            let title = format!("{what} `{}`", entry.key);
            let section = Section::new(title, &entry.key_place, entry.value, top.findings())?;
            Some((entry.key, section))
        })
        .collect()
}

/// Names become directories, labels of metrics and arguments of commands.
fn check_name(name: &str, place: &Place, what: &str, findings: &Findings) {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let good = name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(plain);
    if !good {
        findings.error(Problem::at(place, format!("a {what} cannot be named `{name}`")).help(
            "use up to 64 letters, digits, `_` and `-`, beginning with a letter or a digit; \
             `name` in a sink may be any text",
        ));
    }
}

fn one_listener_an_address(
    sources: &[SourcePlan],
    places: &[(String, Place)],
    findings: &Findings,
) {
    let listening: Vec<_> = sources
        .iter()
        .filter_map(|source| Some((&source.name, source.kind.listen()?.address)))
        .collect();
    for (i, (name, address)) in listening.iter().enumerate() {
        let other = listening[..i].iter().find(|(_, other)| overlap(*other, *address));
        let place = places.iter().find(|(known, _)| known == *name);
        if let (Some((other, _)), Some((_, place))) = (other, place) {
            findings.error(
                Problem::at(place, format!("sources `{other}` and `{name}` listen at one address"))
                    .help("give each its own port, or let one source feed several sinks"),
            );
        }
    }
    let mut readers = sources.iter().filter(|s| matches!(s.kind, SourceKind::Stdin { .. }));
    if let (Some(first), Some(second)) = (readers.next(), readers.next())
        && let Some((_, place)) = places.iter().find(|(name, _)| *name == second.name)
    {
        findings.error(
            Problem::at(
                place,
                format!("sources `{}` and `{}` both read standard input", first.name, second.name),
            )
            .help("keep one; it can feed several sinks"),
        );
    }
}

/// `place` is that of `api`, if it is written.
fn no_source_at_the_api(
    api: &ApiPlan,
    place: Option<&Place>,
    sources: &[SourcePlan],
    places: &[(String, Place)],
    findings: &Findings,
) {
    let source = sources.iter().find(|source| {
        source.kind.listen().is_some_and(|listen| overlap(listen.address, api.address))
    });
    let Some(source) = source else { return };
    let of_source = places.iter().find(|(name, _)| *name == source.name).map(|(_, place)| place);
    let message = format!("source `{}` and the API listen at one address", source.name);
    if let Some(place) = place.or(of_source) {
        findings.error(
            Problem::at(place, message)
                .help("give one of them another port; `api.address` is 127.0.0.1:8686 by default"),
        );
    }
}

/// Whether only one can listen.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let same_ip =
        one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    same_ip && one.port() == other.port() && one.port() != 0
}

/// Which of the sources `input` names; an error when none does.
pub(super) fn source_named(
    input: &Located<String>,
    sources: &[(String, Place)],
    findings: &Findings,
) -> Option<String> {
    if sources.iter().any(|(name, _)| *name == input.value) {
        return Some(input.value.clone());
    }
    let problem = Problem::at(&input.place, format!("there is no source named `{}`", input.value));
    let names = || sources.iter().map(|(name, _)| name.as_str());
    findings.error(match nearest(&input.value, names()) {
        Some(name) => problem.help(format!("did you mean `{name}`?")),
        None => {
            problem.help(format!("the sources are: {}", names().collect::<Vec<_>>().join(", ")))
        }
    });
    None
}
