//! What another program is asked to do as copier.

use anyhow::anyhow;
use s3bl_core::settings::{
    CopierKind, CopierSettings, HardLinkPolicy, RunSettings, SourceLocation, SymlinkPolicy,
};

use crate::args::{Copier, TreeArgs};
use crate::failure::CommandFailure;

/// Reads what brings files into a directory.
pub(super) fn of(args: &TreeArgs, at_once: Option<u32>) -> Result<CopierSettings, CommandFailure> {
    let options = args.copier_options.as_deref().unwrap_or_default();
    let options = shlex::split(options).ok_or_else(|| {
        CommandFailure::usage(anyhow!("--copier-options `{options}` ends within a quotation"))
    })?;
    Ok(CopierSettings {
        kind: match args.copier {
            Copier::Native => CopierKind::Native,
            Copier::Rsync => CopierKind::Rsync,
            Copier::Cp => CopierKind::Cp,
        },
        options,
        at_once: at_once.unwrap_or_else(programs_at_once),
        attempts: args.copier_attempts,
        pause: args.copier_pause,
        limit: args.copier_timeout,
        tolerated: args.copier_tolerate.clone(),
    })
}

/// Programs that run at once unless a number is named: each keeps a core busy for a moment.
fn programs_at_once() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(2 * cores).unwrap_or(u32::MAX)
}

/// What cannot be done by another program.
pub(super) fn faults(settings: &RunSettings) -> Vec<String> {
    let copier = &settings.transfer.copier;
    let Some(program) = copier.kind.program() else {
        let is_told = !copier.options.is_empty() || !copier.tolerated.is_empty();
        let words = "--copier-options and --copier-tolerate are for --copier rsync or cp";
        return is_told.then(|| words.to_owned()).into_iter().collect();
    };
    let select = &settings.select;
    let faults = [
        (settings.destination.bucket().is_some(), "writes to directories only"),
        (
            !matches!(settings.source, SourceLocation::Directory(_)),
            "takes files of one directory only",
        ),
        (
            select.symlinks == SymlinkPolicy::Follow,
            "takes links as they are: leave --symlinks follow out",
        ),
        (
            settings.transfer.hard_links == HardLinkPolicy::Copy,
            "copies each name: leave --hard-links copy out",
        ),
    ];
    let faults = faults.into_iter().filter(|(is_fault, _)| *is_fault);
    faults.map(|(_, words)| format!("--copier {program} {words}")).collect()
}
