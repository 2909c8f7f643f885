//! Data governance: what the destination is for, how attributes are labelled, and the policies
//! that forbid some labels for some uses.

use super::{Findings, Located, Read, Section};
use crate::{
    config::{problem::Problem, written::Node},
    profile::Path,
};

/// The data-usage labels that are documented for the hosted product: contract (C), identity (I)
/// and sensitive (S) ones.
const LABELS: [&str; 16] = [
    "C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9", "C10", "C11", "C12", "I1", "I2", "S1",
    "S2",
];

/// A mapped attribute with its labels.
pub(super) struct Labelled {
    pub(super) path: Path,
    pub(super) labels: Vec<Located<String>>,
}

/// A policy that forbids labels.
struct Policy {
    name: String,
    deny_labels: Vec<Located<String>>,
    /// The uses for which they are denied; every use when absent.
    use_cases: Option<Vec<Located<String>>>,
}

/// Reads `marketing_use_cases` and `governance`, and checks the attributes against them; `None`
/// stands for every attribute.
pub(super) fn check(sink: &mut Section<'_>, attributes: Option<&[Labelled]>) {
    let use_cases = sink.get::<Vec<String>>("marketing_use_cases").unwrap_or_default();
    let findings = sink.findings();
    let mut policies: Vec<Policy> = Vec::new();
    if let Some(mut section) = sink.section("governance") {
        policies = section.get("policies").unwrap_or_default();
        let place = section.place().clone();
        section.finish();
        if attributes.is_none() && !policies.is_empty() {
            findings.warn(
                Problem::at(&place, "policies see no labels where every attribute is mapped")
                    .help("list the attributes, each as `{ path: …, labels: […] }`"),
            );
        }
    }
    let attributes = attributes.unwrap_or_default();
    for policy in &policies {
        warn_of_unknown(policy, &use_cases, attributes, findings);
        if policy.applies_to(&use_cases) {
            policy.deny(attributes, findings);
        }
    }
}

impl Policy {
    fn applies_to(&self, use_cases: &[String]) -> bool {
        let Some(own) = &self.use_cases else { return true };
        own.iter().any(|own| use_cases.iter().any(|case| same_use(case, &own.value)))
    }

    fn denies(&self, label: &str) -> bool {
        self.deny_labels.iter().any(|denied| denied.value == label)
    }

    fn deny(&self, attributes: &[Labelled], findings: &Findings) {
        for attribute in attributes {
            for label in attribute.labels.iter().filter(|label| self.denies(&label.value)) {
                let (path, name) = (&attribute.path, &self.name);
                findings.error(
                    Problem::at(
                        &label.place,
                        format!(
                            "`{path}` is labelled {}, which the policy `{name}` does not allow to \
                             be sent",
                            label.value
                        ),
                    )
                    .help(format!("remove `{path}` from `attributes`, or have the policy changed")),
                );
            }
        }
    }
}

impl Read for Policy {
    fn read(_: &str, node: Node, findings: &Findings) -> Option<Self> {
        let place = node.place.clone();
        let mut section = Section::new("a policy", &place, node, findings)?;
        let name = section.required::<String>("name", "no contact data for advertising");
        let deny_labels = section.required::<Vec<Located<String>>>("deny_labels", "[I1, C4]");
        let use_cases = section.get::<Located<Vec<Located<String>>>>("use_cases");
        section.finish();
        let (Located { value: name, .. }, deny_labels) = (name?, deny_labels?);
        let forbids_nothing = |place, why, help| {
            let message = format!("the policy `{name}` forbids nothing, as it {why}");
            findings.warn(Problem::at(place, message).help(help));
        };
        if deny_labels.value.is_empty() {
            let help = "list the labels as in `deny_labels: [I1, C4]`, or remove the policy";
            forbids_nothing(&deny_labels.place, "denies no label", help);
        }
        if let Some(none) = use_cases.as_ref().filter(|own| own.value.is_empty()) {
            let help = "name the uses, or remove `use_cases` to forbid the labels for every use";
            forbids_nothing(&none.place, "is for no use", help);
        }
        let use_cases = use_cases.map(|own| own.value);
        Some(Self { name, deny_labels: deny_labels.value, use_cases })
    }
}

/// Names that no check can ever meet are most likely misspelt, and then forbid nothing.
fn warn_of_unknown(
    policy: &Policy,
    use_cases: &[String],
    attributes: &[Labelled],
    findings: &Findings,
) {
    let used = |label: &str| {
        attributes.iter().flat_map(|attribute| &attribute.labels).any(|own| own.value == label)
    };
    for label in &policy.deny_labels {
        if !LABELS.contains(&label.value.as_str()) && !used(&label.value) {
            findings.warn(
                Problem::at(
                    &label.place,
                    format!("no attribute has the label `{}` that is denied here", label.value),
                )
                .help(
                    "check its spelling (the documented labels are C1 to C12, I1, I2, S1 and S2), \
                     or remove it",
                ),
            );
        }
    }
    let first = policy.use_cases.as_ref().and_then(|own| own.first());
    if let Some(first) = first.filter(|_| use_cases.is_empty()) {
        findings.warn(
            Problem::at(
                &first.place,
                format!("the policy `{}` forbids nothing, as the sink names no use", policy.name),
            )
            .help("say what the sink is for in its `marketing_use_cases`"),
        );
    }
}

/// Names of uses are free text, so that case and the spaces around them do not matter.
fn same_use(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}
