use profile_http::config::SCHEMA;

use super::{Failure, print};

/// Print the JSON Schema of the configuration, for editors
///
/// An editor with YAML support completes and checks a file that begins with
/// `# yaml-language-server: $schema=profile-http.schema.json`.
#[derive(clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> Result<(), Failure> {
    print(SCHEMA)
}
