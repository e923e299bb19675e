//! From runs that shall be executed to the jobs that execute them, for the executor that this instance has.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::{Engine, Planned};
use crate::domain::manifest::Run;
use crate::domain::sweep::packing::{PACK, Packing};
use crate::edge::artifacts::directory::ArtifactKey;
use crate::runner::{CONTRACT, JobSpec};

/// Runs that shall be executed.
pub(super) struct Work<'a> {
    /// The plan that they are of.
    pub(super) planned: &'a Planned,
    /// How they run.
    pub(super) run: Run,
    /// Where they are listed.
    pub(super) slice: &'a ArtifactKey,
    /// How many there are.
    pub(super) runs: u64,
    /// How long one takes on the average, in milliseconds, where this sweep has measured it already.
    pub(super) run_ms: Option<u64>,
    /// Where jobs that share the slice say how far they are; none where one job shall do everything.
    pub(super) cursor: Option<ArtifactKey>,
}

impl Engine {
    /// The jobs that do `work`, in the places that `place` gives by number, from 1: for processes one job that uses all
    /// slots, for containers several that share the work. The inner error is the user's: why there can be none.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) async fn jobs_for(
        &self,
        work: Work<'_>,
        place: impl Fn(u32) -> Result<ArtifactKey>,
    ) -> Result<Result<Vec<JobSpec>, String>> {
        let outside = &self.outside;
        let (plan, version) = (&work.planned.summary, &work.planned.version);
        if let Some(reason) = outside.refusal(version) {
            return Ok(Err(reason));
        }
        let parallel = plan.limits.max_parallel.map_or(outside.slots, |most| most.min(outside.slots)).max(1);
        let job = JobSpec {
            contract: CONTRACT,
            place: outside.artifacts.path(&place(1)?),
            scratch: outside.scratch.clone(),
            model: PathBuf::new(),
            slice: outside.artifacts.path(work.slice),
            parallel,
            slots: None,
            run: work.run,
            outputs: work.planned.manifest.outputs.clone(),
            search_path: outside.search_path.clone(),
            environment: BTreeMap::new(),
            image: None,
            cursor: None,
        };
        let Some(image) = &version.image else {
            let Some(model) = outside.builder.built(&version.executable) else {
                return Ok(Err(format!(
                    "version `{}` of `{}` is registered, but what was built for it is no longer on this machine; build it again",
                    plan.version, plan.model
                )));
            };
            let around = work.planned.manifest.build.surroundings(&model.to_string_lossy(), &outside.search_path);
            let (search_path, environment) = (around.search_path, around.variables);
            return Ok(Ok(vec![JobSpec { model, search_path, environment, ..job }]));
        };
        let job = job.within(image);
        let Some(cursor) = work.cursor else { return Ok(Ok(vec![job])) };
        let run_ms = match work.run_ms {
            Some(run_ms) => Some(run_ms),
            None => self.store.mean_wall_ms(&plan.model).await?,
        };
        let pack = plan.limits.pack_ms.map_or(PACK, Duration::from_millis);
        let packing = Packing { runs: work.runs, run_ms, pack, parallel };
        let job = JobSpec { cursor: Some(outside.artifacts.path(&cursor)), ..job };
        let jobs = (1..=packing.jobs())
            .map(|number| Ok(JobSpec { place: outside.artifacts.path(&place(number)?), ..job.clone() }));
        Ok(Ok(jobs.collect::<Result<_>>()?))
    }
}
