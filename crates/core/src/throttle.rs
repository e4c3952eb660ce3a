//! How many requests may be in flight, and how fast they may follow: found by trying, shared by whoever talks to
//! one store.
//!
//! Two questions, two answers. *How many at once* is climbed like a hill: more is tried, and kept only if more got
//! done. *How fast* is no question until the store says 503; then what it accepted in the last moments is the best
//! estimate of what it takes, and requests are paced a little below that and slowly upwards again.

use std::collections::VecDeque;
use std::time::Duration;

/// Bounds of the search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ThrottleSettings {
    /// Requests in flight at the start.
    pub start: u32,
    /// Fewest requests in flight.
    pub floor: u32,
    /// Most requests in flight: with 30 ms each they are ten times of what one S3 prefix takes (3,500 PUT per second, Amazon
    /// S3 User Guide, "Best practices design patterns", read 2026-11), and with 300 ms still all of it.
    pub ceiling: u32,
    /// A fixed number in flight; switches the climb off.
    pub fixed: Option<u32>,
}

impl Default for ThrottleSettings {
    fn default() -> Self {
        Self { start: 32, floor: 4, ceiling: 1024, fixed: None }
    }
}

/// What became of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It was done; it carried so many bytes.
    Done(u64),
    /// The store asked to slow down.
    Throttled,
    /// It failed otherwise; says nothing on speed.
    Failed,
}

/// The search itself. Time comes in as the duration since any fixed moment and never goes back.
#[derive(Debug)]
pub struct Throttle {
    settings: ThrottleSettings,
    limit: u32,
    climb: Climb,
    round: Round,
    pace: Option<Pace>,
    accepted: Accepted,
}

/// One look at how much gets done under one limit.
#[derive(Debug, Clone, Copy)]
struct Round {
    began: Duration,
    done: u32,
    work: f64,
    was_full: bool,
}

/// Where the climb stands.
#[derive(Debug, Clone, Copy)]
enum Climb {
    /// Doubling: the best so far and the limit it was seen at.
    Doubling { best_speed: f64, best_limit: u32 },
    /// Standing on a level, until it is time to try another.
    Level { rounds_left: u8, speed: f64, goes_up_next: bool },
    /// Trying another level; falls back to the old one if that was better.
    Trial { old_limit: u32, old_speed: f64, went_up: bool },
}

/// Shortest round: below it, chance is larger than what is measured.
const ROUND_MIN: Duration = Duration::from_millis(15);
/// Rounds that a level stands before another is tried.
const LEVEL_ROUNDS: u8 = 12;
/// A doubling is worth it if it gets this much more done. Where requests wait for the store, it gets twice as much done; where
/// cores or the line are what is busy, less is chance, and more in flight only pushes contents out of the cores' caches.
const DOUBLING_GAIN: f64 = 1.3;
/// A trial upwards is worth it if it gets this much more done.
const TRIAL_GAIN: f64 = 1.04;
/// A trial downwards is kept unless it loses more than this.
const TRIAL_LOSS: f64 = 0.98;
/// Bytes that weigh as much as one request when work is summed up.
const BYTES_PER_REQUEST: f64 = 32.0 * 1024.0;

impl Throttle {
    /// Starts the search.
    pub fn new(settings: ThrottleSettings) -> Self {
        Self {
            settings,
            limit: settings.fixed.unwrap_or(settings.start),
            climb: Climb::Doubling { best_speed: 0.0, best_limit: settings.start },
            round: Round { began: Duration::ZERO, done: 0, work: 0.0, was_full: false },
            pace: None,
            accepted: Accepted::default(),
        }
    }

    /// Requests that may be in flight.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Requests that may be sent per second; `None` while the store takes what comes.
    pub fn rate(&self) -> Option<f64> {
        self.pace.as_ref().map(|pace| pace.rate)
    }

    /// Whether the store is what holds the work up.
    pub fn is_paced(&self) -> bool {
        self.pace.is_some()
    }

