//! A run over several machines: `place` is where they meet, `key` the secret that they share, `crew` who does the
//! master's work, `post` a worker's place in a run, `patience` how long one is waited for.

mod crew;
mod key;
mod patience;
mod place;
mod post;

pub(crate) use crew::{Crew, FleetCrew, Gathered, gather, lane_settings};
pub(crate) use key::{find_key, make_key};
pub(crate) use patience::Patience;
pub(crate) use place::{Place, channel_failure};
pub(crate) use post::{NoOffer, Pins, await_offer, refuse, take_post};
