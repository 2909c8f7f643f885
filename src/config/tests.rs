mod auth;
mod consent;
mod signing;
mod templates;
mod looking_after;
mod batch;
mod schema;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::{ConfigErrors, Env, Plan, SourceKind, load};
use crate::store::embedded::SyncMode;
use crate::{
    delivery::{AuthSettings, ClientAuth, ConcurrencySettings, OAuth2Settings, Secret, TlsVersion},
    profile::{Attributes, Removed, Retain, When},
};

mod wire;

/// A sink without the lines that a test adds.
const SINK: &str = "type: profile_http\n    inputs: [in]\n    http_endpoint: https://a.example/p";
const REST: &str = "profile: { key: identityMap.crmid }\n    export: { attributes: [person.name] }";

/// Files that are gone when the test ends.
struct Files(TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = TempDir::new().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        Self(dir)
    }

    fn load(&self, names: &[&str], env: &[(&str, &str)]) -> Result<Plan, ConfigErrors> {
        let paths: Vec<PathBuf> = names.iter().map(|name| self.0.path().join(name)).collect();
        load(&paths, &env.iter().copied().collect())
    }
}

/// A configuration with these lines in its sink.
fn with(lines: &str) -> String {
    format!(
        "data_dir: /d\nsources:\n  in: {{ type: stdin }}\nsinks:\n  s:\n    {SINK}\n    {REST}\n{lines}\n"
    )
}

fn yaml(text: &str, env: &[(&str, &str)]) -> Result<Plan, ConfigErrors> {
    Files::new(&[("c.yaml", text)]).load(&["c.yaml"], env)
}

fn plan(lines: &str) -> Plan {
    yaml(&with(lines), &[]).unwrap()
}

/// What is wrong with a configuration that has these lines in its sink.
fn errors(lines: &str) -> String {
    yaml(&with(lines), &[]).unwrap_err().to_string()
}

