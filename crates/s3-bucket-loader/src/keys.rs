//! Static credentials of the original's configuration file.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::config::Merged;
use crate::failure::CommandFailure;

/// The variables that everything which speaks to AWS reads.
const VARIABLES: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];

/// Starts this program anew with the credentials of a file in its environment, where nothing shows them: this does not
/// return then. Variables that are set already, and a session token beside them, win.
pub(crate) fn enter(merged: &Merged) -> Result<(), CommandFailure> {
    let Some((name, secret)) = &merged.keys else { return Ok(()) };
    if VARIABLES.iter().any(|variable| std::env::var_os(variable).is_some()) {
        return Ok(());
    }
    let program = std::env::current_exe().map_err(CommandFailure::could_not_run)?;
    let arguments = std::env::args_os();
    let error = Command::new(program)
        .args(arguments.skip(1))
        .envs(VARIABLES.into_iter().zip([name, secret]))
        .exec();
    Err(CommandFailure::could_not_run(anyhow::anyhow!(error).context("start this program anew")))
}
