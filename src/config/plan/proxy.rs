use std::net::IpAddr;

use http::Uri;
use secrecy::SecretString;

use super::{Findings, Located, NeedKind, Section};
use crate::{
    config::{
        Env,
        problem::{Place, Problem},
    },
    delivery::{Proxy, ProxySettings, Secret},
};

/// What the proxies of the environment are never asked for: it is this machine.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.0/8", "::1"];

/// Reads `request.proxy`.
pub(super) fn read(request: &mut Section<'_>) -> Option<ProxySettings> {
    let mut section = request.section("proxy")?;
    let url = section.required::<String>("url", "http://proxy.acme.example:3128");
    let no_proxy = section.get::<Vec<Located<String>>>("no_proxy").unwrap_or_default();
    let user = section.located::<String>("user");
    let password = section.located::<Secret>("password");
    let findings = section.findings();
    section.finish();

    for entry in &no_proxy {
        check_exception(entry, findings);
    }
    if let Some(user) = &user
        && user.value.contains(':')
    {
        findings.error(
            Problem::at(&user.place, "`user` has a colon in it, which ends the user's name")
                .help("write what follows the colon as `password`"),
        );
    }
    if let (None, Some(password)) = (&user, &password) {
        findings.error(
            Problem::at(&password.place, "`password` is of no use without `user`")
                .help("add the `user` whose password it is"),
        );
    }
    let url = url?;
    match parse(&url.value) {
        Ok(Proxy { user: None, url: proxy, .. }) => {
            findings.need(&url.place, host(&proxy, 80));
            let user = user.map(|user| user.value);
            let proxy =
                Proxy { url: proxy, user, password: password.map(|password| password.value) };
            Some(ProxySettings {
                https: Some(proxy.clone()),
                http: Some(proxy),
                no_proxy: no_proxy.into_iter().map(|entry| entry.value).collect(),
            })
        }
        Ok(_) => {
            findings.error(
                Problem::at(&url.place, "`url` of `proxy` has a user or password in it")
                    .help("move them to `user` and `password` beside it"),
            );
            None
        }
        Err((what, help)) => {
            findings.error(Problem::at(&url.place, format!("`url` of `proxy` {what}")).help(help));
            None
        }
    }
}

/// The proxies that the environment names, on the way to any of `urls`. `place` is where to report
/// one that is none.
pub(super) fn of_environment(
    env: &Env,
    urls: &[Uri],
    place: &Place,
    findings: &Findings,
) -> Option<ProxySettings> {
    let no_proxy: Vec<String> = variable(env, ["NO_PROXY", "no_proxy"])
        .into_iter()
        .flat_map(|(_, list)| list.split(','))
        .chain(LOOPBACK)
        .map(|entry| entry.trim().to_owned())
        .collect();
    let mut settings = ProxySettings { https: None, http: None, no_proxy };
    for (scheme, names) in
        [("https", ["HTTPS_PROXY", "https_proxy"]), ("http", ["HTTP_PROXY", "http_proxy"])]
    {
        let needed = |url: &&Uri| url.scheme_str() == Some(scheme) && !settings.is_exception(url);
        if !urls.iter().any(|url| needed(&url)) {
            continue;
        }
        let Some((name, text)) = variable(env, names) else { continue };
        match parse(text) {
            Ok(proxy) if scheme == "https" => settings.https = Some(proxy),
            Ok(proxy) => settings.http = Some(proxy),
            Err((what, help)) => findings.error(
                Problem::at(place, format!("the variable {name} {what}"))
                    .help(format!("{help}; or unset it, or set `request.proxy` of this sink")),
            ),
        }
    }
    (settings.https.is_some() || settings.http.is_some()).then_some(settings)
}

/// Takes note of which hosts are reached through a proxy, so that they need no address here, and
/// warns of a proxy of the configuration (at `written`) through which none is. `needs` is how many
/// needs there were before those of the sink.
pub(super) fn note(
    settings: &ProxySettings,
    urls: &[Uri],
    written: Option<&Place>,
    sink: &Place,
    needs: usize,
    findings: &Findings,
) {
    let mut used = false;
    for url in urls {
        if let Some(proxy) = settings.proxy_of(url) {
            used = true;
            let port = if url.scheme_str() == Some("https") { 443 } else { 80 };
            findings.replace_need(needs, &host(url, port), sink, host(&proxy.url, 80));
        }
    }
    if let (false, Some(place)) = (used || urls.is_empty(), written) {
        findings.warn(
            Problem::at(
                place,
                "nothing is sent through this proxy, because `no_proxy` names it all",
            )
            .help("remove `proxy`, or the entry of `no_proxy` that covers the endpoint"),
        );
    }
}

