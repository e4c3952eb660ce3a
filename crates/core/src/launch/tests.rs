//! The machine against a launcher of its own imagination, which loses replies, sees late and breaks members.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::id::WorkerId;
use crate::unit::Timestamp;

fn member(seat: Seat) -> Member {
    let name = format!("m-{}-{}", seat.slot, seat.launch);
    Member { id: MemberId(name.clone()), worker: Some(name), host: None }
}

fn sighting(seat: Seat, condition: Condition) -> Sighting {
    Sighting { member: member(seat), seat, condition, words: None }
}

fn effects(launch: &mut Launch) -> Vec<Effect> {
    std::iter::from_fn(|| launch.poll_effect()).collect()
}

const T0: Timestamp = Timestamp(1_000_000);
const FIRST: Seat = Seat { slot: 1, launch: 1 };
const SECOND: Seat = Seat { slot: 2, launch: 1 };

fn begun(settings: LaunchSettings) -> Launch {
    let mut launch = Launch::new(settings);
    launch.handle(T0, Event::Begin);
    assert_eq!(effects(&mut launch), [Effect::Look]);
    launch
}

fn two_up(replacements: u32) -> Launch {
    let mut launch = begun(LaunchSettings { slots: 2, replacements, ..LaunchSettings::default() });
    launch.handle(T0, Event::Looked(Vec::new()));
    assert_eq!(effects(&mut launch), [Effect::Launch(FIRST), Effect::Launch(SECOND)]);
    for seat in [FIRST, SECOND] {
        launch.handle(T0, Event::Launched { seat, member: member(seat) });
    }
    assert_eq!(effects(&mut launch), []);
    launch
}

#[test]
fn what_an_earlier_master_launched_goes_on_and_the_rest_is_launched() {
    let mut launch = begun(LaunchSettings { slots: 2, ..LaunchSettings::default() });
    let third = Seat { slot: 3, launch: 1 };
    let found = [(FIRST, Condition::Gone), (SECOND, Condition::Well), (third, Condition::Well)];
    let found = found.map(|(seat, condition)| sighting(seat, condition));
    launch.handle(T0, Event::Looked(found.into()));
    let again = Seat { slot: 1, launch: 2 };
    assert_eq!(
        effects(&mut launch),
        [Effect::Terminate(vec![member(third).id]), Effect::Launch(again)]
    );
}

#[test]
fn one_that_does_not_register_in_time_goes_once_and_is_not_counted() {
    let mut launch = two_up(0);
    launch.handle(T0, Event::Heard(WorkerId::new("m-2-1").unwrap()));
    let late = T0.after(LaunchSettings::default().register_max);
    launch.handle(late, Event::TimedOut);
    let trouble = Some("m-1-1 did not register in time".to_owned());
    assert_eq!(
        effects(&mut launch),
        [
            Effect::Look,
            Effect::Terminate(vec![member(FIRST).id]),
            Effect::Expect { workers: 1, trouble }
        ]
    );
    launch.handle(late, Event::Terminated(vec![member(FIRST).id]));
    launch.handle(late, Event::Looked(vec![sighting(FIRST, Condition::Gone)]));
    assert_eq!(effects(&mut launch), []);
}

#[test]
fn an_impaired_one_is_replaced_where_that_is_asked_for() {
    let mut launch = two_up(1);
    let seen = vec![sighting(FIRST, Condition::Impaired), sighting(SECOND, Condition::Well)];
    launch.handle(T0, Event::Looked(seen));
    let again = Seat { slot: 1, launch: 2 };
    assert_eq!(
        effects(&mut launch),
        [Effect::Terminate(vec![member(FIRST).id]), Effect::Launch(again)]
    );
}

