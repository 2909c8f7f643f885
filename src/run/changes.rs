use std::fmt;

use crate::config::{Plan, SourceKind};

/// What differs between two plans, by the names of the new one's and of what it lacks.
pub(super) struct Changes {
    pub(super) sources: Parts,
    pub(super) sinks: Parts,
    pub(super) api: bool,
}

/// The sources or the sinks.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) changed: Vec<String>,
    pub(super) added: Vec<String>,
    pub(super) removed: Vec<String>,
    pub(super) unchanged: Vec<String>,
}

/// What a running process cannot change.
#[derive(Debug, thiserror::Error)]
pub(super) enum NeedsRestart {
    #[error("data_dir has changed from {} to {}", .0.display(), .1.display())]
    DataDir(std::path::PathBuf, std::path::PathBuf),
    #[error("source {0} reads standard input, so it can be neither changed nor removed")]
    Stdin(String),
}

impl Changes {
    /// What makes `new` of `old`.
    pub(super) fn between(old: &Plan, new: &Plan) -> Result<Self, NeedsRestart> {
        if old.data_dir != new.data_dir {
            return Err(NeedsRestart::DataDir(old.data_dir.clone(), new.data_dir.clone()));
        }
        let names = |plan: &Plan| -> (Vec<_>, Vec<_>) {
            let sources = plan.sources.iter().map(|source| source.name.clone());
            (sources.collect(), plan.sinks.iter().map(|sink| sink.name.clone()).collect())
        };
        let ((old_sources, old_sinks), (new_sources, new_sinks)) = (names(old), names(new));
        let sources =
            Parts::between(&old_sources, &new_sources, |name| old.agrees_on_source(new, name));
        for source in &old.sources {
            let stays = sources.unchanged.contains(&source.name);
            if matches!(source.kind, SourceKind::Stdin { .. }) && !stays {
                return Err(NeedsRestart::Stdin(source.name.clone()));
            }
        }
        let sinks = Parts::between(&old_sinks, &new_sinks, |name| old.agrees_on_sink(new, name));
        Ok(Self { sources, sinks, api: !old.agrees_on_api(new) })
    }
}

impl Parts {
    fn between(old: &[String], new: &[String], agree: impl Fn(&str) -> bool) -> Self {
        let mut parts = Self::default();
        for name in new {
            let into = match (old.contains(name), agree(name)) {
                (false, _) => &mut parts.added,
                (true, false) => &mut parts.changed,
                (true, true) => &mut parts.unchanged,
            };
            into.push(name.clone());
        }
        parts.removed = old.iter().filter(|name| !new.contains(name)).cloned().collect();
        parts
    }

    /// Whether what has this name ends, changed or removed.
    pub(super) fn ends(&self, name: &str) -> bool {
        self.changed.iter().chain(&self.removed).any(|ending| ending == name)
    }

    pub(super) fn is_added(&self, name: &str) -> bool {
        self.added.iter().any(|added| added == name)
    }

    /// Whether what has this name is started, changed or added.
    pub(super) fn starts(&self, name: &str) -> bool {
        self.changed.iter().chain(&self.added).any(|starting| starting == name)
    }
}

/// In one line, as `sinks changed: crm; added: mail; unchanged: ads; sources unchanged: in`.
impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sinks {}; sources {}", self.sinks, self.sources)?;
        if self.api { f.write_str("; API changed") } else { Ok(()) }
    }
}

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            ("changed", &self.changed),
            ("added", &self.added),
            ("removed", &self.removed),
            ("unchanged", &self.unchanged),
        ];
        let mut between = "";
        for (what, names) in all.into_iter().filter(|(_, names)| !names.is_empty()) {
            write!(f, "{between}{what}: {}", names.join(", "))?;
            between = "; ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Env};

    /// The plan of these options, in flow style.
    fn plan(data_dir: &str, sources: &str, sinks: &[(&str, &str)]) -> Plan {
        let sinks: Vec<_> = sinks
            .iter()
            .map(|(name, options)| {
                format!(
                    "{name}: {{ type: profile_http, inputs: in, http_endpoint: \
                     'https://a.example/', profile: {{ key: identityMap.id }}, export: {{ \
                     attributes: [a] }}, {options} }}"
                )
            })
            .collect();
        let text = format!(
            "data_dir: {data_dir}\nsources: {{ {sources} }}\nsinks: {{ {} }}\n",
            sinks.join(", ")
        );
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("run.yaml");
        std::fs::write(&file, text).unwrap();
        config::load(&[file], &Env::default()).unwrap_or_else(|errors| panic!("{errors}"))
    }

    const HTTP: &str = "in: { type: http_server, address: '127.0.0.1:8080' }";

    fn said(old: &Plan, new: &Plan) -> String {
        match Changes::between(old, new) {
            Ok(changes) => changes.to_string(),
            Err(restart) => restart.to_string(),
        }
    }

    #[test]
    fn every_part_is_named_with_what_becomes_of_it() {
        let old = plan("/d", HTTP, &[("a", ""), ("b", "method: put"), ("c", "")]);
        let new = plan("/d", HTTP, &[("d", ""), ("b", "method: post"), ("a", "")]);
        assert_eq!(
            said(&old, &new),
            "sinks changed: b; added: d; removed: c; unchanged: a; sources unchanged: in"
        );
        assert_eq!(said(&old, &old), "sinks unchanged: a, b, c; sources unchanged: in");
    }

    #[test]
    fn the_order_of_options_is_no_change_and_the_order_of_a_list_is_one() {
        let sink = |options: &str| plan("/d", HTTP, &[("a", options)]);
        let unchanged = "sinks unchanged: a; sources unchanged: in";
        let one = sink("method: put, name: x");
        assert_eq!(said(&one, &sink("name: x, method: put")), unchanged);
        assert_ne!(said(&one, &sink("name: y, method: put")), unchanged);
        let headers = |headers: &str| sink(&format!("custom_headers: '{headers}'"));
        assert_ne!(said(&headers("a:1,b:2"), &headers("b:2,a:1")), unchanged);
    }

    #[test]
    fn data_dir_and_standard_input_need_a_restart() {
        let sinks = [("a", "")];
        let http = plan("/d", HTTP, &sinks);
        let pipe = plan("/d", "in: { type: stdin }", &sinks);
        let short = plan("/d", "in: { type: stdin, max_line_bytes: 5000 }", &sinks);
        assert_eq!(said(&http, &plan("/e", HTTP, &sinks)), "data_dir has changed from /d to /e");
        for new in [&http, &short] {
            assert!(said(&pipe, new).starts_with("source in reads standard input"));
        }
        assert_eq!(said(&http, &pipe), "sinks unchanged: a; sources changed: in");
    }
}
