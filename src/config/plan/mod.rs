//! What will run: the tree of options, checked and resolved.

mod api;
mod auth;
mod batch;
mod dead_letters;
mod endpoint;
mod findings;
mod governance;
mod headers;
mod hosted;
mod mapping;
mod proxy;
mod read;
mod request;
mod section;
mod signing;
mod sink;
mod source;
mod template;
mod tls;
mod top;

pub use api::ApiPlan;
use findings::Findings;
pub(super) use findings::{Need, NeedKind};
use read::Read;
pub use section::nearest;
use section::{Located, Section};
pub use sink::SinkPlan;
pub use source::{Listen, SourceKind, SourcePlan};
pub use top::Plan;
pub(super) use top::plan;
