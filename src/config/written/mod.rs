//! What the operator wrote: files in YAML, TOML or JSON become one tree in which every key and
//! value knows its place.

pub(super) mod flat;
mod interpolate;
mod json;
mod merge;
mod node;
mod prints;
mod toml;
mod yaml;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub(super) use node::{Entry, Node, Text, Value};
pub(super) use prints::Prints;

use super::{
    Env,
    problem::{Problem, SourceFile},
};

/// Reads the files, joins them and replaces the variables in their values.
pub(super) fn read(paths: &[PathBuf], env: &Env) -> Result<Node, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut files = Vec::new();
    for path in paths {
        match read_file(path) {
            Ok(node) => files.push(node),
            Err(found) => problems.extend(found),
        }
    }
    let mut tree = merge::join(files, &mut problems);
    if let Some(tree) = &mut tree {
        interpolate::replace(tree, env, &mut problems);
    }
    match tree {
        Some(tree) if problems.is_empty() => Ok(tree),
        _ => Err(problems),
    }
}

fn read_file(path: &Path) -> Result<Node, Vec<Problem>> {
    let name = path.display();
    let parse = match path.extension().and_then(|extension| extension.to_str()) {
        Some("yaml" | "yml") => yaml::parse,
        Some("toml") => toml::parse,
        Some("json") => json::parse,
        _ => {
            return Err(vec![
                Problem::nowhere(format!("{name}: cannot tell the format of this file"))
                    .help("its name must end in .yaml, .yml, .toml or .json"),
            ]);
        }
    };
    let text = std::fs::read_to_string(path).map_err(|error| {
        let problem = Problem::nowhere(format!("{name}: cannot read the configuration: {error}"));
        vec![match error.kind() {
            std::io::ErrorKind::NotFound => {
                problem.help("name an existing file, with -c FILE or PROFILE_HTTP_CONFIG")
            }
            std::io::ErrorKind::InvalidData => problem.help("save the file as UTF-8"),
            _ => problem,
        }]
    })?;
    // A byte order mark is no part of any of the formats.
    let text = text.trim_start_matches('\u{feff}').to_owned();
    parse(&Arc::new(SourceFile { name: name.to_string(), text }))
}
