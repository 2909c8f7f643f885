//! The configuration: what the operator wrote, checked and resolved into what will run.
//!
//! [`load`] reads files into one tree (`written`) in which every value knows its place, and makes
//! a [`Plan`] of it (`plan`). Everything that is wrong is reported at once, each problem with its
//! place, the line itself and what would be right. What a plan needs from the machine is checked
//! apart, by [`check_files`] and [`check_hosts`].

mod env;
mod environment;
mod mask;
mod plan;
mod problem;
mod select;
mod watch;
mod written;

use std::path::PathBuf;

pub use env::Env;
pub use environment::{check_files, check_hosts};
pub use plan::{ApiPlan, Listen, Plan, SinkPlan, SourceKind, SourcePlan, nearest};
pub use problem::{ConfigErrors, Place, Problem};
pub use select::select;
pub use watch::Watch;

/// The JSON Schema (draft 7) of a configuration file, for editors and validators.
///
/// It knows every option, its type and its range, but not what options mean to each other or
/// outside the file: for that there is [`load`].
pub const SCHEMA: &str = include_str!("schema.json");

/// Reads and joins the files, and makes a plan of what they say; where they name no proxy, those
/// that the environment names count. Looks at nothing else: neither the files that they name nor
/// the network.
pub fn load(paths: &[PathBuf], env: &Env) -> Result<Plan, ConfigErrors> {
    let tree = written::read(paths, env)?;
    Ok(plan::plan(tree, env)?)
}

/// Makes a plan of one sink of flat options, whose [names](flat_names) are those of the Fluent Bit
/// plugin. The values are taken as they are, variables in them included.
pub fn load_flat(
    sink: &str,
    options: &[(&'static str, String)],
    env: &Env,
) -> Result<Plan, ConfigErrors> {
    let tree = written::flat::read(sink, options)?;
    Ok(plan::plan(tree, env)?)
}

/// The names of the options that [`load_flat`] takes.
pub fn flat_names() -> impl Iterator<Item = &'static str> {
    written::flat::names()
}

#[cfg(test)]
mod tests;
