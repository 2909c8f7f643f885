use std::fmt::Write;

use serde::Serialize;

/// One step of a check and how it ended.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    /// What it is about: the endpoint or the token endpoint.
    pub(super) of: &'static str,
    /// What was tried.
    #[serde(rename = "step")]
    pub(super) name: &'static str,
    /// Whether it succeeded.
    pub(super) ok: bool,
    /// What was found, or why it failed and what to do.
    pub(super) detail: String,
}

/// The steps for one sink.
#[derive(Debug, Serialize)]
pub(super) struct Checked {
    /// The sink.
    pub(super) sink: String,
    /// The steps up to the last that could be tried.
    pub(super) steps: Vec<Step>,
}

impl Step {
    pub(super) fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { of: "", name, ok: true, detail: detail.into() }
    }

    pub(super) fn failed(name: &'static str, detail: impl Into<String>) -> Self {
        Self { of: "", name, ok: false, detail: detail.into() }
    }

    /// The step as a line, for people.
    pub(super) fn line(&self) -> String {
        let mark = if self.ok { "ok" } else { "FAILED" };
        let mut line = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(line, "    {mark:<6}  {:<5}  {}", self.name, self.detail);
        line
    }
}

impl Checked {
    pub(super) fn failed(&self) -> bool {
        self.steps.iter().any(|step| !step.ok)
    }
}
