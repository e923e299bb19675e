//! Policy: who may run what, and how much of it. `config/policy.yaml` on the default branch may only tighten what the
//! instance's own settings allow.

use serde::{Deserialize, Serialize};

use super::diagnostic::Faults;
use super::forge::Permission;
use super::ids::ModelName;
use super::manifest::{Network, Run};
use super::report::numbers::{count, plural, usd};
use super::sweep::plan::{RunLimits, Verdict};
use super::sweep::points::Limits;
use super::sweep::spec::{budget_usd, parallel};
use super::yaml::{Node, Placed, Read, Reader, read_word, record};

record! {
    /// What sweeps of this repository may do. It can only tighten what the instance's settings allow.
    pub(crate) struct RawPolicy {
        /// Most runs of one sweep.
        max_runs: Option<Placed<u64>>,
        /// Most runs at once.
        max_parallel: Option<Placed<u64>>,
        /// Most that one sweep may cost: `20 USD`.
        max_budget: Option<Placed<String>>,
        /// Who may start sweeps: `[write]` (default) or `[admin]`.
        allow: Option<Placed<Vec<Allowed>>>,
        /// Who may move channels by a comment or a deployment: `[write]` or `[admin]`; by default whoever may start sweeps.
        promote: Option<Placed<Vec<Allowed>>>,
        /// The only models that may be swept; all by default.
        models: Option<Vec<Placed<String>>>,
        /// Whether a pull request that changes a model compares it with its base by itself: `ask` (default) or `auto`.
        compare: Option<CompareStart>,
        /// Most new runs that such a comparison starts by itself, of both versions together; 100 by default.
        compare_runs: Option<u64>,
    }
}

/// How a comparison of versions starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CompareStart {
    /// When somebody says so.
    #[default]
    Ask,
    /// By itself.
    Auto,
}

impl Read for CompareStart {
    const EXPECTED: &'static str = "`ask` or `auto`";

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        read_word(node, reader, &[("ask", Self::Ask), ("auto", Self::Auto)])
    }
}

/// How many new runs does a comparison start by itself where the policy says `auto` and no number?
const COMPARE_RUNS: u64 = 100;

/// Who may start sweeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, schemars::JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub(crate) enum Allowed {
    /// Whoever may push.
    Write,
    /// Only administrators.
    Admin,
}

impl Read for Allowed {
    const EXPECTED: &'static str = "`write` or `admin`";

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        read_word(node, reader, &[("write", Self::Write), ("admin", Self::Admin)])
    }
}

/// What sweeps may do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Most runs of one sweep.
    pub max_runs: u64,
    /// Most runs at once; none sets no limit.
    pub max_parallel: Option<u32>,
    /// Most that one sweep may cost, in USD; none sets no limit.
    pub max_budget_usd: Option<f64>,
    /// What somebody must be allowed in the repository to start a sweep.
    pub permission: Permission,
    /// What somebody must be allowed there to move a channel by a comment or a deployment.
    pub promotion: Permission,
    /// The only models that may be swept; none allows all.
    pub models: Option<Vec<ModelName>>,
    /// How a comparison of versions starts.
    pub compare: CompareStart,
    /// Most new runs that a comparison starts by itself.
    pub compare_runs: u64,
}

impl Default for Policy {
    /// A million runs, started by whoever may push.
    fn default() -> Self {
        Self {
            max_runs: Limits::default().max_runs,
            max_parallel: None,
            max_budget_usd: None,
            permission: Permission::Write,
            promotion: Permission::Write,
            models: None,
            compare: CompareStart::Ask,
            compare_runs: COMPARE_RUNS,
        }
    }
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Plan, start, stop or compare sweeps.
    Sweep,
    /// Move a channel.
    Promote,
}

/// What policy looks at in a plan.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'p> {
    /// The model.
    pub model: &'p ModelName,
    /// Runs of the plan, the baseline's included.
    pub runs: u64,
    /// What they are estimated to cost, in USD.
    pub estimate_usd: Option<f64>,
    /// The limits that the sweep file sets.
    pub limits: &'p RunLimits,
}