fn warnings(lines: &str) -> String {
    plan(lines).warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn example(name: &str) -> Plan {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config-examples").join(name);
    load(&[path], &Env::default()).unwrap()
}

fn oauth2(plan: &Plan) -> &OAuth2Settings {
    match &plan.sinks[0].delivery.auth {
        AuthSettings::OAuth2(settings) => settings,
        other => panic!("{other:?}"),
    }
}

/// The client's secret, which is written in the configuration.
fn secret(oauth2: &OAuth2Settings) -> &str {
    match &oauth2.client_auth {
        ClientAuth::Body { secret } | ClientAuth::Basic { secret, .. } => text(secret),
        ClientAuth::PrivateKeyJwt(_) => panic!("there is no secret"),
    }
}

fn text(secret: &Secret) -> &str {
    match secret {
        Secret::Text(text) => text.expose_secret(),
        Secret::File(path) => panic!("{path:?}"),
    }
}

#[test]
fn the_three_formats_say_the_same() {
    let show = |name| {
        let Plan { data_dir, sources, sinks, .. } = example(name);
        format!("{data_dir:?} {sources:?} {sinks:?}")
    };
    assert_eq!(show("stdin.yaml"), show("stdin.toml"));
    assert_eq!(show("stdin.yaml"), show("stdin.json"));
}

#[test]
fn what_is_left_out_has_the_documented_default() {
    let plan = plan("");
    let sink = &plan.sinks[0];
    assert_eq!((sink.title.as_str(), sink.description.as_deref()), ("s", None));
    assert!(matches!(plan.sources[0].kind, SourceKind::Stdin { max_line_bytes: 0x0100_0000 }));
    assert_eq!((sink.state.sync, sink.state.cache_bytes), (SyncMode::Commit, 256 << 20));
    assert_eq!(sink.delivery.method, http::Method::POST);
    assert!(matches!(sink.delivery.auth, AuthSettings::None));
    assert_eq!(sink.delivery.tls.min_version, TlsVersion::V1_2);
    assert!(!sink.delivery.tls.skip_verification);
    let request = &sink.delivery.request;
    let secs = Duration::from_secs_f64;
    assert_eq!(
        [request.timeout, request.connect_timeout, request.deadline, request.retry_after_max],
        [secs(10.0), secs(5.0), secs(30.0), secs(300.0)]
    );
    assert_eq!(request.concurrency, ConcurrencySettings::Adaptive { max: 200 });
    assert_eq!((request.rate_limit, request.honour_rate_limit_headers), (None, true));
    let retry = &request.retry;
    assert_eq!((retry.attempts, retry.initial, retry.max_duration), (3, secs(0.2), secs(10.0)));
    let mapping = sink.mapping.spec();
    assert_eq!((mapping.removed, mapping.when), (Removed::Omit, When::Changed));
    assert_eq!((mapping.retain, mapping.identities.as_deref()), (Retain::Mapped, None));
    assert!(!mapping.unmapped_segments && !mapping.segment_names && !mapping.legacy_status);
    assert!(plan.warnings.is_empty());
}

#[test]
fn the_example_with_every_option_is_read_as_written() {
    let plan = example("every-option.yaml");
    let sink = &plan.sinks[0];
    assert_eq!(sink.title, "Acme CRM");
    let endpoint = sink.delivery.endpoint.fixed().unwrap();
    assert_eq!(endpoint, "http://127.0.0.1:8089/profiles?tenant=acme");
    assert_eq!(sink.delivery.headers["x-source"], "cdp");
    assert_eq!(sink.mapping.spec().segments[0].namespace.as_deref(), Some("ups"));
    assert_eq!(sink.mapping.spec().strip_prefix.as_deref(), Some("xdm:"));
    assert_eq!(sink.delivery.request.classes.later, [420]);
    assert_eq!(sink.delivery.request.rate_limit.unwrap().num.get(), 100);
    assert!(sink.delivery.request.honour_rate_limit_headers);
    let oauth2 = oauth2(&plan);
    assert_eq!(oauth2.scopes, ["profiles.write"]);
    assert_eq!(
        oauth2.extra_params,
        [("audience".to_owned(), "https://api.acme.example".to_owned())]
    );
    assert_eq!(plan.store_dir(sink), Path::new("./profile-http-data/acme_crm"));
}

#[test]
fn a_fluent_source_has_a_key_and_users_or_lets_anybody_in() {
    let with_source = |options: &str| {
        with("").replace("type: stdin", &format!("type: fluent, address: '127.0.0.1:0', {options}"))
    };
    let settings =
        |options: &str| match yaml(&with_source(options), &[]).unwrap().sources.remove(0).kind {
            SourceKind::Fluent { settings, .. } => settings,
            other => panic!("{other:?}"),
        };
    let open = settings("");
    assert!(open.security.is_none());
    assert_eq!((open.max_frame_bytes, open.max_decompressed_bytes), (64 << 20, 256 << 20));
    let guarded =
        settings("shared_key: k, users: [{ user: a, password: p }, { user: b, password: q }]");
    let security = guarded.security.unwrap();
    assert_eq!(text(&security.shared_key), "k");
    assert_eq!(
        security.users.iter().map(|u| (&*u.name, text(&u.password))).collect::<Vec<_>>(),
        [("a", "p"), ("b", "q")]
    );
    for (options, wanted) in [
        ("users: [{ user: a, password: p }]", "`users` needs a `shared_key`"),
        ("shared_key: k, users: [{ user: a, password: '' }]", "`password` is empty"),
        ("shared_key: k, users: [{ user: a }]", "an entry of `users` has no `password`"),
        (
            "shared_key: k, users: [{ user: a, password: p }, { user: a, password: q }]",
            "the user `a` stands here twice",
        ),
        ("shared_key: ''", "`shared_key` is empty"),
    ] {
        let errors = yaml(&with_source(options), &[]).unwrap_err().to_string();
        assert!(errors.contains(wanted), "{errors}");
    }
}

#[test]
fn a_secret_from_a_variable_stays_one_value() {
    let secret = "a\"b'c\n- d: {e}, [f] # ${G} $$ \\";
    let lines = "    auth: { strategy: oauth2, auth_endpoint: https://b.example/, client_id: a, client_secret: \"${S}\" }";
    let plan = yaml(&with(lines), &[("S", secret)]).unwrap();
    assert_eq!(self::secret(oauth2(&plan)), secret);
}

#[test]
fn a_variable_stands_for_a_number_or_a_boolean_where_one_is_wanted() {
    let lines = "    request: { timeout_secs: \"${T}\", concurrency: \"${C:-7}\" }\n    tls: { verify_certificate: \"${V}\" }";
    let plan = yaml(&with(lines), &[("T", "2.5"), ("V", "false")]).unwrap();
    let delivery = &plan.sinks[0].delivery;
    assert_eq!(delivery.request.timeout, Duration::from_millis(2500));
    assert_eq!(delivery.request.concurrency, ConcurrencySettings::Fixed(7));
    assert!(delivery.tls.skip_verification);
}

#[test]
fn concurrency_and_headers_are_read_as_written() {
    let lines = "    request: { concurrency: adaptive, max_concurrency: 9, honour_rate_limit_headers: false }";
    let request = plan(lines).sinks.remove(0).delivery.request;
    assert_eq!(request.concurrency, ConcurrencySettings::Adaptive { max: 9 });
    assert!(!request.honour_rate_limit_headers);
    let plan = yaml(&with("    request: { concurrency: \"${C}\" }"), &[("C", "adaptive")]).unwrap();
    let request = &plan.sinks[0].delivery.request;
    assert_eq!(request.concurrency, ConcurrencySettings::Adaptive { max: 200 });
}

#[test]
fn an_unset_variable_is_named_with_its_place() {
    let errors = errors("    description: ${ACME_TEXT}");
    assert!(errors.contains("c.yaml:11:18: the variable ACME_TEXT is not set"), "{errors}");
}

#[test]
fn files_are_joined_by_name() {
    let files = Files::new(&[
        ("a.yaml", &with("")),
        ("b.toml", "[sources.web]\ntype = \"http_server\"\naddress = \"127.0.0.1:0\""),
    ]);
    let plan = files.load(&["a.yaml", "b.toml"], &[]).unwrap();
    assert_eq!(
        plan.sources.iter().map(|source| source.name.as_str()).collect::<Vec<_>>(),
        ["in", "web"]
    );
}

#[test]
fn what_stands_in_two_files_is_an_error_that_names_both_places() {
    let files = Files::new(&[
        ("a.yaml", &with("")),
        ("b.json", r#"{"data_dir": "/e", "sources": {"in": {"type": "stdin"}}}"#),
    ]);
    let errors = files.load(&["a.yaml", "b.json"], &[]).unwrap_err().to_string();
    for (at, first) in
        [("b.json:1:2: `data_dir`", "a.yaml:1:1"), ("b.json:1:32: `in`", "a.yaml:3:3")]
    {
        assert!(errors.contains(at) && errors.contains(first), "{errors}");
    }
}

#[test]
fn all_problems_are_reported_at_once_in_the_order_of_the_file() {
    let errors = errors("    metod: post\n    request: { concurrency: 0 }\n    name: 5");
    let at: Vec<_> = ["unknown option `metod`", "`concurrency` cannot be 0", "`name` must be text"]
        .iter()
        .map(|message| errors.find(message).unwrap_or_else(|| panic!("{errors}")))
        .collect();
    assert!(at.is_sorted());
    assert!(errors.contains("did you mean `method`?"));
}

#[test]
fn a_misspelled_option_is_not_reported_as_missing_too() {
    let text = with("").replace("inputs:", "inptus:");
    let errors = yaml(&text, &[]).unwrap_err();
    assert_eq!(errors.problems().len(), 1, "{errors}");
}

#[test]
fn reports_never_show_a_secret() {
    for lines in [
        "    auth: { strategy: bearer, token: hunter2, x: 1 }",
        "    auth: { strategy: none, token: hunter2 }",
        "    auth:\n      strategy: basic\n      user: a\n      pasword: hunter2",
        "    custom_headers: \"x-a:hunter2,x-a:1\"",
        "    custom_headers: { X-A: hunter2, x-a: 1 }",
        "    custom_headers:\n      host: hunter2",
        "    query: { token: hunter2, x: [1] }",
        "    auth:\n      strategy: bearer\n      token: \"hunter2",
        "    auth:\n      strategy: bearer\n      token: hunter2: 1",
    ] {
        let errors = errors(lines);
        assert!(!errors.contains("hunter2"), "{lines}\n{errors}");
    }
    let lines = "    auth: { strategy: oauth2, grant: \"${S}\" }\n    method: \"${S}\"\n    request: { concurrency: \"${S}\", timeout_secs: \"${S}\" }\n    custom_headers: \"${S} a:b,c\"";
    let errors = yaml(&with(lines), &[("S", "hunter2")]).unwrap_err().to_string();
    assert!(!errors.contains("hunter2"), "{errors}");
}

#[test]
fn custom_headers_are_checked_in_both_forms() {
    for (lines, message) in [
        ("custom_headers: \"a:1,A:2\"", "header `A` is named twice"),
        ("custom_headers: { a: \"1\", A: \"2\" }", "header `A` is named twice"),
        ("custom_headers: \"Transfer-Encoding:chunked\"", "about a single connection"),
        ("custom_headers: \"Host:b.example\"", "set by the sink itself"),
        ("custom_headers: \"Content-Length:1\"", "set by the sink itself"),
        ("custom_headers: { a: \"b\\nc: d\" }", "a header cannot hold"),
        ("custom_headers: { \"a b\": c }", "a name that no header can have"),
        (
            "custom_headers: \"Authorization:x\"\n    auth: { strategy: bearer, token: t }",
            "header `Authorization` is what `auth` sets",
        ),
        (
            "custom_headers: \"Content-Encoding:br\"\n    request: { compression: zstd }",
            "header `Content-Encoding` is what `request.compression` sets",
        ),
    ] {
        let errors = errors(&format!("    {lines}"));
        assert!(errors.contains(message), "{lines}\n{errors}");
    }
    let own = plan("    custom_headers: \"Authorization:Key x\"");
    assert!(own.sinks[0].delivery.headers["authorization"].is_sensitive());
}

#[test]
fn what_cannot_work_is_an_error() {
    for (lines, message) in [
        ("query: { a: 1 }\n    http_endpoint: x", "`http_endpoint` stands here twice"),
        ("request: { concurrency: adaptiv }", "must be `adaptive` or a number of requests"),
        ("request: { concurrency: 0 }", "`concurrency` cannot be 0"),
        ("request: { concurrency: 5000 }", "`concurrency` cannot be 5000"),
        ("request: { concurrency: 2.5 }", "must be `adaptive` or a number of requests"),
        ("request: { max_concurrency: 0 }", "`max_concurrency` cannot be 0"),
        (
            "request: { concurrency: 8, max_concurrency: 9 }",
            "`max_concurrency` bounds nothing where `concurrency` is a number",
        ),
        ("request: { rate_limit_num: 1000001 }", "`rate_limit_num` cannot be 1000001"),
        ("request: { rate_limit_num: 1, rate_limit_burst: 0 }", "`rate_limit_burst` cannot be 0"),
        (
            "request: { rate_limit_num: 1, rate_limit_duration_secs: 0 }",
            "`rate_limit_duration_secs` cannot be 0",
        ),
        ("request: { honour_rate_limit_headers: 1 }", "must be `true` or `false`"),
        ("request: { timeout_secs: 0 }", "`timeout_secs` cannot be 0"),
        ("request: { deadline_secs: 1e9 }", "`deadline_secs` cannot be"),
        ("request: { rate_limit_num: 0 }", "`rate_limit_num` cannot be 0"),
        ("request: { classes: { later: [404], refused: [404] } }", "stands in `classes` twice"),
        ("request: { compression: br }", "`compression` must be `none`, `gzip` or `zstd`"),
        ("state: { type: redis }", "`type` must be `embedded`, not `redis`"),
        ("auth: { client_id: a }", "has no `strategy`"),
        ("auth: { strategy: basic, user: a, token: b }", "`token` belongs to `strategy: bearer`"),
        ("auth: { strategy: basic, user: \"a:b\", password: c }", "has a colon in it"),
        ("auth: { strategy: bearer, token: \"a\\n\" }", "a header cannot hold"),
        ("tls: { min_version: 1.1 }", "`min_version` must be 1.2 or 1.3"),
        ("method: delete", "`method` must be `post`, `put` or `patch`"),
    ] {
        let errors = errors(&format!("    {lines}"));
        assert!(errors.contains(message), "{lines}\n{errors}");
    }
    for (from, to, message) in [
        (
            "{ key: identityMap.crmid }",
            "{ key: a, update: merge }",
            "must be `snapshot` or `patch`",
        ),
        ("[person.name]", "[]", "nothing is mapped"),
        ("[person.name]", "[\"*\", a]", "stands for every attribute"),
        ("[person.name]", "[a..b]", "the path a..b holds an empty key"),
        ("[person.name]", "[a, a.b]", "a.b lies inside a"),
        ("identityMap.crmid", "[a, a]", "lists a twice"),
        ("[in]", "[inn]", "did you mean `in`?"),
        ("[in]", "[in, in]", "names `in` twice"),
        ("  s:", "  ../s:", "a sink cannot be named"),
        (
            "https://a.example/p",
            "https://a.example/p?q=1\n    query: { q: 2 }",
            "has a query parameter `q`",
        ),
        ("data_dir: /d", "data_dir:", "`data_dir` has no value"),
        ("data_dir: /d", "", "has no `data_dir`"),
        (
            "in: { type: stdin }",
            "in: { type: stdin }\n  two: { type: stdin }",
            "both read standard input",
        ),
        (
            "in: { type: stdin }",
            "in: { type: http_server, address: 0.0.0.0:80 }\n  two: { type: http_server, address: 127.0.0.1:80 }",
            "listen at one address",
        ),
    ] {
        let errors = yaml(&with("").replace(from, to), &[]).unwrap_err().to_string();
        assert!(errors.contains(message), "{to}\n{errors}");
    }
}

#[test]
fn what_can_work_but_looks_wrong_is_a_warning() {
    for (lines, message) in [
        ("request: { deadline_secs: 5 }", "`deadline_secs` is shorter than `timeout_secs`"),
        ("request: { rate_limit_burst: 5 }", "limits nothing without `rate_limit_num`"),
        (
            "request: { rate_limit_num: 4, rate_limit_burst: 5 }",
            "`rate_limit_burst` lets 5 requests go at once, but 4 are promised",
        ),
        ("tls: { verify_certificate: false }", "pose as the endpoint"),
        (
            "auth: { strategy: oauth2, auth_endpoint: http://b.example/, client_id: a, client_secret: b }",
            "sent over plain HTTP",
        ),
    ] {
        let warnings = warnings(&format!("    {lines}"));
        assert!(warnings.contains(message), "{lines}\n{warnings}");
    }
    for (from, to, message) in [
        ("https://a", "http://a", "profiles are sent over plain HTTP"),
        ("key: identityMap.crmid", "key: [a, b]", "becomes a second profile"),
        (
            "sinks:",
            "  other: { type: http_server, address: 127.0.0.1:0 }\nsinks:",
            "no sink takes what source `other` reads",
        ),
    ] {
        let plan = yaml(&with("").replacen(from, to, 1), &[]).unwrap();
        let warnings = format!("{:?}", plan.warnings);
        assert!(warnings.contains(message), "{to}\n{warnings}");
    }
}

#[test]
fn documents_that_nest_without_end_are_refused() {
    for (name, text) in [
        ("c.json", format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))),
        ("c.yaml", "[".repeat(100_000)),
        ("c.toml", format!("a = {}", "[".repeat(100_000))),
    ] {
        assert!(Files::new(&[(name, &text)]).load(&[name], &[]).is_err());
    }
}