    /// Learns from a reply. `in_flight` counts the requests under way when it came, itself included.
    pub fn observe(&mut self, now: Duration, reply: Reply, in_flight: u32) {
        match reply {
            Reply::Done(bytes) => {
                self.accepted.count(now);
                self.round.done += 1;
                self.round.work += 1.0 + bytes as f64 / BYTES_PER_REQUEST;
                self.round.was_full |= in_flight >= self.limit;
                if let Some(pace) = &mut self.pace
                    && pace.recover(now, self.accepted.per_second(now))
                {
                    self.pace = None;
                }
            }
            Reply::Throttled => self.slow_down(now),
            Reply::Failed => return,
        }
        self.end_round(now);
    }

    fn slow_down(&mut self, now: Duration) {
        let accepted = self.accepted.per_second(now);
        match &mut self.pace {
            None => self.pace = Some(Pace::new(now, accepted)),
            Some(pace) => pace.cut(now, accepted),
        }
    }

    fn end_round(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.round.began);
        if self.round.done < self.limit || elapsed < ROUND_MIN {
            return;
        }
        let speed = self.round.work / elapsed.as_secs_f64();
        // While requests are paced, or there are too few to fill the limit, speed says nothing of the limit.
        let is_telling =
            self.round.was_full && self.pace.is_none() && self.settings.fixed.is_none();
        self.round = Round { began: now, done: 0, work: 0.0, was_full: false };
        if is_telling {
            self.step(speed);
        }
    }

    fn step(&mut self, speed: f64) {
        let bounded = |limit: u32| limit.clamp(self.settings.floor, self.settings.ceiling);
        let level =
            |speed, goes_up_next| Climb::Level { rounds_left: LEVEL_ROUNDS, speed, goes_up_next };
        match self.climb {
            Climb::Doubling { best_speed, .. } if speed > best_speed * DOUBLING_GAIN => {
                if self.limit >= self.settings.ceiling {
                    self.climb = level(speed, false);
                    return;
                }
                self.climb = Climb::Doubling { best_speed: speed, best_limit: self.limit };
                self.limit = bounded(self.limit * 2);
            }
            Climb::Doubling { best_speed, best_limit } => {
                self.limit = bounded(best_limit);
                self.climb = level(best_speed, true);
            }
            Climb::Level { rounds_left: 0, speed: average, goes_up_next } => {
                let step = (self.limit / 5).max(1);
                let trial = if goes_up_next { self.limit + step } else { self.limit - step };
                let trial = bounded(trial);
                self.climb = Climb::Trial {
                    old_limit: self.limit,
                    old_speed: average,
                    went_up: goes_up_next,
                };
                self.limit = trial;
            }
            Climb::Level { rounds_left, speed: average, goes_up_next } => {
                let speed = average * 0.75 + speed * 0.25;
                self.climb = Climb::Level { rounds_left: rounds_left - 1, speed, goes_up_next };
            }
            Climb::Trial { old_limit, old_speed, went_up } => {
                let needed = if went_up { TRIAL_GAIN } else { TRIAL_LOSS };
                let is_better = speed >= old_speed * needed;
                if !is_better {
                    self.limit = old_limit;
                }
                let speed = if is_better { speed } else { old_speed };
                // What helped is tried further; what did not, the other way round.
                self.climb = level(speed, went_up == is_better);
            }
        }
    }
}

/// A rate below what the store refuses.
#[derive(Debug)]
struct Pace {
    rate: f64,
    /// Whether the rate has only been guessed so far: then it grows fast, to the next refusal.
    is_guess: bool,
    last_cut: Duration,
    last_growth: Duration,
}