#[test]
fn no_capacity_is_tried_again_and_no_right_is_not() {
    let mut launch = begun(LaunchSettings { slots: 2, ..LaunchSettings::default() });
    launch.handle(T0, Event::Looked(Vec::new()));
    effects(&mut launch);
    let failed = |seat, may_pass| Event::NotLaunched { seat, trouble: "no".to_owned(), may_pass };
    launch.handle(T0, failed(FIRST, true));
    launch.handle(T0, failed(SECOND, false));
    let expect = Effect::Expect { workers: 1, trouble: Some("no".to_owned()) };
    assert_eq!(effects(&mut launch), [expect]);
    let due = T0.after(LaunchSettings::default().pause);
    assert_eq!(launch.poll_timeout(), Some(due));
    launch.handle(due, Event::TimedOut);
    assert_eq!(effects(&mut launch), [Effect::Launch(FIRST)]);
}

#[test]
fn workers_that_leave_at_the_end_are_not_replaced() {
    let mut launch = two_up(9);
    launch.handle(T0, Event::Closing);
    launch.handle(T0, Event::Looked(vec![sighting(FIRST, Condition::Gone)]));
    assert!(!effects(&mut launch).iter().any(|effect| matches!(effect, Effect::Launch(_))));
}

#[test]
fn what_is_left_at_the_end_is_named() {
    let mut launch = two_up(0);
    launch.handle(T0, Event::Finish);
    let both = vec![member(FIRST).id, member(SECOND).id];
    assert_eq!(effects(&mut launch), [Effect::Terminate(both.clone())]);
    let trouble = "no right".to_owned();
    launch.handle(T0, Event::NotTerminated { members: both.clone(), trouble, may_pass: true });
    let deadline = T0.after(LaunchSettings::default().farewell_max);
    launch.handle(deadline, Event::TimedOut);
    assert_eq!(effects(&mut launch).last(), Some(&Effect::Over { left: both }));
    assert_eq!(launch.trouble(), Some("no right"));
}

#[test]
fn a_word_that_failed_for_too_many_words_is_said_again_after_a_pause() {
    let mut launch = two_up(0);
    launch.handle(T0, Event::Finish);
    let both = vec![member(FIRST).id, member(SECOND).id];
    effects(&mut launch);
    let trouble = "throttled".to_owned();
    launch.handle(T0, Event::NotTerminated { members: both.clone(), trouble, may_pass: true });
    assert_eq!(effects(&mut launch), [], "not at once");
    let due = launch.poll_timeout().unwrap();
    assert_eq!(due, T0.after(Duration::from_secs(1)));
    launch.handle(due, Event::TimedOut);
    assert_eq!(effects(&mut launch), [Effect::Look]);
    let there = [FIRST, SECOND].map(|seat| sighting(seat, Condition::Well));
    launch.handle(due, Event::Looked(there.into()));
    assert_eq!(effects(&mut launch), [Effect::Terminate(both)]);
}

#[test]
fn the_end_does_not_wait_for_a_right_that_is_missing() {
    let mut launch = two_up(0);
    launch.handle(T0, Event::Finish);
    let both = vec![member(FIRST).id, member(SECOND).id];
    effects(&mut launch);
    let trouble = "no right".to_owned();
    launch.handle(T0, Event::NotTerminated { members: both, trouble, may_pass: false });
    assert_eq!(effects(&mut launch), [Effect::Look]);
    // The second could be told, or has left by itself.
    let there = [(FIRST, Condition::Well), (SECOND, Condition::Gone)];
    launch.handle(T0, Event::Looked(there.map(|(seat, how)| sighting(seat, how)).into()));
    assert_eq!(effects(&mut launch), [Effect::Over { left: vec![member(FIRST).id] }]);
    assert_eq!(launch.trouble(), Some("no right"));
}

#[test]
fn the_end_does_not_wait_to_see_what_may_not_be_seen() {
    let mut launch = two_up(0);
    launch.handle(T0, Event::Finish);
    effects(&mut launch);
    let both = vec![member(FIRST).id, member(SECOND).id];
    launch.handle(T0, Event::Terminated(both));
    assert_eq!(effects(&mut launch), [Effect::Look]);
    let trouble = "no right".to_owned();
    launch.handle(T0, Event::NotLooked { trouble, may_pass: false });
    assert_eq!(effects(&mut launch), [Effect::Over { left: Vec::new() }]);
}

