//! `modelship sweep run --dry-run`: what would be done. Nothing is built, registered or run.

use std::path::Path;

use serde_json::json;

use super::show::show_plan;
use super::{Asked, plan_with, read_asked, sweep_state};
use crate::cli::arguments::SweepRun;
use crate::cli::output::{CliError, Output};
use crate::cli::session::Session;
use crate::domain::ids::VersionId;
use crate::domain::report::numbers;
use crate::domain::sweep::plan::{PlanSummary, Verdict};
use crate::domain::sweep::points::{Design, Limits};
use crate::domain::sweep::state::SweepState;
use crate::edge::source::Source;
use crate::engine::{FilesAt, Outlook};
use crate::settings::Settings;

/// What the model needs before its runs can begin.
enum Ready {
    /// A version that its file names, or that is registered, or that runs the same.
    With(Option<VersionId>),
    /// It would be built first.
    AfterBuild { reasons: Vec<String> },
}

/// Shows what `modelship sweep run` would do.
pub(super) async fn run(settings: Settings, run: &SweepRun, cwd: &Path, output: &Output) -> Result<(), CliError> {
    let session = Session::open(settings).await?;
    let asked = read_asked(&session, &run.file, cwd)?;
    let dirty = if run.file.dirty { " --dirty" } else { "" };
    let command = format!("modelship sweep run {}{dirty}", run.file.file.display());
    match ready(&session, &asked).await? {
        Ready::With(version) => {
            let plan = plan_with(&session, &asked, version).await?.summary;
            let state = sweep_state(&session, &plan.id).await?;
            session.close().await?;
            show(&plan, state.as_ref(), run, output)?;
        }
        Ready::AfterBuild { reasons } => {
            let runs = count(&session, &asked)?;
            session.close().await?;
            if output.is_json() {
                output.json(&json!({"would": "build", "reasons": reasons, "runs": runs, "plan": null}))?;
            } else {
                let model = &asked.spec.model;
                output.line(&format!("{model} would be built and tested first: {}", reasons.join("; ")))?;
                output.line(&format!(
                    "then {} would be planned; how many of them are known already is seen once it is built",
                    numbers::plural(runs, "run")
                ))?;
            }
        }
    }
    output.next_step(&command);
    Ok(())
}

async fn ready(session: &Session, asked: &Asked) -> Result<Ready, CliError> {
    if asked.spec.reference.is_some() {
        return Ok(Ready::With(None));
    }
    let models = asked.workspace.models(std::slice::from_ref(&asked.spec.model))?;
    let Some(model) = models.first() else {
        return Err(CliError::User(format!("there is no model `{}` here", asked.spec.model)));
    };
    match session.engine.build_outlook(&model.model, &model.source).await? {
        Outlook::Known(version) | Outlook::Same(version) => Ok(Ready::With(Some(version.id))),
        Outlook::Build { reasons } => Ok(Ready::AfterBuild { reasons }),
        Outlook::Refused(faults) => Err(CliError::Faults(faults)),
    }
}

/// How many runs the sweep has.
fn count(session: &Session, asked: &Asked) -> Result<u64, CliError> {
    let models = asked.workspace.models(std::slice::from_ref(&asked.spec.model))?;
    let Some(model) = models.first() else { return Ok(0) };
    let source = Source::open(&asked.workspace.root).map_err(super::from_source)?;
    let files = FilesAt::new(&source, &asked.workspace.commit);
    let limits = Limits { max_runs: session.settings.max_runs, ..Limits::default() };
    Ok(Design::new(&asked.spec, &model.manifest, &files, limits).map_err(CliError::Faults)?.runs())
}

fn show(plan: &PlanSummary, state: Option<&SweepState>, run: &SweepRun, output: &Output) -> Result<(), CliError> {
    let failed: u64 = state.map_or(0, |state| state.report().failed.values().sum());
    let again = if run.retry_failed { failed } else { 0 };
    let would = match (&plan.verdict, state) {
        (Verdict::Refused { reasons }, _) => format!("policy refuses this plan: {}", reasons.join("; ")),
        (_, Some(state)) if !state.phase.is_terminal() => {
            format!("this sweep is {} already and would be followed to its end", state.phase.words())
        }
        (_, _) if plan.counts.new_runs() == 0 => "every run is known: only the analysis would be written".to_owned(),
        (_, _) => format!("{} would be executed", numbers::plural(plan.counts.new_runs(), "run")),
    };
    if output.is_json() {
        output
            .json(&json!({"would": "run", "what": would, "plan": plan, "failed_before": failed, "retried": again}))?;
    } else {
        show_plan(plan, output)?;
        output.line(&would)?;
        if failed > 0 {
            let words = if run.retry_failed { "would be done again" } else { "would stay so without `--retry-failed`" };
            output.line(&format!("{} before {words}", numbers::plural(failed, "failed run")))?;
        }
    }
    match &plan.verdict {
        Verdict::Refused { .. } => Err(CliError::Told),
        _ => Ok(()),
    }
}
