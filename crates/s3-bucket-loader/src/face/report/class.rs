//! The kinds of trouble in words, and findings grouped by them.

use s3bl_core::report::{FailureLine, Report};
use s3bl_core::task::Class;

/// Findings of one class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group<'a> {
    /// The class as reports name it.
    pub(super) class: &'a str,
    /// What it means; empty for a class that a newer program wrote.
    pub(super) meaning: &'static str,
    /// How many findings there are.
    pub(super) count: u64,
    /// Some of them, in the order given.
    pub(super) examples: Vec<&'a FailureLine>,
}

/// Groups findings by class, the most frequent first, what was left out by policy last; `examples_max` of each.
pub(super) fn groups<'a>(
    report: &'a Report,
    examples: &'a [FailureLine],
    examples_max: usize,
) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = report
        .failures
        .iter()
        .map(|(name, count)| {
            let class = Class::from_name(name);
            let meaning = class.map_or("", meaning);
            let of_class = examples.iter().filter(|line| line.class == *name);
            Group {
                class: name,
                meaning,
                count: *count,
                examples: of_class.take(examples_max).collect(),
            }
        })
        .collect();
    groups.sort_by_key(|group| (is_policy(group.class), std::cmp::Reverse(group.count)));
    groups
}

fn is_policy(name: &str) -> bool {
    matches!(Class::from_name(name), Some(Class::SpecialFile | Class::SymlinkSkipped))
}

/// What a class means.
pub(super) fn meaning(class: Class) -> &'static str {
    match class {
        Class::SpecialFile => "FIFO, socket or device: left out by policy",
        Class::SymlinkSkipped => "symbolic link: left out by --symlinks skip",
        Class::Unreadable => "the source could not be opened, listed or read",
        Class::Vanished => "gone since the source was listed",
        Class::SourceChanged => "changed each time that it was read",
        Class::LeavesRoot => "a link that leads out of the source",
        Class::NameNotRepresentable => "a name that no key can carry",
        Class::MetadataTooLarge => "more metadata than an object may have",
        Class::TooLarge => "larger than the largest object",
        Class::AccessDenied => "the store denied it",
        Class::Refused => "the store refused it",
        Class::ChecksumRefused => "the store computed another checksum",
        Class::StoreFault => "the store failed or was out of reach, again and again",
        Class::Missing => "the object is not there",
        Class::SizeMismatch => "the object has another size",
        Class::EtagMismatch => "the object has another entity tag than when it was written",
        Class::ContentMismatch => "the object has other bytes",
        Class::MetadataMismatch => "the object has other metadata",
        Class::Unverifiable => "the check could not be made",
        Class::WorkerFault => "a worker met an error of its own",
        Class::XattrNotRepresentable => {
            "an extended attribute that the dialect of --metadata cannot carry"
        }
        Class::SpecialNotRepresentable => {
            "a FIFO, socket or device that the dialect of --metadata cannot carry"
        }
        Class::BadLine => "a line of --files-from that names no entry to load",
    }
}