/// A burst of refusals is one message: the rate is cut once in this time.
const CUT_EVERY: Duration = Duration::from_millis(300);
/// The part of what was accepted that is asked for after a refusal.
const CUT_TO: f64 = 0.97;
/// The most that one cut takes: a refusal among few answers says little of what the store takes.
const CUT_MIN: f64 = 0.7;
/// The rate that a first refusal leaves at least, for the same reason.
const FIRST_RATE_MIN: f64 = 200.0;
/// How fast the rate grows, in parts per second, once so much time has passed without refusals: the longer the calm, the
/// surer it is that the store takes more.
const GROWTH: [(Duration, f64); 3] =
    [(Duration::from_secs(6), 0.5), (Duration::from_secs(3), 0.1), (Duration::from_secs(1), 0.02)];
/// Times per second by which a guessed rate grows.
const GUESS_GROWTH: f64 = 4.0;
/// The calm after which a rate that does not bind is given up.
const LONG_CALM: Duration = Duration::from_secs(6);
/// Slowest rate, in requests per second.
const RATE_MIN: f64 = 1.0;

impl Pace {
    fn new(now: Duration, accepted: f64) -> Self {
        let rate = (accepted * CUT_TO).max(FIRST_RATE_MIN);
        Self { rate, is_guess: true, last_cut: now, last_growth: now }
    }

    fn cut(&mut self, now: Duration, accepted: f64) {
        if now.saturating_sub(self.last_cut) < CUT_EVERY {
            return;
        }
        // Where nearly all was accepted, the estimate is the rate itself: then one step below.
        let wanted = (accepted * CUT_TO).clamp(self.rate * CUT_MIN, self.rate * CUT_TO);
        self.rate = wanted.max(RATE_MIN);
        self.is_guess = false;
        self.last_cut = now;
        self.last_growth = now;
    }

    /// Lets the rate grow. Returns whether it does not bind any more.
    fn recover(&mut self, now: Duration, accepted: f64) -> bool {
        let calm = now.saturating_sub(self.last_cut);
        let since_growth = now.saturating_sub(self.last_growth);
        if self.is_guess && calm >= CUT_EVERY {
            self.rate *= GUESS_GROWTH.powf(since_growth.as_secs_f64().min(1.0));
            self.last_growth = now;
            return self.rate > accepted.max(FIRST_RATE_MIN) * 4.0;
        }
        let growth = GROWTH.iter().find(|(needed, _)| calm >= *needed).map(|(_, growth)| growth);
        let Some(growth) = growth.filter(|_| since_growth >= Duration::from_millis(100)) else {
            return false;
        };
        self.rate *= 1.0 + growth * since_growth.as_secs_f64().min(1.0);
        self.last_growth = now;
        calm > LONG_CALM && self.rate > accepted * 4.0
    }
}

/// Counts what was done in the last half second, by slices.
#[derive(Debug, Default)]
struct Accepted {
    slices: VecDeque<(u64, u32)>,
    first_slice: Option<u64>,
}

const SLICE_MS: u64 = 25;
const SLICES: u64 = 20;

impl Accepted {
    fn count(&mut self, now: Duration) {
        let slice = slice_of(now);
        self.first_slice.get_or_insert(slice);
        match self.slices.back_mut() {
            Some((last, count)) if *last == slice => *count += 1,
            _ => self.slices.push_back((slice, 1)),
        }
        while self.slices.front().is_some_and(|(oldest, _)| oldest + SLICES <= slice) {
            self.slices.pop_front();
        }
    }

    fn per_second(&self, now: Duration) -> f64 {
        let slice = slice_of(now);
        let counted: u32 = self
            .slices
            .iter()
            .filter(|(past, _)| past + SLICES > slice)
            .map(|(_, count)| count)
            .sum();
        let known = self.first_slice.map_or(1, |first| (slice - first + 1).min(SLICES));
        f64::from(counted) * 1000.0 / (known * SLICE_MS) as f64
    }
}

