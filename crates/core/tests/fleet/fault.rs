//! What goes wrong: each kind with its rate in one seed, and how often it happened.

use super::chance::{Chance, DAY, HOUR, MINUTE, Moment};

macro_rules! faults {
    ($($name:ident: $rate:expr,)*) => {
        /// A kind of fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Fault { $($name,)* }

        impl Fault {
            pub(crate) const ALL: &[Fault] = &[$(Fault::$name,)*];

            /// How many of a thousand chances it takes, in a seed that has it.
            fn rate(self) -> u64 {
                match self { $(Fault::$name => $rate,)* }
            }
        }
    };
}

faults! {
    // On the way to a queue.
    SendRefused: 100,
    SendDoubtful: 60,
    MessageLost: 20,
    MessageRepeated: 80,
    MessageLate: 40,
    // On a queue.
    ReceiveRefused: 50,
    PhantomReceive: 30,
    InFlightCap: 1000,
    AcknowledgementLost: 40,
    ExtensionLost: 100,
    LeaseExpired: 1000,
    QueuePurged: 1000,
    QueueDeleted: 1000,
    // On the control channel.
    ControlLost: 150,
    ControlRepeated: 100,
    ControlLate: 60,
    ControlReordered: 250,
    // Processes.
    WorkerCrash: 1000,
    EveryWorkerCrash: 1000,
    WorkerLeave: 1000,
    WorkerZombie: 1000,
    WorkerSlow: 300,
    WorkerPartition: 1000,
    MasterCrash: 1000,
    MasterZombie: 1000,
    MasterPartition: 1000,
    MasterInterrupted: 1000,
    MasterInterruptedTwice: 400,
    ClockSkewed: 500,
    // The ledger's disk.
    DiskSlow: 100,
    RecordsCutOff: 1000,
    // The source.
    SourceChanged: 1000,
    SourceChangedMidway: 150,
    SourceVanished: 1000,
    SourceUnlistable: 100,
    CrawlFailed: 300,
    // The store.
    StoreThrottled: 120,
    StoreFailed: 10,
    StoreDenied: 1000,
    PutDoubtful: 60,
    PutLate: 40,
    ObjectRotten: 1000,
    ObjectGone: 1000,
    CheckFailed: 20,
}

/// The faults of one seed.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    rates: Vec<u64>,
    /// From when on nothing goes wrong any more.
    pub(crate) healed: Moment,
    /// How often each kind happened.
    pub(crate) fired: Vec<u64>,
}

impl Faults {
    /// A world in which nothing goes wrong, but that somebody may be slow.
    pub(crate) fn calm(chance: &mut Chance) -> Self {
        let mut faults = Self::none();
        if chance.happens(500) {
            faults.rates[Fault::WorkerSlow as usize] = 500;
            faults.healed = MINUTE;
        }
        faults
    }

    fn none() -> Self {
        let none = vec![0; Fault::ALL.len()];
        Self { rates: none.clone(), healed: 0, fired: none }
    }

    /// Some kinds, each at a rate of its own: few at once find what many at once hide.
    pub(crate) fn draw(chance: &mut Chance) -> Self {
        let share = chance.pick(&[80, 250, 500, 900]);
        let mut faults = Self::none();
        for (rate, fault) in faults.rates.iter_mut().zip(Fault::ALL) {
            if chance.happens(share) {
                let strength = chance.pick(&[1, 1, 2, 4]);
                *rate = if fault.rate() == 1000 { 1000 } else { fault.rate() * strength / 2 };
            }
        }
        faults.healed = chance.pick(&[10 * MINUTE, HOUR, 6 * HOUR, DAY]);
        faults
    }

    /// Whether this seed has the fault at all.
    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.rates[fault as usize] > 0
    }

    /// Whether it happens now; if so, it is counted.
    pub(crate) fn strikes(&mut self, fault: Fault, now: Moment, chance: &mut Chance) -> bool {
        let rate = self.rates[fault as usize];
        let strikes = rate > 0 && now < self.healed && chance.happens(rate);
        if strikes {
            self.count(fault);
        }
        strikes
    }

    pub(crate) fn count(&mut self, fault: Fault) {
        self.fired[fault as usize] += 1;
    }

    pub(crate) fn is_calm(&self) -> bool {
        let is_harmless = |fault: &Fault| *fault == Fault::WorkerSlow || !self.has(*fault);
        Fault::ALL.iter().all(is_harmless)
    }
}
