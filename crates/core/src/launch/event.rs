//! What the machine hears and what it says.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::WorkerId;

/// A place for one worker, and which of the members that were started for it: a member that is replaced leaves its slot
/// to the next launch. Both count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Seat {
    /// Which place.
    pub slot: u32,
    /// Which launch for it.
    pub launch: u32,
}

impl fmt::Display for Seat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.slot, self.launch)
    }
}

/// What a launcher calls a member: an instance's id, a process's number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MemberId(pub String);

impl fmt::Display for MemberId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Something that a launcher started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What the launcher calls it.
    pub id: MemberId,
    /// What its worker calls itself, if the launcher has a say in it.
    pub worker: Option<String>,
    /// The name of its machine; a worker that chooses its own name begins with it.
    pub host: Option<String>,
}

impl Member {
    /// Whether a worker is this member's, by its name.
    pub fn is_of(&self, worker: &WorkerId) -> bool {
        let name = worker.as_str();
        let is_hosts = |host: &String| {
            let rest = name.strip_prefix(host.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        self.worker.as_deref() == Some(name) || self.host.as_ref().is_some_and(is_hosts)
    }
}

/// How a member is, as its launcher sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It starts, or works.
    Well,
    /// It is there and does not work, as far as anyone can tell from outside.
    Impaired,
    /// It is on its way out, or gone.
    Gone,
}

/// A member that a launcher saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Which.
    pub member: Member,
    /// The seat that it was started for.
    pub seat: Seat,
    /// How it is.
    pub condition: Condition,
    /// Why, as far as its launcher knows.
    pub words: Option<String>,
}

/// Something that happened outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The driver is ready; said once, first.
    Begin,
    /// A member was started for a seat.
    Launched {
        /// The seat.
        seat: Seat,
        /// The member.
        member: Member,
    },
    /// No member could be started for a seat.
    NotLaunched {
        /// The seat.
        seat: Seat,
        /// Why.
        trouble: String,
        /// Whether another try may have more luck.
        may_pass: bool,
    },
    /// Everything that carries the run's tag.
    Looked(Vec<Sighting>),
    /// The launcher cannot say what is there.
    NotLooked {
        /// Why.
        trouble: String,
        /// Whether another look may have more luck.
        may_pass: bool,
    },
    /// A worker gave a sign of life.
    Heard(WorkerId),
    /// Members were told to go.
    Terminated(Vec<MemberId>),
    /// Members could not be told to go.
    NotTerminated {
        /// Which.
        members: Vec<MemberId>,
        /// Why.
        trouble: String,
        /// Whether another try may have more luck.
        may_pass: bool,
    },
    /// The run comes to its end: workers leave by themselves, and nobody takes their place.
    Closing,
    /// The run is over.
    Finish,
    /// The time that `poll_timeout` named has come.
    TimedOut,
}

/// Something to be done outside, in the order in which it is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Find everything that carries the run's tag.
    Look,
    /// Start a member.
    Launch(Seat),
    /// Tell members to go; those that are gone already need not be told.
    Terminate(Vec<MemberId>),
    /// Tell the master how many workers it may expect.
    Expect {
        /// How many.
        workers: u32,
        /// Why there are fewer than there were.
        trouble: Option<String>,
    },
    /// Nothing follows. What could not be removed is named.
    Over {
        /// Members that are there, or may be.
        left: Vec<MemberId>,
    },
}
