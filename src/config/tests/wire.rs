//! Options of TLS, HTTP/2 and proxies.

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::*;
use crate::{
    clock::Clock,
    config::{check_files, check_hosts},
    delivery::Http2,
};

/// A certificate that is valid for so many days from now, and its key, beside a configuration with
/// these lines in its sink.
struct Place(Files);

impl Place {
    fn new(days: i64, lines: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["client".to_owned()]).unwrap();
        let now = Clock::system().now() / 1_000_000;
        // Half a day more, so that it does not matter how fast the test is.
        let at = |days: i64| {
            date_time_ymd(1970, 1, 1)
                + Duration::from_secs(now.saturating_add_signed((days * 24 + 12) * 3600))
        };
        params.not_before = at(days.min(0) - 1);
        params.not_after = at(days);
        let certificate = params.self_signed(&key).unwrap();
        let files = Files::new(&[
            ("crt.pem", &certificate.pem()),
            ("key.pem", &key.serialize_pem()),
            ("other.pem", &KeyPair::generate().unwrap().serialize_pem()),
        ]);
        let dir = files.0.path().display().to_string();
        let text =
            with(&lines.replace("DIR", &dir)).replace("data_dir: /d", &format!("data_dir: {dir}"));
        fs::write(files.0.path().join("c.yaml"), text).unwrap();
        Self(files)
    }

    /// What deserves a second look, or is wrong.
    fn checked(&self) -> Result<String, String> {
        let plan = self.0.load(&["c.yaml"], &[]).unwrap();
        let text = |problems: &[super::super::Problem]| {
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        check_files(&plan).map(|found| text(&found)).map_err(|errors| text(errors.problems()))
    }
}

const PAIR: &str = "    tls: { crt_file: DIR/crt.pem, key_file: DIR/key.pem }";

fn proxied(env: &[(&str, &str)], lines: &str) -> Result<Plan, ConfigErrors> {
    yaml(&with(lines), env)
}

/// The proxy on the way to the endpoint.
fn proxy(plan: &Plan) -> Option<String> {
    let delivery = &plan.sinks[0].delivery;
    let proxy = delivery.request.proxy.as_ref()?.proxy_of(delivery.endpoint.origin())?;
    Some(proxy.address())
}

#[test]
fn a_good_pair_of_certificate_and_key_is_taken() {
    assert_eq!(Place::new(365, PAIR).checked().unwrap(), "");
}

#[test]
fn a_certificate_that_ends_soon_is_warned_of() {
    let warning = Place::new(10, PAIR).checked().unwrap();
    assert!(warning.contains("crt.pem expires in 10 days"), "{warning}");
    assert!(warning.contains("c.yaml:11:22"), "{warning}");
    assert_eq!(Place::new(16, PAIR).checked().unwrap(), "");
}

#[test]
fn a_certificate_that_has_expired_is_an_error() {
    let error = Place::new(-3, PAIR).checked().unwrap_err();
    assert!(error.contains("crt.pem has expired") && error.contains("renew it"), "{error}");
    assert_eq!(error.matches("help: ").count(), 1, "{error}");
}

#[test]
fn a_key_of_another_certificate_is_an_error() {
    let error = Place::new(365, &PAIR.replace("key.pem", "other.pem")).checked().unwrap_err();
    assert!(error.contains("other.pem is not the key of"), "{error}");
    assert_eq!(error.matches("help: ").count(), 1, "{error}");
}

#[test]
fn the_same_goes_for_the_token_endpoint() {
    let auth = "    auth: { strategy: oauth2, auth_endpoint: https://a.example/t, client_id: c, \
                client_secret: s, tls: { crt_file: DIR/crt.pem, key_file: DIR/other.pem } }";
    let error = Place::new(365, auth).checked().unwrap_err();
    assert!(error.contains("other.pem is not the key of"), "{error}");
}

#[test]
fn a_certificate_and_its_key_belong_together() {
    let error = errors("    tls: { crt_file: a.pem }");
    assert!(error.contains("`crt_file` is of no use without `key_file`"), "{error}");
    let error = errors("    tls: { key_file: a.pem }");
    assert!(error.contains("`key_file` is of no use without `crt_file`"), "{error}");
    let error = errors("    tls: { key_pass: x }");
    assert!(error.contains("`key_pass` is of no use without `key_file`"), "{error}");
}

#[test]
fn a_server_name_is_a_name() {
    let tls = &plan("    tls: { server_name: api.acme.example }").sinks[0].delivery.tls;
    assert_eq!(tls.server_name.as_ref().unwrap().to_str(), "api.acme.example");
    for name in ["https://api.acme.example", "api.acme.example:443", "a b"] {
        let error = errors(&format!("    tls: {{ server_name: {name:?} }}"));
        assert!(error.contains("`server_name` is not the name of a server"), "{error}");
    }
}

#[test]
fn tls_that_applies_to_nothing_is_warned_of() {
    let text = with("    tls: { min_version: 1.3 }").replace("https://a", "http://a");
    let plan = yaml(&text, &[]).unwrap();
    let warnings = plan.warnings.iter().map(ToString::to_string).collect::<String>();
    assert!(warnings.contains("`tls` means nothing for an http:// URL"), "{warnings}");
    let warnings = warnings_of_careless();
    assert!(warnings.contains("`ca_file` means nothing while"), "{warnings}");
}

fn warnings_of_careless() -> String {
    warnings("    tls: { ca_file: /ca.pem, verify_certificate: false }")
}

