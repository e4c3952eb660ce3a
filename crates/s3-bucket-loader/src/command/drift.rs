//! `drift`: what of a source has changed since a run took it.

use s3bl_port::ledger::Ledger as _;

use super::Stage;
use crate::args::DriftArgs;
use crate::exit::Exit;
use crate::face::words;
use crate::failure::CommandFailure;
use crate::home::ledger_failure;
use crate::lead::Led;
use crate::wiring::open_source;
use crate::{drift, face, talk};

/// `drift RUN`.
pub(crate) async fn drift(stage: &Stage, args: &DriftArgs) -> Result<Exit, CommandFailure> {
    let run = stage.home.name(&args.run)?;
    let ledger = stage.home.look(&run)?;
    let header = ledger.header().map_err(ledger_failure)?;
    if ledger.recover().map_err(ledger_failure)?.toc.is_none() {
        let error = anyhow::anyhow!("the run {run} has not listed its source to the end");
        let next = stage.home.place(&run).command(&format!("resume {run}"));
        return Err(CommandFailure::could_not_run(error).advise(next));
    }
    let source = open_source(&header.settings, None).await?;
    let place = stage.home.place(&run);
    let found = drift::look(source.as_ref(), &ledger, &header, &place)?;
    if stage.talk.json {
        let json = serde_json::to_string_pretty(&found).map_err(CommandFailure::could_not_run)?;
        talk::give(&format!("{json}\n"));
    } else if !stage.talk.quiet {
        let (source, told) =
            (words::printable(&header.settings.source.shown()), face::report::drift(&found));
        let list = place.folder().join("drift.ndjson");
        talk::give(&format!("{source}: {told}\n  list  {}\n", list.display()));
    }
    Ok(if found.is_none() { Exit::Clean } else { Exit::Mismatch })
}

/// Looks at the end of a run, if that was asked for, and adds what is found to its report.
pub(super) async fn at_end(
    stage: &Stage,
    led: Led,
    is_wanted: bool,
) -> Result<Led, CommandFailure> {
    if !is_wanted || !led.report.toc.complete {
        return Ok(led);
    }
    let ledger = stage.home.look(&led.run)?;
    let header = ledger.header().map_err(ledger_failure)?;
    let source = open_source(&header.settings, None).await?;
    let place = stage.home.place(&led.run);
    let mut led = led;
    led.report.drift = Some(drift::look(source.as_ref(), &ledger, &header, &place)?);
    face::report::write_run_files(&place, &led.report, &ledger)
        .map_err(CommandFailure::could_not_run)?;
    Ok(led)
}
