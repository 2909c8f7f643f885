use std::{num::NonZeroU32, ops::RangeInclusive, time::Duration};

use super::{Located, Section, proxy};
use crate::{
    config::{
        problem::{Place, Problem},
        written::Value,
    },
    delivery::{
        BackoffSettings, Classes, Coding, ConcurrencySettings, Http2, RateLimitSettings,
        RequestSettings,
    },
};

/// Requests at once where the endpoint bears more.
const MAX_CONCURRENCY: usize = 200;
/// What can be asked for: requests at once, and attempts in a period.
const REQUESTS: RangeInclusive<i128> = 1..=4096;
const ATTEMPTS: RangeInclusive<i128> = 1..=1_000_000;

/// Reads `request`; also gives where its proxy is named.
pub(super) fn read(sink: &mut Section<'_>) -> (RequestSettings, Option<Place>) {
    let mut settings = RequestSettings {
        timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(5),
        http2: Http2::default(),
        proxy: None,
        deadline: Duration::from_secs(30),
        concurrency: ConcurrencySettings::Adaptive { max: MAX_CONCURRENCY },
        rate_limit: None,
        honour_rate_limit_headers: true,
        retry: BackoffSettings {
            attempts: 3,
            initial: Duration::from_millis(200),
            max_duration: Duration::from_secs(10),
        },
        retry_after_max: Duration::from_mins(5),
        classes: Classes::default(),
        compression: None,
    };
    let Some(mut section) = sink.section("request") else { return (settings, None) };
    let timeout = times(&mut section, &mut settings);
    settings.concurrency = concurrency(&mut section);
    settings.rate_limit = rate_limit(&mut section);
    if let Some(honour) = section.get("honour_rate_limit_headers") {
        settings.honour_rate_limit_headers = honour;
    }
    if let Some(attempts) = section.number("retry_attempts", 0..=100) {
        settings.retry.attempts = attempts;
    }
    settings.classes = classes(&mut section);
    let codings = [("none", None), ("gzip", Some(Coding::Gzip)), ("zstd", Some(Coding::Zstd))];
    settings.compression = section.choice("compression", &codings).flatten();
    let versions = [("auto", Http2::Auto), ("never", Http2::Never), ("always", Http2::Always)];
    if let Some(http2) = section.choice("http2", &versions) {
        settings.http2 = http2;
    }
    let proxy = section.peek("proxy").map(|entry| entry.key_place.clone());
    settings.proxy = proxy::read(&mut section);
    if settings.deadline < settings.timeout {
        let place = timeout.map_or(section.place().clone(), |timeout| timeout.place);
        section.findings().warn(
            Problem::at(
                &place,
                "`deadline_secs` is shorter than `timeout_secs` and ends each attempt first",
            )
            .help("let `deadline_secs` leave room for a retry, for example 3 times `timeout_secs`"),
        );
    }
    section.finish();
    (settings, proxy)
}

/// Reads the times; gives the one that other times are compared with.
fn times(section: &mut Section<'_>, settings: &mut RequestSettings) -> Option<Located<Duration>> {
    let timeout = section.located::<Duration>("timeout_secs");
    if let Some(timeout) = &timeout {
        settings.timeout = timeout.value;
    }
    for (key, setting) in [
        ("connect_timeout_secs", &mut settings.connect_timeout),
        ("deadline_secs", &mut settings.deadline),
        ("retry_initial_backoff_secs", &mut settings.retry.initial),
        ("retry_max_duration_secs", &mut settings.retry.max_duration),
        ("retry_after_max_secs", &mut settings.retry_after_max),
    ] {
        if let Some(duration) = section.get(key) {
            *setting = duration;
        }
    }
    timeout
}

fn concurrency(section: &mut Section<'_>) -> ConcurrencySettings {
    let written = section.peek("concurrency").map(|entry| &entry.value);
    let is_number = written.is_some_and(|node| match &node.value {
        Value::Text(text) => text.is_variable() && text.text.trim().parse::<i128>().is_ok(),
        value => matches!(value, Value::Integer(_)),
    });
    if is_number {
        let fixed = section.number("concurrency", REQUESTS);
        if let Some(max) = section.take("max_concurrency") {
            section.findings().error(
                Problem::at(
                    &max.key_place,
                    "`max_concurrency` bounds nothing where `concurrency` is a number",
                )
                .help("remove it, or write `concurrency: adaptive`"),
            );
        }
        return ConcurrencySettings::Fixed(fixed.unwrap_or(MAX_CONCURRENCY));
    }
    if let Some(node) = section.take("concurrency").map(|entry| entry.value)
        && !matches!(&node.value, Value::Text(text) if text.text.trim() == "adaptive")
    {
        section.findings().error(
            Problem::at(&node.place, "`concurrency` must be `adaptive` or a number of requests")
                .help("write `adaptive`, or how many may be under way at once, for example 16"),
        );
    }
    let max = section.number("max_concurrency", REQUESTS).unwrap_or(MAX_CONCURRENCY);
    ConcurrencySettings::Adaptive { max }
}

fn rate_limit(section: &mut Section<'_>) -> Option<RateLimitSettings> {
    let has_num = section.has("rate_limit_num");
    let place = section.place().clone();
    let depends =
        ["rate_limit_duration_secs", "rate_limit_burst"].into_iter().find(|key| section.has(key));
    let num: Option<u32> = section.number("rate_limit_num", ATTEMPTS);
    let per = section.get("rate_limit_duration_secs").unwrap_or(Duration::from_secs(1));
    let burst_place = section.peek("rate_limit_burst").map(|entry| entry.value.place.clone());
    let burst = section.number("rate_limit_burst", ATTEMPTS).unwrap_or(1);
    if let (false, Some(key)) = (has_num, depends) {
        section.findings().warn(
            Problem::at(&place, format!("`{key}` limits nothing without `rate_limit_num`"))
                .help("add `rate_limit_num`, the number of requests in each period"),
        );
    }
    let num = num?;
    if let Some(place) = burst_place
        && burst > num
    {
        section.findings().warn(
            Problem::at(
                &place,
                format!(
                    "`rate_limit_burst` lets {burst} requests go at once, but {num} are promised"
                ),
            )
            .help("make it no larger than `rate_limit_num`"),
        );
    }
    Some(RateLimitSettings { num: NonZeroU32::new(num)?, per, burst: NonZeroU32::new(burst)? })
}

fn classes(request: &mut Section<'_>) -> Classes {
    let mut classes = Classes::default();
    let Some(mut section) = request.section("classes") else { return classes };
    let mut seen: Vec<u16> = Vec::new();
    for (key, list) in [
        ("later", &mut classes.later),
        ("refused", &mut classes.refused),
        ("endpoint", &mut classes.endpoint),
    ] {
        for Located { value, place } in section.get::<Vec<Located<i128>>>(key).unwrap_or_default() {
            match u16::try_from(value) {
                Ok(code @ 200..=599) if !seen.contains(&code) => {
                    seen.push(code);
                    list.push(code);
                }
                Ok(200..=599) => section.findings().error(
                    Problem::at(&place, format!("status {value} stands in `classes` twice"))
                        .help("a status has one class; remove the other"),
                ),
                _ => section.findings().error(
                    Problem::at(&place, format!("{value} is no status of an answer"))
                        .help("write statuses from 200 to 599"),
                ),
            }
        }
    }
    section.finish();
    classes
}
