//! How requests to one store are paced: one search for all lanes, one gate for each.
//!
//! The search ([`Throttle`]) is shared, because there is one store. The gates are not, so that a request that ends
//! wakes its neighbour on the same thread and never one on another. Only when the limit grows does one lane open the
//! others' gates: on its own each would learn of it a whole round trip later.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use s3bl_core::throttle::{Reply, Throttle, ThrottleSettings};
use s3bl_core::unit::Rate;
use s3bl_core::wire::{Activity, Limits};
use s3bl_port::pacer::{End, Pacer, Signal};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};

/// The search that all lanes of a process share.
#[derive(Debug)]
pub struct Pace {
    lanes: u32,
    start: Instant,
    throttle: Mutex<Throttle>,
    limit: AtomicU32,
    in_flight: AtomicU32,
    /// Bits of the rate in requests per second; zero while there is none.
    rate: AtomicU64,
    bandwidth: Option<Rate>,
    gates: Mutex<Vec<Weak<Gate>>>,
    /// Bits of this process's share of what a fleet may do, in requests and in bytes per second; infinite by default.
    share_requests: AtomicU64,
    share_bandwidth: AtomicU64,
    schedule: Mutex<Schedule>,
}

/// When the next request may go.
#[derive(Debug, Default)]
struct Schedule {
    next_request: Duration,
    next_bytes: Duration,
}

/// The slowest pace, in requests per second: nobody starves.
const RATE_MIN: f64 = 0.1;

/// How far the schedule may lag behind the clock before what was missed is forgotten: the longest burst.
const BURST: Duration = Duration::from_millis(20);

impl Pace {
    /// Begins the search for `lanes` lanes, at least 1.
    pub fn new(settings: ThrottleSettings, bandwidth: Option<Rate>, lanes: u32) -> Arc<Self> {
        let throttle = Throttle::new(settings);
        let limit = AtomicU32::new(throttle.limit());
        Arc::new(Self {
            lanes: lanes.max(1),
            start: Instant::now(),
            throttle: Mutex::new(throttle),
            limit,
            in_flight: AtomicU32::new(0),
            rate: AtomicU64::new(0),
            bandwidth,
            gates: Mutex::default(),
            share_requests: AtomicU64::new(f64::INFINITY.to_bits()),
            share_bandwidth: AtomicU64::new(f64::INFINITY.to_bits()),
            schedule: Mutex::default(),
        })
    }

    /// Keeps to a share of what a fleet may do, until the next one is told.
    pub fn keep_to(&self, limits: Limits) {
        let requests = limits.requests.unwrap_or(f64::INFINITY);
        let bandwidth = limits.bandwidth.map_or(f64::INFINITY, |Rate(bandwidth)| bandwidth);
        self.share_requests.store(requests.to_bits(), Ordering::Relaxed);
        self.share_bandwidth.store(bandwidth.to_bits(), Ordering::Relaxed);
    }