fn slice_of(now: Duration) -> u64 {
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX) / SLICE_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store with a fixed latency, a number of requests that it works on at once, and perhaps a rate limit.
    struct Model {
        latency: Duration,
        capacity: f64,
        rate_max: Option<f64>,
    }

    /// Runs the throttle against the model for `seconds`; returns accepted requests of the last second.
    fn run(model: &Model, throttle: &mut Throttle, seconds: u64) -> f64 {
        let step = Duration::from_millis(1);
        let mut ends: VecDeque<(Duration, bool)> = VecDeque::new();
        let (mut now, mut credit, mut tokens, mut accepted) = (Duration::ZERO, 0.0, 0.0f64, 0u32);
        let end = Duration::from_secs(seconds);
        while now < end {
            now += step;
            if let Some(rate) = model.rate_max {
                tokens = (tokens + rate / 1000.0).min(rate / 10.0);
            }
            while ends.front().is_some_and(|(at, _)| *at <= now) {
                let in_flight = u32::try_from(ends.len()).unwrap();
                let (_, is_done) = ends.pop_front().unwrap();
                let reply = if is_done { Reply::Done(4096) } else { Reply::Throttled };
                accepted += u32::from(is_done && now > end - Duration::from_secs(1));
                throttle.observe(now, reply, in_flight);
            }
            credit = throttle
                .rate()
                .map_or(f64::MAX, |rate| (credit + rate / 1000.0).min(rate / 50.0 + 1.0));
            let mut served = 0.0;
            while ends.len() < throttle.limit() as usize
                && credit >= 1.0
                && served < model.capacity / 1000.0
            {
                let is_done = model.rate_max.is_none() || tokens >= 1.0;
                tokens -= f64::from(u8::from(is_done));
                credit -= 1.0;
                served += 1.0;
                ends.push_back((now + model.latency, is_done));
            }
        }
        f64::from(accepted)
    }

    #[test]
    fn a_distant_store_is_reached_with_many_requests_within_a_second() {
        let model =
            Model { latency: Duration::from_millis(30), capacity: 20_000.0, rate_max: None };
        let mut throttle = Throttle::new(ThrottleSettings::default());
        run(&model, &mut throttle, 1);
        assert!(throttle.limit() >= 400, "stands at {}", throttle.limit());
    }

    #[test]
    fn a_near_store_is_not_flooded() {
        let model = Model { latency: Duration::from_millis(1), capacity: 10_000.0, rate_max: None };
        let mut throttle = Throttle::new(ThrottleSettings::default());
        run(&model, &mut throttle, 5);
        assert!(throttle.limit() <= 64, "stands at {}", throttle.limit());
    }

    #[test]
    fn a_limited_store_gives_nine_tenths_of_its_limit() {
        let model = Model {
            latency: Duration::from_millis(2),
            capacity: 15_000.0,
            rate_max: Some(2_000.0),
        };
        for seconds in [5, 10, 15, 30] {
            let mut throttle = Throttle::new(ThrottleSettings::default());
            let accepted = run(&model, &mut throttle, seconds);
            assert!(accepted >= 1_800.0, "{accepted} in second {seconds}");
        }
    }

    #[test]
    fn a_few_refusals_at_the_start_are_soon_forgotten() {
        let model = Model { latency: Duration::from_millis(2), capacity: 15_000.0, rate_max: None };
        let mut throttle = Throttle::new(ThrottleSettings::default());
        for _ in 0..4 {
            throttle.observe(Duration::ZERO, Reply::Throttled, 4);
        }
        let accepted = run(&model, &mut throttle, 15);
        assert!(accepted >= 3_000.0, "{accepted} in the last second");
    }

    #[test]
    fn a_fixed_number_stays() {
        let model =
            Model { latency: Duration::from_millis(30), capacity: 20_000.0, rate_max: None };
        let settings = ThrottleSettings { fixed: Some(7), ..ThrottleSettings::default() };
        let mut throttle = Throttle::new(settings);
        run(&model, &mut throttle, 2);
        assert_eq!(throttle.limit(), 7);
    }
}
