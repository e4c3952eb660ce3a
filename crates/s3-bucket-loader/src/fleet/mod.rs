//! A run over several machines: `place` is where they meet, `key` the secret that they share, `crew` who does the
//! master's work, `launch` and `user_data` who starts them, `lifeline` what a started process hangs on, `nats_url` an address with a password, `post` a worker's
//! place in a run, `patience` how long one is waited for.

mod crew;
mod key;
mod launch;
mod lifeline;
mod nats_url;
mod patience;
mod place;
mod post;
mod user_data;

pub(crate) use crew::{Crew, FleetCrew, Gathered, gather, lane_settings};
pub(crate) use key::{INPUT, JoinKey, find_key, make_key, need_key};
#[cfg(not(feature = "ec2"))]
pub(crate) use launch::without_ec2;
pub(crate) use launch::{LaunchPlan, Launching, find_instances};
pub(crate) use lifeline::leave_with_input;
pub(crate) use nats_url::masked;
pub(crate) use patience::Patience;
pub(crate) use place::{Place, channel_failure};
pub(crate) use post::{NoOffer, Pins, await_offer, refuse, take_post};