#[test]
fn null_for_removed_attributes_needs_no_quotes() {
    for null in ["null", "\"null\""] {
        let text = with("").replace("export: {", &format!("export: {{ removed: {null},"));
        assert_eq!(yaml(&text, &[]).unwrap().sinks[0].mapping.spec().removed, Removed::Null);
    }
}

#[test]
fn every_attribute_is_mapped_by_a_star() {
    for star in ["\"*\"", "[\"*\"]"] {
        let plan = yaml(&with("").replace("[person.name]", star), &[]).unwrap();
        assert_eq!(plan.sinks[0].mapping.spec().attributes, Attributes::All);
    }
}

#[test]
fn a_plan_that_is_printed_for_debugging_holds_no_secret() {
    let plan = plan(
        "    auth: { strategy: bearer, token: hunter2 }\n    custom_headers: { x-api-key: hunter2 }",
    );
    assert!(!format!("{plan:?}").contains("hunter2"));
}

/// A configuration with these attributes and these lines in its sink.
fn governed(attributes: &str, lines: &str) -> String {
    with(lines).replace("attributes: [person.name]", &format!("attributes: {attributes}"))
}

const POLICY: &str = "    governance: { policies: [{ name: no contact data, deny_labels: [I1], \
                      use_cases: [Email targeting] }] }";