#[test]
fn a_worker_is_found_by_its_name_or_by_its_machines() {
    let of_host = |host: &str| Member { host: Some(host.to_owned()), ..member(FIRST) };
    let worker = WorkerId::new("ip-10-0-0-5-abcdef").unwrap();
    assert!(of_host("ip-10-0-0-5").is_of(&worker));
    assert!(!of_host("ip-10-0-0").is_of(&WorkerId::new("ip-10-0-05").unwrap()));
    assert!(!of_host("ip-10-0-0-50").is_of(&worker));
    assert!(member(FIRST).is_of(&WorkerId::new("m-1-1").unwrap()));
    assert!(!member(FIRST).is_of(&WorkerId::new("m-1-10").unwrap()));
}

/// What the world does next.
#[derive(Debug, Clone)]
enum Turn {
    /// The launcher answers the oldest launch that it was asked for: with a member, with nothing that may pass or not, or
    /// with nothing although the member is there.
    Answer(u8),
    /// The launcher says what is there.
    Look,
    /// It cannot.
    Blind,
    /// A worker speaks.
    Speak(prop::sample::Index),
    /// A member breaks, or is gone.
    Break(prop::sample::Index, bool),
    /// Members that were told to go are gone; or the telling fails.
    Go(bool),
    /// Time passes until something is due.
    Wait,
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        4 => (0u8..4).prop_map(Turn::Answer),
        3 => Just(Turn::Look),
        1 => Just(Turn::Blind),
        3 => any::<prop::sample::Index>().prop_map(Turn::Speak),
        1 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(it, gone)| Turn::Break(it, gone)),
        2 => any::<bool>().prop_map(Turn::Go),
        2 => Just(Turn::Wait),
    ];
    prop::collection::vec(turn, 0..60)
}

/// A launcher, and all that it ever started.
#[derive(Default)]
struct World {
    now: u64,
    there: BTreeMap<Seat, Condition>,
    asked: Vec<Seat>,
    launched: BTreeSet<Seat>,
    to_go: Vec<MemberId>,
    told: BTreeMap<MemberId, u32>,
    expected: Option<u32>,
    left: Option<Vec<MemberId>>,
}

impl World {
    fn take(&mut self, launch: &mut Launch) {
        for effect in effects(launch) {
            assert!(self.left.is_none(), "nothing follows the end");
            match effect {
                Effect::Look => {}
                Effect::Launch(seat) => self.asked.push(seat),
                Effect::Terminate(members) => {
                    for member in &members {
                        *self.told.entry(member.clone()).or_default() += 1;
                    }
                    self.to_go.extend(members);
                }
                Effect::Expect { workers, .. } => {
                    assert_ne!(self.expected.replace(workers), Some(workers));
                }
                Effect::Over { left } => self.left = Some(left),
            }
        }
    }

    fn seen(&self) -> Event {
        Event::Looked(self.there.iter().map(|(seat, how)| sighting(*seat, *how)).collect())
    }

