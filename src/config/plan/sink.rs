use std::sync::Arc;

use http::Method;

use super::{
    Located, Section, auth, batch, dead_letters, endpoint, governance,
    headers::{self, Others},
    hosted, mapping, proxy, request, signing,
    template::Holes,
    tls, top,
};
use crate::{
    config::{
        Env,
        problem::{Place, Problem},
    },
    delivery::{AuthSettings, DeliverySettings},
    dispatch::BatchSettings,
    profile::{Mapping, Retain},
    store::embedded::{EmbeddedSettings, SyncMode},
};

/// A sink that will run.
#[derive(Clone, Debug)]
pub struct SinkPlan {
    /// The sink's key in `sinks`, fit for a directory, a label or an argument.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// What it is for.
    pub description: Option<String>,
    /// The names of the sources that it takes records from. There is at least one.
    pub inputs: Vec<String>,
    /// What is exported, and when.
    pub mapping: Arc<Mapping>,
    /// Where exports go, and how.
    pub delivery: DeliverySettings,
    /// How many profiles share a request.
    pub batch: BatchSettings,
    /// How profiles are kept.
    pub state: EmbeddedSettings,
}

/// Reads a sink. The names of the sources it uses are added to `used`.
pub(super) fn read(
    name: String,
    mut section: Section<'_>,
    sources: &[(String, Place)],
    used: &mut Vec<String>,
    env: &Env,
) -> Option<SinkPlan> {
    let needs = section.findings().needs();
    hosted::translate(&mut section);
    if section.has("type") {
        section.choice("type", &[("profile_http", ())]);
    } else {
        section.missing("type", "profile_http");
    }
    let inputs = inputs(&mut section, sources);
    used.extend(inputs.iter().flatten().cloned());
    let title = section.get::<String>("name").unwrap_or_else(|| name.clone());
    let description = section.get::<String>("description");

    let mut holes = Holes::default();
    let endpoint = endpoint::read(&mut section, &mut holes);
    let methods = [("post", Method::POST), ("put", Method::PUT), ("patch", Method::PATCH)];
    let method = section.choice("method", &methods).unwrap_or(Method::POST);
    let auth_place = section.peek("auth").map(|entry| entry.key_place.clone());
    let auth = auth::read(&mut section);
    let (mut request, proxy) = request::read(&mut section);
    let signing = signing::read(&mut section);
    let others = Others {
        auth: auth.as_ref(),
        compressed: request.compression.is_some(),
        signed: signing.is_some(),
    };
    let headers = headers::read(&mut section, &others, &mut holes);
    let (state, retain) = state(&mut section);
    let mut labelled = Some(Vec::new());
    let mapping = mapping::read(&mut section, retain, &mut labelled);
    governance::check(&mut section, labelled.as_deref());
    if let Some(mapping) = &mapping {
        let url = endpoint.as_ref().map(|endpoint| &endpoint.value);
        holes.check(mapping, url, section.findings());
    }
    if endpoint.as_ref().is_some_and(|endpoint| endpoint.value.fixed().is_none()) {
        request.classes = request.classes.for_templated_url();
    }
    let batch = batch::read(&mut section);
    let url = endpoint.as_ref().map(|endpoint| endpoint.value.origin());
    let tls = tls::read(&mut section, url);
    let mut urls: Vec<_> = url.cloned().into_iter().collect();
    if let Some(AuthSettings::OAuth2(oauth2)) = &auth {
        urls.push(oauth2.auth_endpoint.clone());
    }
    let place = section.place().clone();
    if proxy.is_none() {
        request.proxy = proxy::of_environment(env, &urls, &place, section.findings());
    }
    if let Some(settings) = &request.proxy {
        proxy::note(settings, &urls, proxy.as_ref(), &place, needs, section.findings());
    }
    if let (Some(endpoint), Some(auth)) = (&endpoint, &auth) {
        endpoint::warn_of_plain_text(endpoint, auth, &headers.fixed, section.findings());
    }
    if let (Some(place), Some(auth)) = (&auth_place, &auth) {
        auth::warn_of_late_tokens(place, auth, request.deadline, section.findings());
    }
    section.finish();

    Some(SinkPlan {
        name,
        title,
        description,
        inputs: inputs?,
        mapping: mapping?,
        delivery: DeliverySettings {
            endpoint: endpoint?.value,
            method,
            headers: headers.fixed,
            header_templates: headers.templates,
            auth: auth?,
            signing,
            request,
            tls,
        },
        batch,
        state,
    })
}

fn inputs(section: &mut Section<'_>, sources: &[(String, Place)]) -> Option<Vec<String>> {
    let example =
        sources.first().map_or("[from_stdin]".to_owned(), |(name, _)| format!("[{name}]"));
    let written = section.required::<Vec<Located<String>>>("inputs", &example)?;
    if written.value.is_empty() {
        section.findings().error(
            Problem::at(&written.place, "`inputs` is empty")
                .help(format!("name the sources to take records from: `inputs: {example}`")),
        );
    }
    let mut inputs: Vec<String> = Vec::new();
    for input in &written.value {
        let name = top::source_named(input, sources, section.findings());
        match name {
            Some(name) if inputs.contains(&name) => section.findings().error(
                Problem::at(&input.place, format!("`inputs` names `{name}` twice"))
                    .help("remove one of the two"),
            ),
            Some(name) => inputs.push(name),
            None => {}
        }
    }
    Some(inputs)
}

fn state(sink: &mut Section<'_>) -> (EmbeddedSettings, Retain) {
    let mut settings = EmbeddedSettings::default();
    let mut retain = Retain::default();
    if let Some(mut section) = sink.section("state") {
        section.choice("type", &[("embedded", ())]);
        if let Some(sync) =
            section.choice("sync", &[("commit", SyncMode::Commit), ("os", SyncMode::Os)])
        {
            settings.sync = sync;
        }
        if let Some(chosen) =
            section.choice("retain", &[("mapped", Retain::Mapped), ("profile", Retain::Profile)])
        {
            retain = chosen;
        }
        if let Some(bytes) = section.number("cache_bytes", 1 << 20..=1 << 40) {
            settings.cache_bytes = bytes;
        }
        settings.dead_letters = dead_letters::read(&mut section);
        section.finish();
    }
    (settings, retain)
}