#[test]
fn a_policy_that_denies_a_mapped_attribute_is_an_error_with_attribute_label_and_policy() {
    let mapped = "[{ path: personalEmail.address, labels: [C2, I1] }, person.name]";
    let uses = format!("{POLICY}\n    marketing_use_cases: [email targeting]");
    let error = yaml(&governed(mapped, &uses), &[]).unwrap_err().to_string();
    for part in ["`personalEmail.address`", "I1", "`no contact data`", "remove `personalEmail"] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(error.matches("does not allow").count(), 1, "{error}");
}

#[test]
fn a_policy_for_other_uses_denies_nothing() {
    let mapped = "[{ path: personalEmail.address, labels: [I1] }]";
    let uses = format!("{POLICY}\n    marketing_use_cases: [analytics]");
    assert!(yaml(&governed(mapped, &uses), &[]).unwrap().warnings.is_empty());
}

#[test]
fn a_policy_without_uses_holds_for_all() {
    let mapped = "[{ path: personalEmail.address, labels: [health] }]";
    let policy = "    governance: { policies: [{ name: p, deny_labels: [health] }] }";
    assert!(yaml(&governed(mapped, policy), &[]).is_err());
}

#[test]
fn a_policy_that_can_deny_nothing_is_warned_about() {
    let misspelt = "    governance: { policies: [{ name: p, deny_labels: [L1] }] }";
    assert!(warnings(misspelt).contains("no attribute has the label `L1`"));
    assert!(warnings(POLICY).contains("marketing_use_cases"));
    let no_label = "    governance: { policies: [{ name: p, deny_labels: [] }] }";
    assert!(warnings(no_label).contains("the policy `p` forbids nothing, as it denies no label"));
    let no_use = "    governance: { policies: [{ name: p, deny_labels: [I1], use_cases: [] }] }";
    assert!(warnings(no_use).contains("the policy `p` forbids nothing, as it is for no use"));
    let all = yaml(&governed("\"*\"", POLICY), &[]).unwrap();
    assert!(all.warnings[0].to_string().contains("every attribute"));
}

