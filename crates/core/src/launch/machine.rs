//! The machine itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::{Condition, Effect, Event, Member, MemberId, Seat, Sighting};
use crate::id::WorkerId;
use crate::unit::Timestamp;

/// How members are launched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchSettings {
    /// Workers that are wanted.
    pub slots: u32,
    /// How long a member may take until its worker speaks, and how long a launch is tried again.
    pub register_max: Duration,
    /// Members that may be launched in place of others, in the whole run.
    pub replacements: u32,
    /// How often the launcher is asked how its members are.
    pub look_every: Duration,
    /// Pause before a launch is tried again.
    pub pause: Duration,
    /// How long the end waits until everything is gone.
    pub farewell_max: Duration,
}

impl Default for LaunchSettings {
    /// One slot, nothing replaced; 10 minutes to register, a look every 15 s, 5 s between two tries, 2 minutes for the
    /// end.
    fn default() -> Self {
        Self {
            slots: 1,
            register_max: Duration::from_mins(10),
            replacements: 0,
            look_every: Duration::from_secs(15),
            pause: Duration::from_secs(5),
            farewell_max: Duration::from_mins(2),
        }
    }
}

/// Pause between two looks once the run is over: to see that what was told to go is gone.
const LOOK_AT_THE_END: Duration = Duration::from_secs(1);

/// What is in a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Slot {
    /// Its first launch waits until the launcher has said what is there already.
    Unknown,
    /// A launch is under way, for the first time since `since`.
    Launching { seat: Seat, since: Timestamp },
    /// A launch failed, and is tried again at `due`.
    Waiting { seat: Seat, since: Timestamp, due: Timestamp },
    /// A member is there.
    Taken { seat: Seat, member: Member, since: Timestamp, has_spoken: bool },
    /// Nobody comes any more.
    GivenUp,
}

/// The launch of one run's workers.
///
/// It receives what happened by [`Launch::handle`] and says what to do by [`Launch::poll_effect`], to be called until it
/// returns `None` after each `handle`. [`Launch::poll_timeout`] names the next moment at which [`Event::TimedOut`] is due.
/// Every member is told to go at most once, except after [`Event::NotTerminated`] and once more at the end. What carries
/// the run's tag and has no seat is told to go. The end does not wait for what cannot come: for members that the launcher
/// may not end, or may not see.
#[derive(Debug)]
pub struct Launch {
    settings: LaunchSettings,
    slots: BTreeMap<u32, Slot>,
    /// Launches so far, by slot.
    launches: BTreeMap<u32, u32>,
    replaced: u32,
    /// Members that were told to go, and have not been seen gone.
    going: BTreeSet<MemberId>,
    /// Members that were told to go.
    told: BTreeSet<MemberId>,
    /// Members that were seen, or started, and not seen gone.
    known: BTreeSet<MemberId>,
    expected: u32,
    /// When the next look is due; `None` while one is under way.
    look_due: Option<Timestamp>,
    looks_under_way: u32,
    /// Whether nobody is launched any more.
    is_closing: bool,
    /// Since when the run is over.
    finishing: Option<Timestamp>,
    /// Whether what is there was looked at since the run is over.
    has_looked_last: bool,
    /// Members that cannot be told to go, as it was found since the run is over.
    refused: BTreeSet<MemberId>,
    /// Whether the launcher may not see what is there.
    is_blind: bool,
    trouble: Option<String>,
    effects: VecDeque<Effect>,
    is_over: bool,
}

