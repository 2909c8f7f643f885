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
            Parts::between(old_sources, new_sources, |name| old.agrees_on_source(new, name));
        for source in &old.sources {
            let stays = sources.unchanged.contains(&source.name);
            if matches!(source.kind, SourceKind::Stdin { .. }) && !stays {
                return Err(NeedsRestart::Stdin(source.name.clone()));
            }
        }
        let sinks = Parts::between(old_sinks, new_sinks, |name| old.agrees_on_sink(new, name));
        Ok(Self { sources, sinks, api: !old.agrees_on_api(new) })
    }
}

impl Parts {
    fn between(old: Vec<String>, new: Vec<String>, agree: impl Fn(&str) -> bool) -> Self {
        let mut parts = Self::default();
        for name in &new {
            let into = match (old.contains(name), agree(name)) {
                (false, _) => &mut parts.added,
                (true, false) => &mut parts.changed,
                (true, true) => &mut parts.unchanged,
            };
            into.push(name.clone());
        }
        parts.removed = old.into_iter().filter(|name| !new.contains(name)).collect();
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