/// What an executor can promise of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guarantees {
    /// The executor's name in the settings.
    pub executor: &'static str,
    /// Whether it can keep a run off the network.
    pub closed_network: bool,
    /// Whether it can give a run a GPU.
    pub gpus: bool,
}

impl Guarantees {
    /// What `run` asks for and the executor cannot promise, with what to do about it.
    #[must_use]
    pub fn missing(&self, run: &Run) -> Vec<String> {
        let executor = self.executor;
        let mut missing = Vec::new();
        if run.network == Network::None && !self.closed_network {
            missing.push(format!(
                "the model asks for `network: none`, which the `{executor}` executor cannot promise; write `network: open` \
                 or leave it out, or run it where the settings say `executor: docker`"
            ));
        }
        if run.resources.gpus > 0 && !self.gpus {
            missing.push(format!(
                "the model asks for {}, which the `{executor}` executor cannot give; write `gpu: 0` or leave it out of \
                 `run.resources`",
                plural(u64::from(run.resources.gpus), "GPU")
            ));
        }
        missing
    }
}

impl Policy {
    /// Reads the policy that lies at `path`.
    ///
    /// # Errors
    /// Every fault that was found.
    pub fn parse(path: &str, text: &str) -> Result<Self, Faults> {
        let (mut reader, raw) = Reader::record::<RawPolicy>(path, text)?;
        let policy = Self::checked(&raw, &mut reader);
        reader.finish(Some(policy))
    }

    fn checked(raw: &RawPolicy, reader: &mut Reader) -> Self {
        let default = Self::default();
        let max_runs = raw.max_runs.as_ref().map_or(default.max_runs, |max| max.value.min(default.max_runs));
        if let Some(max) = raw.max_runs.as_ref().filter(|max| max.value > default.max_runs) {
            reader.fault(
                max.place,
                format!("a policy may only tighten: at most {} runs are possible", default.max_runs),
                None,
            );
        }
        let permission = allowed(raw.allow.as_ref(), reader, "nobody could ever start a sweep");
        let promotion = allowed(raw.promote.as_ref(), reader, "nobody could ever move a channel");
        let (permission, promotion) = (permission.unwrap_or(default.permission), promotion.or(permission));
        let models = raw.models.as_ref().map(|models| {
            let read = models.iter().filter_map(|name| match ModelName::parse(&name.value) {
                Ok(model) => Some(model),
                Err(error) => {
                    reader.fault(name.place, error.to_string(), None);
                    None
                }
            });
            read.collect()
        });
        Self {
            max_runs,
            max_parallel: raw.max_parallel.as_ref().and_then(|number| parallel(number, reader)),
            max_budget_usd: raw.max_budget.as_ref().and_then(|text| budget_usd(text, reader)),
            permission,
            promotion: promotion.unwrap_or(default.promotion),
            models,
            compare: raw.compare.unwrap_or_default(),
            compare_runs: raw.compare_runs.unwrap_or(COMPARE_RUNS),
        }
    }

    /// How many new runs the comparison of one model may start by itself; none when it waits for a command.
    #[must_use]
    pub fn comparison_allowance(&self) -> Option<u64> {
        match self.compare {
            CompareStart::Ask => None,
            CompareStart::Auto => Some(self.compare_runs),
        }
    }

    /// This policy with whatever `other` has that is tighter.
    #[must_use]
    pub fn tightened_by(&self, other: &Self) -> Self {
        let models = match (&self.models, &other.models) {
            (Some(models), Some(others)) => {
                Some(models.iter().filter(|model| others.contains(model)).cloned().collect())
            }
            (models, others) => models.clone().or_else(|| others.clone()),
        };
        Self {
            max_runs: self.max_runs.min(other.max_runs),
            max_parallel: lower(self.max_parallel, other.max_parallel),
            max_budget_usd: lower(self.max_budget_usd, other.max_budget_usd),
            permission: self.permission.max(other.permission),
            promotion: self.promotion.max(other.promotion),
            models,
            compare: if self.compare == other.compare { self.compare } else { CompareStart::Ask },
            compare_runs: self.compare_runs.min(other.compare_runs),
        }
    }

