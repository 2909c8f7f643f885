use std::path::{Path, PathBuf};

use super::{ConfigErrors, Env, Problem};

/// Where a configuration is looked for when none is named.
const DEFAULTS: [&str; 2] = ["./profile-http.yaml", "/etc/profile-http/profile-http.yaml"];

/// The variable that names another file.
const VARIABLE: &str = "PROFILE_HTTP_CONFIG";

/// Which files to read: the named ones, else the one that `PROFILE_HTTP_CONFIG` names, else
/// `./profile-http.yaml` or `/etc/profile-http/profile-http.yaml`.
pub fn select(named: &[PathBuf], env: &Env) -> Result<Vec<PathBuf>, ConfigErrors> {
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    if let Some(path) = env.get(VARIABLE).filter(|path| !path.is_empty()) {
        return Ok(vec![PathBuf::from(path)]);
    }
    match DEFAULTS.iter().find(|path| Path::new(path).exists()) {
        Some(path) => Ok(vec![PathBuf::from(path)]),
        None => Err(Problem::nowhere("there is no configuration file")
            .help(format!(
                "name one with -c FILE or {VARIABLE}, or write {}",
                DEFAULTS.join(" or ")
            ))
            .into()),
    }
}
