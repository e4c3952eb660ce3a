//! What happened, counted where it happened: the judge of the benchmark is the server.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use crate::checksum;
use crate::fault;
use crate::operation::Operation;
use crate::store::Census;

/// Longest stretch that the histogram covers: a day.
const SECONDS_MAX: u64 = 86_400;

/// Counters since the start.
#[derive(Debug)]
pub(crate) struct Tally {
    started: Instant,
    started_at: SystemTime,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    connections: u64,
    connection_errors: u64,
    requests: BTreeMap<Operation, u64>,
    objects: u64,
    object_bytes: u64,
    body_bytes: u64,
    checked: BTreeMap<checksum::Kind, u64>,
    trusted: BTreeMap<checksum::Kind, u64>,
    checksum_failures: u64,
    slow_downs: u64,
    faults: BTreeMap<fault::Kind, u64>,
    first_write: Option<SystemTime>,
    last_write: Option<SystemTime>,
    seconds: Vec<Second>,
}

/// Requests of one second: accepted and refused.
#[derive(Debug, Default, Clone, Copy, Serialize)]
struct Second(u32, u32);

/// The statistics as `GET /-/stats` and `--stats-file` show them.
#[derive(Debug, Serialize)]
pub(crate) struct Snapshot {
    started_unix: f64,
    uptime_seconds: f64,
    connections: u64,
    /// Connections that ended by an error: reset by the client, TLS refused, malformed requests.
    connection_errors: u64,
    /// By S3's name of the operation; refused ones too.
    requests: BTreeMap<&'static str, u64>,
    /// Objects accepted, by PUT or by a completed upload; one written twice counts twice.
    objects: u64,
    object_bytes: u64,
    /// Decoded bytes of all accepted bodies of PUTs and parts.
    body_bytes: u64,
    /// Declared checksums that were verified, by kind; one that failed is among them.
    checked: BTreeMap<&'static str, u64>,
    /// Declared checksums that were taken on trust: SHA, and Content-MD5 without `--etag md5`.
    trusted: BTreeMap<&'static str, u64>,
    checksum_failures: u64,
    /// 503s by `--rps-limit`.
    slow_downs: u64,
    faults: BTreeMap<&'static str, u64>,
    first_write_unix: Option<f64>,
    last_write_unix: Option<f64>,
    /// Accepted and refused requests of each second since the start.
    per_second: Vec<Second>,
    /// Uploads that were neither completed nor aborted.
    open_uploads: usize,
    /// What is remembered; all zero without `--remember`.
    remembered: Census,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            started_at: SystemTime::now(),
            counts: Mutex::new(Counts::default()),
        }
    }

    pub(crate) fn connected(&self) {
        self.lock().connections += 1;
    }

    pub(crate) fn connection_failed(&self) {
        self.lock().connection_errors += 1;
    }

    /// A request whose head was read. The first and last write are timed here, before the body.
    pub(crate) fn arrived(&self, operation: Operation) {
        let mut counts = self.lock();
        *counts.requests.entry(operation).or_default() += 1;
        if operation.is_write() {
            let now = SystemTime::now();
            counts.first_write.get_or_insert(now);
            counts.last_write = Some(now);
        }
    }

    pub(crate) fn accepted(&self, now: Instant) {
        self.note_second(now, |second| second.0 += 1);
    }

    pub(crate) fn slowed_down(&self, now: Instant) {
        self.lock().slow_downs += 1;
        self.note_second(now, |second| second.1 += 1);
    }

    pub(crate) fn struck(&self, kind: fault::Kind) {
        *self.lock().faults.entry(kind).or_default() += 1;
    }

    pub(crate) fn wrote_body(&self, bytes: u64) {
        self.lock().body_bytes += bytes;
    }

    pub(crate) fn wrote_object(&self, bytes: u64) {
        let mut counts = self.lock();
        counts.objects += 1;
        counts.object_bytes += bytes;
    }

    /// A declared checksum and what became of it; `None` if it was taken on trust.
    pub(crate) fn checked(&self, kind: checksum::Kind, is_good: Option<bool>) {
        let mut counts = self.lock();
        let by_kind = if is_good.is_some() { &mut counts.checked } else { &mut counts.trusted };
        *by_kind.entry(kind).or_default() += 1;
        counts.checksum_failures += u64::from(is_good == Some(false));
    }

    pub(crate) fn snapshot(&self, open_uploads: usize, remembered: Census) -> Snapshot {
        let counts = self.lock();
        Snapshot {
            started_unix: unix(self.started_at),
            uptime_seconds: self.started.elapsed().as_secs_f64(),
            connections: counts.connections,
            connection_errors: counts.connection_errors,
            requests: counts.requests.iter().map(|(key, n)| (key.name(), *n)).collect(),
            objects: counts.objects,
            object_bytes: counts.object_bytes,
            body_bytes: counts.body_bytes,
            checked: counts.checked.iter().map(|(key, n)| (key.name(), *n)).collect(),
            trusted: counts.trusted.iter().map(|(key, n)| (key.name(), *n)).collect(),
            checksum_failures: counts.checksum_failures,
            slow_downs: counts.slow_downs,
            faults: counts.faults.iter().map(|(key, n)| (key.name(), *n)).collect(),
            first_write_unix: counts.first_write.map(unix),
            last_write_unix: counts.last_write.map(unix),
            per_second: counts.seconds.clone(),
            open_uploads,
            remembered,
        }
    }

    fn note_second(&self, now: Instant, note: impl FnOnce(&mut Second)) {
        let second = now.saturating_duration_since(self.started).as_secs().min(SECONDS_MAX);
        // At most SECONDS_MAX, which fits.
        let second = second as usize;
        let mut counts = self.lock();
        if counts.seconds.len() <= second {
            counts.seconds.resize(second + 1, Second::default());
        }
        note(&mut counts.seconds[second]);
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Counters that a panicking thread left behind are still the best count there is.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Seconds since 1970, zero for a clock that stands before.
fn unix(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_shows_what_was_noted() {
        let tally = Tally::new();
        tally.arrived(Operation::ListBuckets);
        assert!(tally.snapshot(0, Census::default()).first_write_unix.is_none());

        tally.arrived(Operation::PutObject);
        tally.wrote_body(7);
        tally.wrote_object(7);
        tally.checked(checksum::Kind::Crc64Nvme, Some(false));
        tally.checked(checksum::Kind::Md5, None);
        tally.accepted(tally.started + Duration::from_millis(2_500));
        tally.slowed_down(tally.started);

        let json = serde_json::to_value(tally.snapshot(1, Census::default())).unwrap();
        assert_eq!(json["requests"]["PutObject"], 1);
        assert_eq!(json["object_bytes"], 7);
        assert_eq!(json["checked"], serde_json::json!({ "crc64nvme": 1 }));
        assert_eq!(json["trusted"], serde_json::json!({ "md5": 1 }));
        assert_eq!(json["checksum_failures"], 1);
        assert_eq!(json["per_second"], serde_json::json!([[0, 1], [0, 0], [1, 0]]));
        assert_eq!(json["open_uploads"], 1);
        assert!(json["first_write_unix"].as_f64().unwrap() > 1e9);
    }
}
