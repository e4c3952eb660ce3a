//! How many requests may be in flight, and how fast they may follow: found by trying, shared by whoever talks to
//! one store.
//!
//! Two questions, two answers. *How many at once* is climbed like a hill: more is tried, and kept only if more gets
//! done. How much gets done with so many in flight is told by how long each of them takes (Little's law), which needs no
//! stretch of time that happens to begin and end well: requests come in waves. *How fast* is no question until the store says 503; then what it accepted in the last moments is the best
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
        Self { start: 16, floor: 4, ceiling: 1024, fixed: None }
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

/// One look at how much gets done under one limit: at requests that were sent since it stands.
#[derive(Debug, Clone, Copy, Default)]
struct Round {
    began: Duration,
    done: u32,
    work: f64,
    /// Seconds that the requests took together.
    taken: f64,
    was_full: bool,
}

impl Round {
    fn beginning(now: Duration) -> Self {
        Self { began: now, ..Self::default() }
    }

    /// What gets done per second with so many requests in flight.
    fn speed(&self, limit: u32) -> f64 {
        f64::from(limit) * self.work / self.taken.max(f64::MIN_POSITIVE)
    }
}

/// Where the climb stands.
#[derive(Debug, Clone, Copy)]
enum Climb {
    /// The first round: connections are opened and memory is new, so its speed would make any next one look better.
    Warming,
    /// Doubling: the best so far and the limit it was seen at. What looks like no gain is looked at twice, since requests
    /// that open connections take longer.
    Doubling { best_speed: f64, best_limit: u32, is_doubted: bool },
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
/// A trial upwards by a fifth that gets this much more done says that there is far more to be had: doubling goes on.
const TRIAL_GAIN_LARGE: f64 = 1.12;
/// A trial downwards is kept unless it loses more than this.
const TRIAL_LOSS: f64 = 0.98;
/// A store whose replies take so long is waited for, and not this machine or the line: the climb begins at so many times
/// the first limit.
const FAR: Duration = Duration::from_millis(15);
const FAR_START: u32 = 4;
/// Bytes that weigh as much as one request when work is summed up.
const BYTES_PER_REQUEST: f64 = 32.0 * 1024.0;

impl Throttle {
    /// Starts the search.
    pub fn new(settings: ThrottleSettings) -> Self {
        Self {
            settings,
            limit: settings.fixed.unwrap_or(settings.start),
            climb: Climb::Warming,
            round: Round::default(),
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

    /// Learns from a reply that came `latency` after its request. `in_flight` counts the requests under way when it came,
    /// itself included.
    pub fn observe(&mut self, now: Duration, reply: Reply, latency: Duration, in_flight: u32) {
        match reply {
            Reply::Done(bytes) => {
                self.accepted.count(now);
                self.round.was_full |= in_flight >= self.limit;
                if now.saturating_sub(latency) >= self.round.began {
                    self.round.done += 1;
                    self.round.work += 1.0 + bytes as f64 / BYTES_PER_REQUEST;
                    self.round.taken += latency.as_secs_f64();
                }
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
        // Some requests under way are from before the round. To wait for as many as the limit is to wait for two round trips.
        let is_climbing = matches!(self.climb, Climb::Warming | Climb::Doubling { .. });
        let needed = if is_climbing { self.limit / 2 } else { self.limit };
        if self.round.done < needed.max(1) || elapsed < ROUND_MIN {
            return;
        }
        let speed = self.round.speed(self.limit);
        let latency = self.round.taken / f64::from(self.round.done);
        // While requests are paced, or there are too few to fill the limit, speed says nothing of the limit.
        let is_telling =
            self.round.was_full && self.pace.is_none() && self.settings.fixed.is_none();
        self.round = Round::beginning(now);
        if is_telling {
            self.step(speed, latency);
        }
    }

    /// Goes on from a round with this speed, whose requests took so many seconds on average.
    fn step(&mut self, speed: f64, latency: f64) {
        let bounded = |limit: u32| limit.clamp(self.settings.floor, self.settings.ceiling);
        let level =
            |speed, goes_up_next| Climb::Level { rounds_left: LEVEL_ROUNDS, speed, goes_up_next };
        match self.climb {
            Climb::Warming => {
                let is_far = latency >= FAR.as_secs_f64();
                let first = if is_far { bounded(self.limit * FAR_START) } else { self.limit };
                self.double(0.0, first, first);
            }
            Climb::Doubling { best_speed, .. } if speed > best_speed * DOUBLING_GAIN => {
                if self.limit >= self.settings.ceiling {
                    self.climb = level(speed, false);
                    return;
                }
                self.double(speed, self.limit, bounded(self.limit * 2));
            }
            Climb::Doubling { best_speed, best_limit, is_doubted: false } => {
                self.climb = Climb::Doubling { best_speed, best_limit, is_doubted: true };
            }
            Climb::Doubling { best_speed, best_limit, is_doubted: true } => {
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
            Climb::Trial { old_speed, went_up: true, .. }
                if speed >= old_speed * TRIAL_GAIN_LARGE && self.limit < self.settings.ceiling =>
            {
                self.double(speed, self.limit, bounded(self.limit * 2));
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

    /// Looks whether `limit` gets more done than `best_limit`, with which it was `best_speed`.
    fn double(&mut self, best_speed: f64, best_limit: u32, limit: u32) {
        self.limit = limit;
        self.climb = Climb::Doubling { best_speed, best_limit, is_doubted: false };
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

    /// A store with a fixed latency, requests per second that it can do, one after the other, and perhaps a rate limit.
    struct Model {
        latency: Duration,
        capacity: f64,
        rate_max: Option<f64>,
        /// How many times the latency a request takes that opens a connection.
        opening: u32,
    }

    impl Model {
        fn new(latency_ms: u64, capacity: f64) -> Self {
            let latency = Duration::from_millis(latency_ms);
            Self { latency, capacity, rate_max: None, opening: 1 }
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    /// Runs the throttle against the model for so long; returns accepted requests of the last second.
    fn run(model: &Model, throttle: &mut Throttle, time: Duration) -> f64 {
        let step = Duration::from_micros(100);
        let mut ends: VecDeque<(Duration, Duration, bool)> = VecDeque::new();
        let (mut now, mut credit, mut tokens, mut accepted) = (Duration::ZERO, 0.0, 0.0f64, 0u32);
        let (mut free_at, mut connections) = (Duration::ZERO, 0);
        while now < time {
            now += step;
            if let Some(rate) = model.rate_max {
                tokens = (tokens + rate * step.as_secs_f64()).min(rate / 10.0);
            }
            while let Some((at, sent, is_done)) = ends.front().copied().filter(|end| end.0 <= now) {
                let in_flight = u32::try_from(ends.len()).unwrap();
                ends.pop_front();
                let reply = if is_done { Reply::Done(4096) } else { Reply::Throttled };
                accepted += u32::from(is_done && now + SECOND > time);
                throttle.observe(now, reply, at - sent, in_flight);
            }
            credit = throttle.rate().map_or(f64::MAX, |rate| {
                (credit + rate * step.as_secs_f64()).min(rate / 50.0 + 1.0)
            });
            while ends.len() < throttle.limit() as usize && credit >= 1.0 {
                let is_done = model.rate_max.is_none() || tokens >= 1.0;
                tokens -= f64::from(u8::from(is_done));
                credit -= 1.0;
                free_at = free_at.max(now) + Duration::from_secs_f64(1.0 / model.capacity);
                let opens = ends.len() >= connections;
                connections = connections.max(ends.len() + 1);
                let round_trips = if opens { model.opening } else { 1 };
                let at = free_at + model.latency * round_trips;
                let place = ends.partition_point(|end| end.0 <= at);
                ends.insert(place, (at, now, is_done));
            }
        }
        f64::from(accepted)
    }

    #[test]
    fn a_distant_store_is_reached_with_many_requests_within_a_second() {
        let model = Model::new(30, 20_000.0);
        let mut throttle = Throttle::new(ThrottleSettings::default());
        run(&model, &mut throttle, SECOND);
        assert!(throttle.limit() >= 400, "stands at {}", throttle.limit());
    }

    #[test]
    fn a_distant_store_is_climbed_to_in_one_round_trip_each() {
        let model = Model::new(30, 100_000.0);
        let mut throttle = Throttle::new(ThrottleSettings::default());
        run(&model, &mut throttle, model.latency * 8);
        assert!(throttle.limit() >= 1000, "stands at {}", throttle.limit());
    }

    #[test]
    fn requests_that_open_connections_do_not_look_like_a_store_that_is_full() {
        for opening in [2, 3, 4] {
            let model = Model { opening, ..Model::new(30, 20_000.0) };
            let mut throttle = Throttle::new(ThrottleSettings::default());
            run(&model, &mut throttle, SECOND * 2);
            assert!(throttle.limit() >= 400, "stands at {}", throttle.limit());
        }
    }

    #[test]
    fn a_near_store_is_not_flooded() {
        let model = Model::new(1, 10_000.0);
        let mut throttle = Throttle::new(ThrottleSettings::default());
        run(&model, &mut throttle, SECOND * 5);
        assert!(throttle.limit() <= 64, "stands at {}", throttle.limit());
    }

    #[test]
    fn a_limited_store_gives_nine_tenths_of_its_limit() {
        let model = Model { rate_max: Some(2_000.0), ..Model::new(2, 15_000.0) };
        for seconds in [5, 10, 15, 30] {
            let mut throttle = Throttle::new(ThrottleSettings::default());
            let accepted = run(&model, &mut throttle, SECOND * seconds);
            assert!(accepted >= 1_800.0, "{accepted} in second {seconds}");
        }
    }

    #[test]
    fn a_few_refusals_at_the_start_are_soon_forgotten() {
        let model = Model::new(2, 15_000.0);
        let mut throttle = Throttle::new(ThrottleSettings::default());
        for _ in 0..4 {
            throttle.observe(Duration::ZERO, Reply::Throttled, Duration::ZERO, 4);
        }
        let accepted = run(&model, &mut throttle, SECOND * 15);
        assert!(accepted >= 3_000.0, "{accepted} in the last second");
    }

    #[test]
    fn a_fixed_number_stays() {
        let model = Model::new(30, 20_000.0);
        let settings = ThrottleSettings { fixed: Some(7), ..ThrottleSettings::default() };
        let mut throttle = Throttle::new(settings);
        run(&model, &mut throttle, SECOND * 2);
        assert_eq!(throttle.limit(), 7);
    }
}
