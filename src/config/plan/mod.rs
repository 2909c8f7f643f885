//! What will run: the tree of options, checked and resolved.

mod auth;
mod endpoint;
mod findings;
mod headers;
mod mapping;
mod proxy;
mod read;
mod request;
mod section;
mod sink;
mod source;
mod tls;
mod top;

use findings::Findings;
pub(super) use findings::{Need, NeedKind};
use read::Read;
pub use section::nearest;
use section::{Located, Section};
pub use sink::SinkPlan;
pub use source::{SourceKind, SourcePlan};
pub use top::Plan;
pub(super) use top::plan;