    /// What the policy says of a plan.
    #[must_use]
    pub fn verdict(&self, asked: Asked<'_>) -> Verdict {
        let mut reasons = Vec::new();
        if asked.runs > self.max_runs {
            reasons.push(format!("it has {}; the policy allows {}", plural(asked.runs, "run"), count(self.max_runs)));
        }
        if self.models.as_ref().is_some_and(|models| !models.contains(asked.model)) {
            reasons.push(format!("the policy does not list the model `{}`", asked.model));
        }
        if let (Some(estimate), Some(budget)) = (asked.estimate_usd, self.limits(asked.limits).budget_usd)
            && estimate > budget
        {
            let whose = if asked.limits.budget_usd == Some(budget) { "its budget is" } else { "the policy allows" };
            reasons.push(format!("it would cost about {}; {whose} {}", usd(estimate), usd(budget)));
        }
        if reasons.is_empty() { Verdict::NeedsCommand } else { Verdict::Refused { reasons } }
    }

    /// Whether somebody with this permission may do that.
    #[must_use]
    pub fn permits(&self, act: Act, permission: Permission) -> bool {
        permission
            >= match act {
                Act::Sweep => self.permission,
                Act::Promote => self.promotion,
            }
    }

    /// A sweep's limits, no looser than the policy's.
    #[must_use]
    pub fn limits(&self, asked: &RunLimits) -> RunLimits {
        RunLimits {
            max_parallel: lower(asked.max_parallel, self.max_parallel),
            max_failures: asked.max_failures,
            budget_usd: lower(asked.budget_usd, self.max_budget_usd),
            ..asked.clone()
        }
    }

    /// How large a design may be where the instance allows `most` runs.
    #[must_use]
    pub fn design_limits(&self, most: u64) -> Limits {
        let whose = |runs: u64, whose| Limits { max_runs: runs, whose };
        if self.max_runs < most { whose(self.max_runs, "the policy") } else { whose(most, "this instance") }
    }
}

/// The least permission of a list; none where there is no list, or a faulty one.
fn allowed(list: Option<&Placed<Vec<Allowed>>>, reader: &mut Reader, if_empty: &str) -> Option<Permission> {
    let list = list?;
    if list.value.is_empty() {
        reader.fault(list.place, if_empty, Some("write `[write]` or `[admin]`".to_owned()));
        return None;
    }
    Some(if list.value.contains(&Allowed::Write) { Permission::Write } else { Permission::Admin })
}

