//! Files that wait for the program: those of one directory go with one run of it.
//!
//! Whoever finds a program free takes along what waits beside it; while all programs are busy, more of them come together.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Files of one run of the program: their names come through a pipe, and what one of them spoils all of them wait for.
const FILES_MAX: usize = 256;

/// Files that wait.
#[derive(Debug, Default)]
pub(super) struct Together {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    /// By the directory that they lie in, in the order in which they came.
    directories: BTreeMap<Vec<u8>, BTreeMap<u64, Member>>,
}

/// A file that waits, or goes with others.
#[derive(Debug)]
struct Member {
    name: Vec<u8>,
    told: oneshot::Sender<bool>,
}

/// The place of a file among those that wait. Dropped, the file waits no more.
#[derive(Debug)]
pub(super) struct Ticket<'a> {
    together: &'a Together,
    directory: Vec<u8>,
    number: u64,
}

/// Files that go with one run.
#[derive(Debug)]
pub(super) struct Group(Vec<Member>);

impl Together {
    /// Lets a file wait. What is heard is whether the run that it went with ended well; nothing if that broke off.
    pub(super) fn wait(
        &self,
        directory: &[u8],
        name: &[u8],
    ) -> (Ticket<'_>, oneshot::Receiver<bool>) {
        let (told, heard) = oneshot::channel();
        let mut waiting = self.waiting();
        let number = waiting.next;
        waiting.next += 1;
        let members = waiting.directories.entry(directory.to_vec()).or_default();
        members.insert(number, Member { name: name.to_vec(), told });
        drop(waiting);
        (Ticket { together: self, directory: directory.to_vec(), number }, heard)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket<'_> {
    /// Takes those that wait in this file's directory, itself among them. `None` if somebody else has taken it.
    pub(super) fn lead(&self) -> Option<Group> {
        let mut waiting = self.together.waiting();
        let members = waiting.directories.get_mut(&self.directory)?;
        let mut group = vec![members.remove(&self.number)?];
        while group.len() < FILES_MAX {
            let Some((_, member)) = members.pop_first() else { break };
            group.push(member);
        }
        if members.is_empty() {
            waiting.directories.remove(&self.directory);
        }
        Some(Group(group))
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut waiting = self.together.waiting();
        let Some(members) = waiting.directories.get_mut(&self.directory) else { return };
        members.remove(&self.number);
        if members.is_empty() {
            waiting.directories.remove(&self.directory);
        }
    }
}

impl Group {
    /// How many they are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Their names, each with a NUL behind it.
    pub(super) fn names(&self) -> Vec<u8> {
        let mut names = Vec::new();
        for member in &self.0 {
            names.extend_from_slice(&member.name);
            names.push(0);
        }
        names
    }

    /// Tells all of them how the run ended.
    pub(super) fn tell(self, is_well: bool) {
        for member in self.0 {
            // Whoever does not listen any more was given up, and is nobody's business.
            let _ = member.told.send(is_well);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_of_one_directory_go_together_and_nobody_goes_twice() {
        let together = Together::default();
        let (first, mut heard) = together.wait(b"d", b"one");
        let (second, _heard) = together.wait(b"d", b"two");
        let (other, _heard) = together.wait(b"e", b"three");
        let (given_up, _heard) = together.wait(b"d", b"four");
        drop(given_up);

        let group = first.lead().unwrap();

        assert_eq!((group.len(), group.names()), (2, b"one\0two\0".to_vec()));
        assert!(second.lead().is_none() && first.lead().is_none());
        group.tell(true);
        assert_eq!(heard.try_recv(), Ok(true));
        assert_eq!(other.lead().unwrap().len(), 1);
        drop((first, second, other));
        assert!(together.waiting().directories.is_empty());
    }

    #[test]
    fn a_run_takes_no_more_than_its_most_and_the_leader_is_among_them() {
        let together = Together::default();
        let tickets: Vec<_> =
            (0..=FILES_MAX).map(|number| together.wait(b"", &[number as u8]).0).collect();
        let last = tickets.last().unwrap();
        let group = last.lead().unwrap();
        assert_eq!(group.len(), FILES_MAX);
        assert!(last.lead().is_none());
        assert_eq!(
            tickets.iter().filter_map(Ticket::lead).map(|group| group.len()).sum::<usize>(),
            1
        );
    }
}