/// A sink that goes by the words of the hosted product, with these lines added.
fn hosted(lines: &str) -> Result<Plan, ConfigErrors> {
    let form = "    authEndpoint: https://login.example/token\n    clientID: cdp\n    \
                clientSecret: ${SECRET}\n    customHeaders: \"x-a:1,x-b:2\"";
    let text = with(&format!("{form}\n{lines}")).replacen("http_endpoint:", "httpEndpoint:", 1);
    yaml(&text, &[("SECRET", "hunter2")])
}

#[test]
fn the_words_of_the_hosted_product_are_accepted_as_they_stand() {
    let plan = hosted("").unwrap();
    assert_eq!(plan.sinks[0].delivery.headers.len(), 2);
    let oauth2 = oauth2(&plan);
    assert_eq!(oauth2.auth_endpoint, "https://login.example/token");
    assert_eq!(oauth2.client_id, "cdp");
    assert_eq!(hosted("    auth: { scopes: [a] }").unwrap().sinks.len(), 1);
}

#[test]
fn a_word_of_the_hosted_product_beside_ours_is_an_error() {
    for (lines, words) in [
        ("    http_endpoint: https://b.example", "`httpEndpoint` and `http_endpoint`"),
        ("    custom_headers: { x-c: 3 }", "`customHeaders` and `custom_headers`"),
        ("    auth: { client_id: me }", "`clientID` and `auth.client_id`"),
    ] {
        let error = hosted(lines).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
