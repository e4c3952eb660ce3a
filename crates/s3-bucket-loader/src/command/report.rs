//! `report`: what became of a run, from its ledger alone.

use s3bl_core::report::{Conclusion, Report};
use s3bl_port::ledger::Ledger;

use super::Stage;
use super::load::{exit_of, give_report};
use crate::args::{ReportArgs, ReportFormat};
use crate::exit::Exit;
use crate::face::report::RunFilesError;
use crate::failure::CommandFailure;
use crate::home::ledger_failure;
use crate::lead::Led;
use crate::{face, talk};

/// `report RUN`.
pub(crate) fn report(stage: &Stage, args: &ReportArgs) -> Result<Exit, CommandFailure> {
    let run = stage.home.name(&args.run)?;
    let ledger = stage.home.look(&run)?;
    let led = report_of(&ledger)?;
    match args.format {
        ReportFormat::Text => give_report(stage, &led),
        ReportFormat::Json => talk::give(&face::report::json(&led.report)),
        ReportFormat::Csv => {
            let mut stdout = std::io::stdout().lock();
            match face::report::write_csv(&mut stdout, &ledger) {
                Ok(()) => {}
                // A reader that went away (`| head`) has seen enough.
                Err(RunFilesError::Io { source, .. })
                    if source.kind() == std::io::ErrorKind::BrokenPipe => {}
                Err(error) => {
                    let error = anyhow::anyhow!(error).context("write the report");
                    return Err(CommandFailure::could_not_run(error));
                }
            }
        }
    }
    Ok(exit_of(led.report.exit_code))
}

/// Says what became of a run that no process leads.
pub(crate) fn report_of(ledger: &dyn Ledger) -> Result<Led, CommandFailure> {
    let header = ledger.header().map_err(ledger_failure)?;
    let sums = ledger.recover().map_err(ledger_failure)?;
    let phases = ledger.phases().map_err(ledger_failure)?;
    let ending = Conclusion::remembered_ending(&header.settings, &sums);
    let conclusion = Conclusion::of(&header.settings, &sums, &ending, sums.uploads.len() as u64);
    let report = Report::of(&header, &sums, &phases, &ending, &conclusion);
    let examples = face::report::top_failures(ledger).map_err(ledger_failure)?;
    Ok(Led { run: header.run, report, trouble: None, examples })
}
