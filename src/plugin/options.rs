use std::path::PathBuf;

use crate::config::{self, ConfigErrors, Env, Plan, Problem};

/// What the sink is called where nothing else is said.
const NAME: &str = "profile_http";

/// What the plugin was told, before any of it is checked.
#[derive(Debug)]
pub(super) enum Options {
    /// The options of the sink themselves.
    Flat { sink: String, options: Vec<(&'static str, String)> },
    /// A sink of a configuration file.
    File { path: PathBuf, sink: String },
}

impl Options {
    /// Asks for every option there is. Which are given that are none cannot be found out.
    pub(super) fn read(
        get: impl Fn(&str) -> Result<Option<String>, String>,
    ) -> Result<Self, String> {
        let mut options = Vec::new();
        for name in config::flat_names() {
            options.extend(get(name)?.map(|value| (name, value)));
        }
        let sink = get("sink")?;
        let Some(path) = get("config_file")? else {
            return Ok(Self::Flat { sink: sink.unwrap_or_else(|| NAME.to_owned()), options });
        };
        if let Some((name, _)) = options.first() {
            return Err(format!(
                "`{name}` and `config_file` do not go together; write it in the file, or remove \
                 `config_file`"
            ));
        }
        let Some(sink) = sink else {
            return Err("`config_file` without `sink`; name the sink of the file".to_owned());
        };
        let path = PathBuf::from(path);
        absolute("config_file", &path)?;
        Ok(Self::File { path, sink })
    }

    /// Makes a plan of one sink, and checks the files that it needs. Also gives what deserves a
    /// second look.
    pub(super) fn plan(&self, env: &Env) -> Result<(Plan, Vec<Problem>), String> {
        let text = |errors: ConfigErrors| errors.to_string();
        let mut plan = match self {
            Self::Flat { sink, options } => {
                let plan = config::load_flat(sink, options, env).map_err(text)?;
                absolute("state_dir", &plan.data_dir)?;
                plan
            }
            Self::File { path, sink } => {
                let mut plan = config::load(std::slice::from_ref(path), env).map_err(text)?;
                absolute("data_dir", &plan.data_dir)?;
                let names: Vec<_> = plan.sinks.iter().map(|known| known.name.clone()).collect();
                plan.sinks.retain(|known| known.name == *sink);
                if plan.sinks.is_empty() {
                    let names = names.join(", ");
                    let path = path.display();
                    return Err(format!("{path} has no sink `{sink}`; its sinks are: {names}"));
                }
                plan.sources.clear();
                // Several outputs would want the one default address.
                plan.api = plan.api.filter(|api| api.written);
                plan
            }
        };
        let mut warnings = config::check_files(&plan).map_err(text)?;
        warnings.append(&mut plan.warnings);
        Ok((plan, warnings))
    }
}

/// As a daemon Fluent Bit changes its directory.
fn absolute(option: &str, path: &std::path::Path) -> Result<(), String> {
    if path.is_absolute() {
        return Ok(());
    }
    Err(format!(
        "`{option}` is {}, but must begin with `/`, since Fluent Bit may change its directory",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn read(given: &[(&str, &str)]) -> Result<Options, String> {
        Options::read(|name| {
            let found = given.iter().find(|(known, _)| *known == name);
            Ok(found.map(|(_, value)| (*value).to_owned()))
        })
    }

    fn planned(given: &[(&str, &str)]) -> Result<(Plan, Vec<Problem>), String> {
        read(given)?.plan(&Env::default())
    }

    const SMALLEST: [(&str, &str); 4] = [
        ("http_endpoint", "http://127.0.0.1:1/profiles"),
        ("profile_key", "identityMap.crmid"),
        ("attributes", "person.name, loyalty.tier"),
        ("state_dir", "/tmp"),
    ];

    fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let kept = SMALLEST.iter().filter(|(name, _)| more.iter().all(|(other, _)| other != name));
        kept.chain(more).copied().collect()
    }

    #[test]
    fn flat_options_say_what_a_file_would() {
        let given = with(&[
            ("auth_endpoint", "http://127.0.0.1:1/oauth/token"),
            ("client_id", "profile-http"),
            ("client_secret", "a$b ${C}: \"d\""),
            ("scopes", "a, b"),
            ("custom_headers", "x-source:cdp,x-tenant:acme"),
            ("segments", "s1,s2"),
            ("rate_limit", "100"),
            ("concurrency", "16"),
            ("timeout", "2.5"),
            ("sink", "acme"),
        ]);
        let (plan, _) = planned(&given).unwrap();
        let sink = &plan.sinks[0];
        assert_eq!(plan.store_dir(sink), std::path::Path::new("/tmp/acme"));
        assert!(plan.api.is_none());
        assert_eq!(sink.delivery.headers.len(), 2);
        assert_eq!(sink.delivery.request.timeout.as_millis(), 2500);
        assert_eq!(sink.delivery.request.rate_limit.unwrap().num.get(), 100);
        let auth = format!("{:?}", sink.delivery.auth);
        assert!(auth.starts_with("OAuth2") && !auth.contains("a$b"), "{auth}");
    }

    #[test]
    fn what_is_missing_is_named_as_the_plugin_calls_it() {
        let error = planned(&[]).unwrap_err();
        for name in ["`http_endpoint`", "`profile_key`", "`state_dir`", "`attributes`"] {
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn a_mistake_is_shown_with_the_option_and_without_secrets() {
        let error = planned(&with(&[
            ("profile_key", "identityMap..crmid"),
            ("timeout", "soon"),
            ("client_secret", "hunter2"),
        ]));
        let error = error.unwrap_err();
        assert!(error.contains("profile_key: identityMap..crmid\n"), "{error}");
        assert!(error.contains("timeout: soon\n"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn paths_must_not_depend_on_the_directory() {
        let error = planned(&with(&[("state_dir", "state")])).unwrap_err();
        assert!(error.starts_with("`state_dir` is state, but must begin with `/`"), "{error}");
        let error = planned(&[("config_file", "a.yaml"), ("sink", "crm")]).unwrap_err();
        assert!(error.starts_with("`config_file` is a.yaml"), "{error}");
    }

    #[test]
    fn a_file_and_options_of_its_sink_do_not_go_together() {
        let error = read(&with(&[("config_file", "/a.yaml"), ("sink", "crm")])).unwrap_err();
        assert!(error.contains("`config_file` do not go together"), "{error}");
        let error = read(&[("config_file", "/a.yaml")]).unwrap_err();
        assert!(error.contains("name the sink"), "{error}");
    }

    #[test]
    fn of_a_file_the_sink_is_taken_without_sources_and_the_api_only_if_it_is_written() {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("sinks.yaml");
        let place = file.to_str().unwrap();
        let text = format!(
            "data_dir: {}\nsources: {{ in: {{ type: stdin }} }}\nsinks:\n  crm:\n    type: \
             profile_http\n    inputs: [in]\n    http_endpoint: http://127.0.0.1:1/\n    profile: \
             {{ key: identityMap.crmid }}\n    export: {{ attributes: '*' }}\n",
            dir.path().display()
        );
        std::fs::write(&file, &text).unwrap();
        let given = [("config_file", place), ("sink", "crm")];
        let (plan, _) = planned(&given).unwrap();
        assert!(plan.sources.is_empty() && plan.api.is_none());
        let error = planned(&[("config_file", place), ("sink", "cmr")]).unwrap_err();
        assert!(error.ends_with("has no sink `cmr`; its sinks are: crm"), "{error}");
        std::fs::write(&file, text + "api: { address: '127.0.0.1:8687' }\n").unwrap();
        assert_eq!(planned(&given).unwrap().0.api.unwrap().address.port(), 8687);
    }

    #[test]
    fn the_examples_say_nothing_that_would_be_overlooked() {
        // What Fluent Bit keeps for itself.
        let foreign = ["name", "match", "retry_limit", "workers"];
        let examples = [
            include_str!("../../config-examples/senders/fluent-bit-plugin.conf"),
            include_str!("../../config-examples/senders/fluent-bit-plugin.yaml"),
        ];
        let plans = examples.map(|text| {
            let (_, output) = text.rsplit_once("profile_http\n").unwrap();
            let lines = output.lines().map(str::trim).filter(|line| !line.starts_with('#'));
            let options: Vec<_> = lines
                .map(|line| {
                    let (name, value) = line.split_once([' ', ':']).unwrap();
                    (name.to_lowercase(), value.trim_start_matches([':', ' ']).to_owned())
                })
                .filter(|(name, _)| !foreign.contains(&name.as_str()))
                .map(|(name, value)| match name.as_str() {
                    "state_dir" => (name, "/tmp".to_owned()),
                    _ => (name, value),
                })
                .collect();
            for (name, _) in &options {
                assert!(config::flat_names().any(|known| known == name), "{name}");
            }
            let given: Vec<_> = options.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            format!("{:?}", planned(&given).unwrap().0)
        });
        assert_eq!(plans[0], plans[1]);
    }
}
