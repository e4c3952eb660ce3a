//! What whoever runs a worker wants of it, whatever its master says.

use tokio::sync::watch;
use tokio::time::Instant;

/// What a worker is asked to do; each is stronger than the one before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Wish {
    /// Work.
    #[default]
    Stay,
    /// Take nothing new, finish what it holds, and leave.
    Drain {
        /// When what is not finished goes back to the others; `None` if there is no hurry.
        until: Option<Instant>,
        /// The reason, which the master is told.
        why: String,
    },
    /// Give back what it holds, and leave.
    Leave {
        /// The reason, which the master is told.
        why: String,
    },
}

impl Wish {
    /// Why the worker is to leave, if it is.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Stay => None,
            Self::Drain { why, .. } | Self::Leave { why } => Some(why),
        }
    }

    /// Wishes this of a worker, unless it was asked for more already.
    pub fn ask(self, wishes: &watch::Sender<Self>) {
        wishes.send_if_modified(|known| {
            let is_news = self.strength() > known.strength();
            if is_news {
                *known = self;
            }
            is_news
        });
    }

    /// A drain that has an end is stronger than one that may take its time.
    fn strength(&self) -> u8 {
        match self {
            Self::Stay => 0,
            Self::Drain { until: None, .. } => 1,
            Self::Drain { until: Some(_), .. } => 2,
            Self::Leave { .. } => 3,
        }
    }
}

/// Waits until something else is wished than `known`; `None` if nobody can wish anything any more.
pub(super) async fn other_than(wishes: &mut watch::Receiver<Wish>, known: &Wish) -> Option<Wish> {
    wishes.wait_for(|wish| wish != known).await.ok().map(|wish| wish.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_never_gives_way_to_a_weaker_one() {
        let why = || "a reason".to_owned();
        let soon = Wish::Drain { until: Some(Instant::now()), why: why() };
        let (wishes, wished) = watch::channel(Wish::Stay);
        Wish::Drain { until: None, why: why() }.ask(&wishes);
        soon.clone().ask(&wishes);
        Wish::Drain { until: None, why: "another".to_owned() }.ask(&wishes);
        assert_eq!(*wished.borrow(), soon);
        Wish::Leave { why: why() }.ask(&wishes);
        soon.ask(&wishes);
        assert_eq!(*wished.borrow(), Wish::Leave { why: why() });
    }
}