fn lower<T: PartialOrd + Copy>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other < one { other } else { one }),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::yaml::tests::picture;

    const POLICY: &str =
        "max_runs: 500\nmax_parallel: 20\nmax_budget: 20 USD\nallow: [admin]\nmodels: [urban/simple-tax]\n";

    fn parsed(text: &str) -> Result<Policy, String> {
        Policy::parse("config/policy.yaml", text).map_err(|faults| picture(&faults))
    }

    fn refused(
        policy: &Policy,
        model: &str,
        runs: u64,
        (budget_usd, estimate_usd): (Option<f64>, Option<f64>),
    ) -> String {
        let (model, limits) = (ModelName::parse(model).unwrap(), RunLimits { budget_usd, ..RunLimits::default() });
        match policy.verdict(Asked { model: &model, runs, estimate_usd, limits: &limits }) {
            Verdict::NeedsCommand => String::new(),
            Verdict::Refused { reasons } => reasons.join("; "),
        }
    }

    #[test]
    fn a_policy_refuses_what_goes_beyond_it_and_gives_every_reason() {
        let policy = parsed(POLICY).unwrap();
        assert_eq!(refused(&policy, "urban/simple-tax", 500, (Some(20.0), Some(20.0))), "");
        assert_eq!(refused(&policy, "urban/simple-tax", 500, (Some(50.0), None)), "");
        insta::assert_snapshot!(refused(&policy, "psl/other", 501, (Some(50.0), Some(20.5))), @"it has 501 runs; the policy allows 500; the policy does not list the model `psl/other`; it would cost about 20.50 USD; the policy allows 20 USD");
        insta::assert_snapshot!(refused(&policy, "urban/simple-tax", 5, (Some(0.5), Some(0.75))), @"it would cost about 0.75 USD; its budget is 0.5 USD");
        assert_eq!(refused(&Policy::default(), "psl/other", 501, (None, Some(20.5))), "");
        for act in [Act::Sweep, Act::Promote] {
            assert!(policy.permits(act, Permission::Admin) && !policy.permits(act, Permission::Write));
            let open = Policy::default();
            assert!(open.permits(act, Permission::Write) && !open.permits(act, Permission::Read));
        }
        let careful = parsed("promote: [admin]\n").unwrap();
        assert!(careful.permits(Act::Sweep, Permission::Write) && !careful.permits(Act::Promote, Permission::Write));
        let both = Policy::default().tightened_by(&careful);
        assert!(!both.permits(Act::Promote, Permission::Write) && both.permits(Act::Promote, Permission::Admin));
        let other = parsed("allow: [admin]\npromote: [write]\n").unwrap();
        assert!(!other.permits(Act::Sweep, Permission::Write) && other.permits(Act::Promote, Permission::Write));
        assert!(parsed("promote: []\n").unwrap_err().contains("nobody could ever move a channel"));
    }

    #[test]
    fn a_repository_s_policy_only_tightens() {
        let host = Policy { max_runs: 100, max_budget_usd: Some(50.0), ..Policy::default() };
        let both = host.tightened_by(&parsed(POLICY).unwrap());
        assert_eq!((both.max_runs, both.max_parallel, both.max_budget_usd), (100, Some(20), Some(20.0)));
        assert_eq!(both.permission, Permission::Admin);
        let limits = both.limits(&RunLimits { max_parallel: Some(50), ..RunLimits::default() });
        assert_eq!((limits.max_parallel, limits.budget_usd), (Some(20), Some(20.0)));
        assert_eq!(both.design_limits(1_000), Limits { max_runs: 100, whose: "the policy" });
        assert_eq!(both.design_limits(100).whose, "this instance");
        assert_eq!(parsed("allow: [admin, write]\n").unwrap().permission, Permission::Write);
    }

    #[test]
    fn faults_of_a_policy_have_their_places() {
        insta::assert_snapshot!(parsed("max_run: 5\nmax_parallel: 0\nmax_budget: 20\nallow: [read]\nmodels: [simple]\n").unwrap_err(), @r"
        config/policy.yaml:1:1: unknown key `max_run` (hint: did you mean `max_runs`?)
        | max_run: 5
        | ^^^^^^^
        config/policy.yaml:4:9: expected `write` or `admin`, found `read`
        | allow: [read]
        |         ^^^^
        ");
        insta::assert_snapshot!(parsed("max_runs: 5000000\nmax_parallel: 0\nmax_budget: 20\nallow: []\nmodels: [simple]\n").unwrap_err(), @r"
        config/policy.yaml:1:11: a policy may only tighten: at most 1000000 runs are possible
        | max_runs: 5000000
        |           ^^^^^^^
        config/policy.yaml:2:15: `max_parallel` must be at least 1 and fit into 32 bits
        | max_parallel: 0
        |               ^
        config/policy.yaml:3:13: `20` is not an amount of money (hint: write the amount and its currency: `2 USD`)
        | max_budget: 20
        |             ^^
        config/policy.yaml:4:1: nobody could ever start a sweep (hint: write `[write]` or `[admin]`)
        | allow: []
        | ^^^^^
        config/policy.yaml:5:10: model name `simple` must be written `owner/title`
        | models: [simple]
        |          ^^^^^^
        ");
    }
}