#[test]
fn the_version_of_http_is_one_of_three_words() {
    assert_eq!(plan("").sinks[0].delivery.request.http2, Http2::Auto);
    for (word, http2) in [("never", Http2::Never), ("always", Http2::Always)] {
        let plan = plan(&format!("    request: {{ http2: {word} }}"));
        assert_eq!(plan.sinks[0].delivery.request.http2, http2);
    }
    assert!(errors("    request: { http2: yes }").contains("`auto`, `never` or `always`"));
}

#[test]
fn a_proxy_of_the_configuration_is_used() {
    let lines =
        "    request: { proxy: { url: 'http://proxy.example:3128', user: me, password: p } }";
    let plan = plan(lines);
    assert_eq!(proxy(&plan).unwrap(), "proxy.example:3128");
    // The environment does not count beside it.
    let plan = proxied(&[("HTTPS_PROXY", "http://other.example"), ("NO_PROXY", "*")], lines);
    assert_eq!(proxy(&plan.unwrap()).unwrap(), "proxy.example:3128");
}

#[test]
fn a_proxy_that_cannot_be_is_an_error() {
    let error = |options: &str| errors(&format!("    request: {{ proxy: {{ {options} }} }}"));
    let message = error("url: 'socks5://proxy.example:1080'");
    assert!(message.contains("of a kind that is not spoken (`socks5`)"), "{message}");
    assert!(error("url: 'http://proxy.example:0'").contains("is not the address of a proxy"));
    let message = error("url: 'http://me:hunter2@proxy.example'");
    assert!(message.contains("has a user or password in it"), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
    assert!(error("user: me").contains("has no `url`"));
    let message = error("url: 'http://proxy.example', password: p");
    assert!(message.contains("`password` is of no use without `user`"), "{message}");
    for entry in ["https://a.example", "a.example:443", "10.0.0.0/33", "*.a.example"] {
        let message = error(&format!("url: 'http://proxy.example', no_proxy: ['{entry}']"));
        assert!(message.contains("an entry that matches no host"), "{message}");
    }
}

#[test]
fn a_proxy_through_which_nothing_is_sent_is_warned_of() {
    let lines = |no_proxy| {
        format!("    request: {{ proxy: {{ url: 'http://proxy.example', no_proxy: {no_proxy} }} }}")
    };
    for no_proxy in ["[a.example]", "example", "'*'"] {
        let plan = plan(&lines(no_proxy));
        assert_eq!(proxy(&plan), None);
        assert!(plan.warnings[0].message().contains("nothing is sent through this proxy"));
    }
    assert_eq!(warnings(&lines("[b.example, 10.0.0.0/8]")), "");
}

#[test]
fn the_proxies_of_the_environment_count_where_the_configuration_names_none() {
    let of = |env: &[(&str, &str)]| proxy(&proxied(env, "").unwrap());
    assert_eq!(of(&[("HTTPS_PROXY", "http://one:1")]).unwrap(), "one:1");
    assert_eq!(of(&[("https_proxy", "two:2")]).unwrap(), "two:2");
    assert_eq!(of(&[("HTTP_PROXY", "http://three:3")]), None);
    assert_eq!(of(&[("HTTPS_PROXY", "")]), None);
    for no_proxy in ["a.example", ".example", "b.example, a.example", "*"] {
        assert_eq!(of(&[("HTTPS_PROXY", "http://one:1"), ("no_proxy", no_proxy)]), None);
    }
    assert_eq!(of(&[("HTTPS_PROXY", "one:1"), ("NO_PROXY", "b.example")]).unwrap(), "one:1");
}

#[test]
fn this_machine_is_reached_without_the_proxies_of_the_environment() {
    for host in ["127.0.0.1", "localhost", "127.9.9.9", "[::1]"] {
        let env = [("HTTP_PROXY", "http://one:1"), ("HTTPS_PROXY", "http://one:1")];
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}:8089");
            let text = with("").replace("https://a.example", &url);
            assert_eq!(proxy(&yaml(&text, &env).unwrap()), None, "{url}");
        }
        let lines = "    request: { proxy: { url: 'http://one:1' } }";
        let text = with(lines).replace("a.example", host);
        assert_eq!(proxy(&yaml(&text, &env).unwrap()).unwrap(), "one:1", "{host}");
    }
}

#[test]
fn a_variable_that_names_no_proxy_is_an_error_where_it_would_count() {
    let socks = ("HTTPS_PROXY", "socks5://u:hunter2@one:1");
    let error = proxied(&[socks], "").unwrap_err().to_string();
    assert!(error.contains("the variable HTTPS_PROXY is a proxy of a kind"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    assert!(proxied(&[socks, ("NO_PROXY", "a.example")], "").is_ok());
    assert!(proxied(&[socks], "    request: { proxy: { url: 'http://one:1' } }").is_ok());
}

#[test]
fn behind_a_proxy_the_proxy_needs_an_address_and_the_endpoint_none() {
    let text = |host: &str, proxy: &str| {
        with(&format!("    request: {{ proxy: {{ url: 'http://{proxy}' }} }}"))
            .replace("a.example", host)
    };
    check_hosts(&yaml(&text("a.invalid", "127.0.0.1:1"), &[]).unwrap()).unwrap();
    let plan = yaml(&text("127.0.0.1", "a.invalid:1"), &[]).unwrap();
    let error = check_hosts(&plan).unwrap_err().to_string();
    assert!(error.contains("a.invalid"), "{error}");
    let plan = yaml(&with("").replace("a.example", "a.invalid"), &[("HTTPS_PROXY", "127.0.0.1:1")]);
    check_hosts(&plan.unwrap()).unwrap();
}