/// A variable that is set, by the first of its names; one that is empty counts as unset.
fn variable<'e>(env: &'e Env, names: [&'static str; 2]) -> Option<(&'static str, &'e str)> {
    let set = names.into_iter().filter_map(|name| Some((name, env.get(name)?.trim())));
    set.into_iter().find(|(_, value)| !value.is_empty())
}

/// The address of a proxy as it is written in the environment, scheme and path optional. Gives what
/// is wrong and what would be right.
fn parse(text: &str) -> Result<Proxy, (String, &'static str)> {
    const EXAMPLE: &str = "write it like http://proxy.acme.example:3128";
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    if !scheme.eq_ignore_ascii_case("http") {
        return Err((
            format!("is a proxy of a kind that is not spoken (`{scheme}`)"),
            "name an http:// proxy; through it too, what is sent to an https endpoint is encrypted",
        ));
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (credentials, authority) = match rest.rsplit_once('@') {
        Some((credentials, authority)) => (Some(credentials), authority),
        None => (None, rest),
    };
    let url: Option<Uri> = format!("http://{authority}").parse().ok();
    let url = url.filter(|url| {
        let whole = url.authority().is_some_and(|a| a.as_str() == authority);
        let host = url.host().is_some_and(|host| !host.is_empty());
        let port = authority.rsplit_once(':').is_none_or(|(host, port)| {
            (host.starts_with('[') && !host.ends_with(']'))
                || port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        whole && host && port
    });
    let Some(url) = url else {
        return Err(("is not the address of a proxy".to_owned(), EXAMPLE));
    };
    let Some(credentials) = credentials else {
        return Ok(Proxy { url, user: None, password: None });
    };
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let decoded = |text| {
        percent_decoded(text).ok_or_else(|| {
            ("has a user or password that is not percent-encoded text".to_owned(), EXAMPLE)
        })
    };
    let password = Secret::Text(SecretString::from(decoded(password)?));
    Ok(Proxy { url, user: Some(decoded(user)?), password: Some(password) })
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            let digits = str::from_utf8(&digits).ok()?;
            decoded.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

/// Reports what can never match.
fn check_exception(entry: &Located<String>, findings: &Findings) {
    let text = entry.value.trim();
    let network = text.split_once('/').is_some_and(|(address, length)| {
        let bits = |address: IpAddr| if address.is_ipv4() { 32 } else { 128 };
        let most = address.parse().map_or(0, bits);
        length.parse::<u8>().is_ok_and(|length| length <= most)
    });
    let name = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if text == "*" || text.parse::<IpAddr>().is_ok() || network || name {
        return;
    }
    findings.error(Problem::at(&entry.place, "`no_proxy` has an entry that matches no host").help(
        "write names (with all that is below them), addresses, networks such as 10.0.0.0/8, \
             or \"*\"; no scheme and no port",
    ));
}

fn host(url: &Uri, port: u16) -> NeedKind {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    NeedKind::Host(host.to_owned(), url.port_u16().unwrap_or(port))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_proxy_is_named_by_host_and_port() {
        for (text, address) in [
            ("http://proxy.example:3128", "proxy.example:3128"),
            ("HTTP://proxy.example:3128/", "proxy.example:3128"),
            ("proxy.example:3128", "proxy.example:3128"),
            ("http://proxy.example", "proxy.example:80"),
            ("http://[::1]:3128", "[::1]:3128"),
            ("[::1]", "[::1]:80"),
        ] {
            assert_eq!(parse(text).unwrap().address(), address, "{text}");
        }
        for text in [
            "socks5://proxy.example:1080",
            "https://proxy.example:3128",
            "http://",
            "http://:3128",
            "http://proxy.example:0",
            "http://proxy.example:http",
            "http://proxy.example/path",
            "http://proxy.example?query",
            "http://pro xy",
            "u:%zz@proxy.example",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn user_and_password_of_an_address_are_decoded() {
        let proxy = parse("http://me%40acme:p%3Aw@d@proxy.example:3128").unwrap();
        assert_eq!(proxy.address(), "proxy.example:3128");
        assert_eq!(proxy.user.as_deref(), Some("me@acme"));
        let Some(Secret::Text(password)) = proxy.password else { panic!() };
        assert_eq!(password.expose_secret(), "p:w@d");
    }
}