impl Launch {
    /// Makes the launch of a run's workers.
    pub fn new(settings: LaunchSettings) -> Self {
        let slots = (1..=settings.slots).map(|slot| (slot, Slot::Unknown)).collect();
        Self {
            expected: settings.slots,
            settings,
            slots,
            launches: BTreeMap::new(),
            replaced: 0,
            going: BTreeSet::new(),
            told: BTreeSet::new(),
            known: BTreeSet::new(),
            look_due: None,
            looks_under_way: 0,
            is_closing: false,
            finishing: None,
            has_looked_last: false,
            refused: BTreeSet::new(),
            is_blind: false,
            trouble: None,
            effects: VecDeque::new(),
            is_over: false,
        }
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Timestamp, event: Event) {
        if self.is_over {
            return;
        }
        match event {
            Event::Begin => self.look(),
            Event::Launched { seat, member } => self.launched(now, seat, member),
            Event::NotLaunched { seat, trouble, may_pass } => {
                self.not_launched(now, seat, trouble, may_pass);
            }
            Event::Looked(sightings) => {
                self.looks_under_way = self.looks_under_way.saturating_sub(1);
                self.looked(now, sightings);
            }
            Event::NotLooked { trouble, may_pass } => {
                self.looks_under_way = self.looks_under_way.saturating_sub(1);
                self.is_blind = !may_pass;
                self.trouble = Some(trouble);
                self.look_due = Some(now.after(self.look_every()));
                // Not to know what is there is no reason to launch nothing: a launch carries a name of its own.
                self.launch_unknown(now);
            }
            Event::Heard(worker) => self.heard(&worker),
            Event::Terminated(members) => {
                self.going.extend(members);
                self.look_at_the_end();
            }
            Event::NotTerminated { members, trouble, may_pass } => {
                self.trouble = Some(trouble);
                self.not_terminated(now, members, may_pass);
            }
            Event::Closing => self.is_closing = true,
            Event::Finish => self.finish(now),
            Event::TimedOut => {}
        }
        self.advance(now);
    }