    /// Makes the gate of one lane.
    pub fn lane(self: &Arc<Self>) -> Arc<LanePacer> {
        let gate = Arc::new(Gate::new(self.share()));
        self.gates.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&gate));
        Arc::new(LanePacer { pace: Arc::clone(self), gate })
    }

    /// Requests that each lane may have in flight, at least 1.
    pub fn share(&self) -> u32 {
        self.limit.load(Ordering::Relaxed).div_ceil(self.lanes).max(1)
    }

    /// What holds the work up, as far as pacing knows.
    pub fn activity(&self) -> Activity {
        let rate = f64::from_bits(self.rate.load(Ordering::Relaxed));
        Activity {
            in_flight: self.in_flight.load(Ordering::Relaxed),
            limit: self.limit.load(Ordering::Relaxed),
            rate: (rate > 0.0).then_some(rate),
            has_backlog: false,
            hanging_reads: 0,
        }
    }

    /// When a request of so many bytes may go; `None` at once.
    fn reserve(&self, bytes: u64) -> Option<Instant> {
        let own = f64::from_bits(self.rate.load(Ordering::Relaxed));
        let own = if own > 0.0 { own } else { f64::INFINITY };
        let rate = own.min(f64::from_bits(self.share_requests.load(Ordering::Relaxed)));
        let own = self.bandwidth.map_or(f64::INFINITY, |Rate(bandwidth)| bandwidth);
        let bandwidth = own.min(f64::from_bits(self.share_bandwidth.load(Ordering::Relaxed)));
        if rate.is_infinite() && bandwidth.is_infinite() {
            return None;
        }
        let now = self.start.elapsed();
        let mut schedule = self.schedule.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = now;
        if rate.is_finite() {
            let turn = schedule.next_request.max(now.saturating_sub(BURST));
            schedule.next_request = turn + Duration::from_secs_f64(1.0 / rate.max(RATE_MIN));
            due = due.max(turn);
        }
        if bandwidth.is_finite() {
            let turn = schedule.next_bytes.max(now.saturating_sub(BURST));
            schedule.next_bytes = turn + Duration::from_secs_f64(bytes as f64 / bandwidth.max(1.0));
            due = due.max(turn);
        }
        (due > now).then(|| self.start + due)
    }

    fn learn(&self, signal: Signal) {
        let reply = match signal.end {
            End::Answered => Reply::Done(signal.bytes),
            End::Throttled => Reply::Throttled,
            End::Failed => Reply::Failed,
        };
        let in_flight = self.in_flight.fetch_sub(1, Ordering::Relaxed);
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        // Shares are rounded up, so lanes that are full hold the limit give or take one each.
        throttle.observe(self.start.elapsed(), reply, signal.latency, in_flight + self.lanes);
        let before = self.limit.swap(throttle.limit(), Ordering::Relaxed);
        self.rate.store(throttle.rate().unwrap_or(0.0).to_bits(), Ordering::Relaxed);
        if throttle.limit() > before {
            let gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
            gates.iter().filter_map(Weak::upgrade).for_each(|gate| gate.widen(self.share()));
        }
    }
}

/// The gate of one lane.
#[derive(Debug)]
pub struct LanePacer {
    pace: Arc<Pace>,
    gate: Arc<Gate>,
}

/// Places for requests; their number follows the lane's share of the limit.
#[derive(Debug)]
struct Gate {
    free: Semaphore,
    /// Places that there are, free and taken.
    places: AtomicU32,
}

impl Gate {
    fn new(places: u32) -> Self {
        Self { free: Semaphore::new(places as usize), places: AtomicU32::new(places) }
    }

    /// Makes places up to a share that has grown.
    fn widen(&self, share: u32) {
        let before = self.places.fetch_max(share, Ordering::Relaxed);
        self.free.add_permits(share.saturating_sub(before) as usize);
    }

    /// Gives a place back, unless there are more than the share, which has shrunk.
    fn leave(&self, share: u32) {
        let is_too_many = |places: u32| (places > share).then(|| places - 1);
        let shrunk = self.places.fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_too_many);
        if shrunk.is_err() {
            self.free.add_permits(1);
        }
    }
}

#[async_trait]
impl Pacer for LanePacer {
    async fn admit(&self, bytes: u64) {
        self.gate.free.acquire().await.expect("the gate is never closed").forget();
        if let Some(due) = self.pace.reserve(bytes) {
            sleep_until(due).await;
        }
        self.pace.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    fn finished(&self, signal: Signal) {
        self.pace.learn(signal);
        self.gate.leave(self.pace.share());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn two_lanes_find_the_level_of_a_distant_store() {
        let latency = Duration::from_millis(30);
        let pace = Pace::new(ThrottleSettings::default(), None, 2);
        for lane in [pace.lane(), pace.lane()] {
            for _ in 0..600 {
                let lane = Arc::clone(&lane);
                tokio::spawn(async move {
                    loop {
                        lane.admit(4096).await;
                        tokio::time::sleep(latency).await;
                        lane.finished(Signal { latency, bytes: 4096, end: End::Answered });
                    }
                });
            }
        }

        tokio::time::sleep(Duration::from_millis(500)).await;

        assert!(pace.activity().limit >= 512, "{:?}", pace.activity());
    }

    #[tokio::test]
    async fn a_gate_follows_its_share() {
        let gate = Gate::new(2);
        gate.widen(4);
        assert_eq!(gate.free.available_permits(), 4);
        gate.free.try_acquire_many(4).unwrap().forget();
        for _ in 0..4 {
            gate.leave(3);
        }
        assert_eq!(gate.free.available_permits(), 3);
        gate.widen(2);
        assert_eq!(gate.free.available_permits(), 3);
    }
}