    fn event(&mut self, turn: &Turn, launch: &Launch) -> Option<Event> {
        let pick = |index: &prop::sample::Index, world: &Self| {
            let seats: Vec<Seat> = world.there.keys().copied().collect();
            (!seats.is_empty()).then(|| *index.get(&seats))
        };
        match turn {
            Turn::Answer(how) => {
                let seat = (!self.asked.is_empty()).then(|| self.asked.remove(0))?;
                let trouble = "no".to_owned();
                if *how != 1 && *how != 2 && self.launched.insert(seat) {
                    self.there.insert(seat, Condition::Well);
                }
                Some(match how {
                    0 => Event::Launched { seat, member: member(seat) },
                    _ => Event::NotLaunched { seat, trouble, may_pass: *how != 2 },
                })
            }
            Turn::Look => Some(self.seen()),
            Turn::Blind => Some(Event::NotLooked { trouble: "blind".to_owned(), may_pass: true }),
            Turn::Speak(index) => {
                let name = member(pick(index, self)?).id.0;
                Some(Event::Heard(WorkerId::new(name).expect("a legal name")))
            }
            Turn::Break(index, is_gone) => {
                let seat = pick(index, self)?;
                let now = if *is_gone { Condition::Gone } else { Condition::Impaired };
                if self.there[&seat] != Condition::Gone {
                    self.there.insert(seat, now);
                }
                None
            }
            Turn::Go(is_well) => {
                let members = std::mem::take(&mut self.to_go);
                if members.is_empty() {
                    return None;
                }
                if !is_well {
                    let trouble = "no".to_owned();
                    return Some(Event::NotTerminated { members, trouble, may_pass: true });
                }
                for (seat, condition) in &mut self.there {
                    if members.contains(&member(*seat).id) {
                        *condition = Condition::Gone;
                    }
                }
                Some(Event::Terminated(members))
            }
            Turn::Wait => {
                let due = launch.poll_timeout()?;
                self.now = self.now.max(due.0);
                Some(Event::TimedOut)
            }
        }
    }
}

proptest! {
    /// Whatever the launcher does: never more members than were asked for, no second word to one that goes, and at the end
    /// nothing is there that is not named.
    #[test]
    fn nothing_is_left_that_is_not_named(
        turns in turns(),
        slots in 1u32..5,
        replacements in 0u32..4,
    ) {
        let mut world = World { now: T0.0, ..World::default() };
        let settings = LaunchSettings { slots, replacements, ..LaunchSettings::default() };
        let mut launch = Launch::new(settings);
        launch.handle(T0, Event::Begin);
        world.take(&mut launch);
        let mut failed_words: BTreeSet<MemberId> = BTreeSet::new();
        for turn in &turns {
            let Some(event) = world.event(turn, &launch) else { continue };
            if let Event::NotTerminated { members, .. } = &event {
                failed_words.extend(members.iter().cloned());
            }
            launch.handle(Timestamp(world.now), event);
            world.take(&mut launch);
            prop_assert!(world.launched.len() <= (slots + replacements) as usize);
            for (member, times) in &world.told {
                prop_assert!(*times == 1 || failed_words.contains(member), "{member} was told {times} times");
            }
        }
        launch.handle(Timestamp(world.now), Event::Finish);
        world.take(&mut launch);
        for _ in 0..200 {
            let turn = if !world.to_go.is_empty() {
                Turn::Go(true)
            } else if !world.asked.is_empty() {
                Turn::Answer(3)
            } else {
                Turn::Look
            };
            let Some(event) = world.event(&turn, &launch) else { break };
            launch.handle(Timestamp(world.now), event);
            world.take(&mut launch);
            if world.left.is_some() {
                break;
            }
        }
        prop_assert_eq!(world.left.as_deref(), Some(&[][..]));
        for (seat, condition) in &world.there {
            prop_assert_eq!(*condition, Condition::Gone, "seat {} is still there", seat);
        }
        prop_assert_eq!(launch.poll_timeout(), None);
    }

    /// With a launcher that does nothing any more the end comes all the same.
    #[test]
    fn the_end_comes_in_time(turns in turns(), slots in 1u32..5) {
        let mut world = World { now: T0.0, ..World::default() };
        let mut launch = Launch::new(LaunchSettings { slots, replacements: 2, ..LaunchSettings::default() });
        launch.handle(T0, Event::Begin);
        for turn in &turns {
            world.take(&mut launch);
            if let Some(event) = world.event(turn, &launch) {
                launch.handle(Timestamp(world.now), event);
            }
        }
        launch.handle(Timestamp(world.now), Event::Finish);
        let deadline = Timestamp(world.now).after(LaunchSettings::default().farewell_max + Duration::from_secs(1));
        while let Some(due) = launch.poll_timeout() {
            prop_assert!(due <= deadline, "the end is late");
            launch.handle(due, Event::TimedOut);
            world.take(&mut launch);
        }
        world.take(&mut launch);
        prop_assert!(world.left.is_some());
    }
}
