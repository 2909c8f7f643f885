//! Batches: several profiles in one request, and what is done when not all of them are taken.
//!
//! A request of several profiles that is refused is halved until the profiles at fault stand
//! alone. Its parts are sent one after the other, without being claimed anew: their profiles stay
//! in flight, so that no newer version overtakes them.

mod groups;
mod parcel;
mod settings;
mod sizes;

pub(super) use groups::Groups;
pub(super) use parcel::{Item, Parcel};
pub use settings::{BatchSettings, Framing};
pub(super) use sizes::Sizes;