    /// Says what to do next; `None` when there is nothing more to do for now.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Names the next moment at which something is due.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        if self.is_over {
            return None;
        }
        let deadline = self.finishing.map(|since| since.after(self.settings.farewell_max));
        let of_slots = self.slots.values().filter_map(|slot| self.due(slot));
        let of_slots = of_slots.filter(|_| !self.is_closing);
        self.look_due.into_iter().chain(deadline).chain(of_slots).min()
    }

    /// Why the launcher did last not do what it was told.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    fn due(&self, slot: &Slot) -> Option<Timestamp> {
        match slot {
            Slot::Waiting { due, .. } => Some(*due),
            Slot::Taken { since, has_spoken: false, .. } => {
                Some(since.after(self.settings.register_max))
            }
            Slot::Unknown | Slot::Launching { .. } | Slot::Taken { .. } | Slot::GivenUp => None,
        }
    }

    fn launched(&mut self, now: Timestamp, seat: Seat, member: Member) {
        self.known.insert(member.id.clone());
        let slot = self.slots.get(&seat.slot);
        // A look may have found it before its launcher's reply came.
        if matches!(slot, Some(Slot::Taken { member: sitting, .. }) if sitting.id == member.id) {
            return;
        }
        let is_awaited =
            matches!(slot, Some(Slot::Launching { seat: awaited, .. }) if *awaited == seat);
        // One that comes after the run is over goes at once, as does one that nobody waits for any more.
        if self.is_closing || !is_awaited {
            if is_awaited {
                self.slots.insert(seat.slot, Slot::GivenUp);
            }
            self.terminate([member.id]);
            return;
        }
        self.slots.insert(seat.slot, Slot::Taken { seat, member, since: now, has_spoken: false });
    }

    fn not_launched(&mut self, now: Timestamp, seat: Seat, trouble: String, may_pass: bool) {
        let Some(Slot::Launching { seat: awaited, since }) = self.slots.get(&seat.slot) else {
            return;
        };
        if *awaited != seat {
            return;
        }
        let since = *since;
        let due = now.after(self.settings.pause);
        let is_in_time = due < since.after(self.settings.register_max);
        self.trouble = Some(trouble);
        let slot = match may_pass && is_in_time && !self.is_closing {
            true => Slot::Waiting { seat, since, due },
            false => Slot::GivenUp,
        };
        self.slots.insert(seat.slot, slot);
    }

    fn look(&mut self) {
        self.look_due = None;
        self.looks_under_way += 1;
        self.effects.push_back(Effect::Look);
    }

    /// The last look is the one that was begun after the last word to a member.
    fn look_at_the_end(&mut self) {
        if self.finishing.is_some() {
            self.look();
        }
    }

    fn not_terminated(&mut self, now: Timestamp, members: Vec<MemberId>, may_pass: bool) {
        if self.finishing.is_some() && !may_pass {
            // Some of them may be gone for all that.
            self.refused.extend(members);
            self.look_at_the_end();
            return;
        }
        for member in members {
            self.told.remove(&member);
        }
        // The next look has them told again. Whoever refuses for being asked too often is not asked at once.
        if self.finishing.is_some() && self.looks_under_way == 0 {
            self.look_due = Some(now.after(LOOK_AT_THE_END));
        }
    }

    fn looked(&mut self, now: Timestamp, sightings: Vec<Sighting>) {
        self.is_blind = false;
        self.look_due = Some(now.after(self.look_every()));
        // A look that was begun before says nothing of what came since.
        self.has_looked_last = self.finishing.is_some() && self.looks_under_way == 0;
        let there: BTreeSet<MemberId> = sightings
            .iter()
            .filter(|sighting| sighting.condition != Condition::Gone)
            .map(|sighting| sighting.member.id.clone())
            .collect();
        for sighting in sightings {
            self.saw(now, sighting);
        }
        // A member that is told to go and is not seen any more is gone. Any other that is not seen may be too young to be
        // seen everywhere.
        self.going.retain(|member| there.contains(member));
        let told = &self.told;
        self.known.retain(|member| there.contains(member) || !told.contains(member));
        if self.finishing.is_some() {
            self.terminate(self.known.clone());
        }
        self.launch_unknown(now);
    }

    fn look_every(&self) -> Duration {
        match self.finishing {
            Some(_) => self.settings.look_every.min(LOOK_AT_THE_END),
            None => self.settings.look_every,
        }
    }

    fn saw(&mut self, now: Timestamp, sighting: Sighting) {
        let Sighting { member, seat, condition, words } = sighting;
        let launches = self.launches.entry(seat.slot).or_default();
        *launches = (*launches).max(seat.launch);
        if condition == Condition::Gone {
            self.known.remove(&member.id);
            self.going.remove(&member.id);
            self.told.insert(member.id.clone());
        } else {
            self.known.insert(member.id.clone());
        }
        match self.slots.get(&seat.slot) {
            Some(Slot::Taken { member: sitting, .. }) if sitting.id == member.id => {
                if condition != Condition::Well {
                    let how = match condition {
                        Condition::Gone => "is gone",
                        Condition::Well | Condition::Impaired => "is impaired",
                    };
                    let words =
                        words.map_or_else(|| how.to_owned(), |words| format!("{how}: {words}"));
                    self.drop_member(now, seat.slot, &words);
                }
            }
            // What an earlier master of the run launched goes on for this one, and a launch whose reply got lost is found.
            Some(Slot::Unknown | Slot::Launching { .. } | Slot::Waiting { .. })
                if condition == Condition::Well && !self.is_closing =>
            {
                let taken = Slot::Taken { seat, member, since: now, has_spoken: false };
                self.slots.insert(seat.slot, taken);
            }
            _ if condition == Condition::Gone => {}
            _ => {
                self.terminate([member.id]);
            }
        }
    }

    fn heard(&mut self, worker: &WorkerId) {
        for slot in self.slots.values_mut() {
            if let Slot::Taken { member, has_spoken, .. } = slot
                && member.is_of(worker)
            {
                *has_spoken = true;
            }
        }
    }

    fn finish(&mut self, now: Timestamp) {
        if self.finishing.is_some() {
            return;
        }
        self.is_closing = true;
        self.finishing = Some(now);
        self.is_blind = false;
        // What could not be told before is told once more.
        self.told.retain(|member| self.going.contains(member));
        if !self.terminate(self.known.clone()) {
            self.look();
        }
    }

    /// Does whatever is due.
    fn advance(&mut self, now: Timestamp) {
        if self.look_due.is_some_and(|due| now >= due) {
            self.look();
        }
        if let Some(since) = self.finishing {
            let is_launching = self.slots.values().any(|it| matches!(it, Slot::Launching { .. }));
            let is_done = self.is_all_done() && !is_launching;
            if is_done || now >= since.after(self.settings.farewell_max) {
                self.is_over = true;
                // Members that are on their way out need nobody to wait for them.
                let left = self.known.difference(&self.going).cloned().collect();
                self.effects.push_back(Effect::Over { left });
            }
        }
        if self.is_closing {
            return;
        }
        let due: Vec<(u32, Slot)> = self
            .slots
            .iter()
            .filter(|(_, slot)| self.due(slot).is_some_and(|due| now >= due))
            .map(|(number, slot)| (*number, slot.clone()))
            .collect();
        for (number, slot) in due {
            match slot {
                Slot::Waiting { seat, since, .. } => {
                    self.slots.insert(number, Slot::Launching { seat, since });
                    self.effects.push_back(Effect::Launch(seat));
                }
                Slot::Taken { .. } => self.drop_member(now, number, "did not register in time"),
                Slot::Unknown | Slot::Launching { .. } | Slot::GivenUp => {}
            }
        }
        let expected = self.slots.values().filter(|slot| **slot != Slot::GivenUp).count();
        let expected = u32::try_from(expected).unwrap_or(u32::MAX);
        if expected != self.expected {
            self.expected = expected;
            let trouble = self.trouble.clone();
            self.effects.push_back(Effect::Expect { workers: expected, trouble });
        }
    }

    /// Whether all that can be ended is gone, as far as can be seen.
    fn is_all_done(&self) -> bool {
        let is_refused = |member: &MemberId| self.refused.contains(member);
        match self.is_blind {
            true => self.known.iter().all(|it| is_refused(it) || self.going.contains(it)),
            false => self.has_looked_last && self.known.iter().all(is_refused),
        }
    }

    /// Launches whatever is not there, once that is known.
    fn launch_unknown(&mut self, now: Timestamp) {
        if self.is_closing {
            return;
        }
        let is_unknown = |(_, slot): &(&u32, &Slot)| **slot == Slot::Unknown;
        let unknown: Vec<u32> =
            self.slots.iter().filter(is_unknown).map(|(number, _)| *number).collect();
        for number in unknown {
            self.launch(now, number);
        }
    }

    fn launch(&mut self, now: Timestamp, slot: u32) {
        let launches = self.launches.entry(slot).or_default();
        *launches += 1;
        let seat = Seat { slot, launch: *launches };
        self.slots.insert(slot, Slot::Launching { seat, since: now });
        self.effects.push_back(Effect::Launch(seat));
    }

    /// Gives a member up, and launches another if that is allowed.
    fn drop_member(&mut self, now: Timestamp, slot: u32, words: &str) {
        let Some(Slot::Taken { member, .. }) = self.slots.insert(slot, Slot::GivenUp) else {
            return;
        };
        // That they go at the end is no trouble.
        if !self.is_closing {
            self.trouble = Some(format!("{} {words}", member.id));
        }
        self.terminate([member.id]);
        if self.replaced < self.settings.replacements && !self.is_closing {
            self.replaced += 1;
            self.launch(now, slot);
        }
    }

    /// Tells members to go that were not told before; says whether there are any.
    fn terminate(&mut self, members: impl IntoIterator<Item = MemberId>) -> bool {
        let untold: Vec<MemberId> =
            members.into_iter().filter(|member| self.told.insert(member.clone())).collect();
        if untold.is_empty() {
            return false;
        }
        self.effects.push_back(Effect::Terminate(untold));
        true
    }
}
