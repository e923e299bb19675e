//! What can be typed. Only shapes; what the verbs do is in their own files.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::init::ActionsSource;
use crate::domain::ids::{ChannelName, ModelName, RepositoryName};

/// Publish simulation models from git and run parameter sweeps of them.
#[derive(Debug, Parser)]
#[command(name = "modelship", version, max_term_width = 100)]
pub(crate) struct Arguments {
    /// What applies to every verb.
    #[command(flatten)]
    pub(crate) global: Global,
    /// The verb.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What applies to every verb.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// The settings file [default: settings.yaml in the state directory, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) settings: Option<PathBuf>,
    /// Where database, artifacts and built models lie [default: .modelship in the repository]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub(crate) output: OutputFormat,
    /// Say more of what is done; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// Tables and sentences for people
    Text,
    /// One JSON document on standard output
    Json,
    /// As text, with annotations, step outputs and a job summary for GitHub Actions
    Github,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Begin: a model in this folder, a hub of models, or a local forge
    Init(Init),
    /// Check manifests, sweep files and the policy
    Validate(Validate),
    /// Say which models and sweep files differ from an earlier commit
    Changed(Changed),
    /// Build and test models, and register the versions
    Build(Build),
    /// Run the declared tests of models
    Test(Test),
    /// Push the images of models that were built here to a registry
    Push(Push),
    /// Offer an image that a workflow built and pushed to the server
    Register(Register),
    /// List the models in the registry
    Models,
    /// List the versions of a model, or show one
    Versions(Versions),
    /// Move a channel to a version, or back
    Promote(Promote),
    /// Plan and run sweeps, and look at their results
    Sweep {
        /// What to do.
        #[command(subcommand)]
        verb: SweepVerb,
    },
    /// Do a past run again here, and say whether it leaves the same
    Replay(Replay),
    /// Show what a run or a build printed
    Logs(Logs),
    /// Pull requests on a local forge
    Pr {
        /// The repository on the forge [default: the one that `origin` of this clone points to]
        #[arg(long, global = true, value_name = "OWNER/NAME")]
        repository: Option<RepositoryName>,
        /// The forge's directory [default: the settings' forge, or where `origin` lies]
        #[arg(long, global = true, value_name = "DIR")]
        forge: Option<PathBuf>,
        /// In whose name
        #[arg(long = "as", global = true, value_name = "LOGIN")]
        login: Option<String>,
        /// What to do.
        #[command(subcommand)]
        verb: PrVerb,
    },
    /// Speak to GitHub as an App of your own
    GithubApp {
        /// What to do.
        #[command(subcommand)]
        verb: GithubAppVerb,
    },
    /// Receive webhooks, build, run and answer
    Serve(Serve),
    /// Show what waits, who works on what, and what was given up
    Queue,
    /// Check everything that this instance needs, and say what to do
    Doctor,
    /// Print a completion script for a shell
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page, or write one for each verb
    Man {
        /// Write `modelship.1` and a page for each verb into this folder
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
    /// Tell the server of a push; the local forge's hook calls it
    #[command(hide = true)]
    ForgeHook(ForgeHook),
}

/// `modelship github-app`.
#[derive(Debug, Subcommand)]
pub(crate) enum GithubAppVerb {
    /// Make a GitHub App in your browser, and write the settings and secrets of a server that is it
    Create(CreateApp),
}

/// `modelship github-app create`.
#[derive(Debug, Args)]
pub(crate) struct CreateApp {
    /// The address at which GitHub will reach the server: `https://models.example.org`
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,
    /// The App's name, which nobody else on GitHub may have
    #[arg(long, default_value = "modelship")]
    pub(crate) name: String,
    /// The organization that will own the App [default: you]
    #[arg(long, value_name = "LOGIN")]
    pub(crate) organization: Option<String>,
    /// Where to write settings, private key and webhook secret
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) to: PathBuf,
    /// The address of the page that your browser opens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// GitHub's pages, for an Enterprise Server
    #[arg(long, value_name = "URL", default_value = "https://github.com")]
    pub(crate) github: String,
    /// GitHub's API, for an Enterprise Server
    #[arg(long, value_name = "URL", default_value = "https://api.github.com")]
    pub(crate) api: String,
}

/// `modelship init`.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The model's name; its folder is the current one [default: you and the folder's name]
    #[arg(value_name = "OWNER/TITLE")]
    pub(crate) model: Option<ModelName>,
    /// Make a hub repository (config, models, sweeps) in this folder instead
    #[arg(long, value_name = "DIR", conflicts_with_all = ["model", "forge"])]
    pub(crate) hub: Option<PathBuf>,
    /// With --hub: where its workflows take modelship's actions from
    #[arg(long, value_name = "OWNER/NAME@REF", requires = "hub", default_value_t = ActionsSource::default())]
    pub(crate) actions: ActionsSource,
    /// Make a local forge (bare repositories with pull requests) in this folder instead
    #[arg(long, value_name = "DIR", conflicts_with = "model")]
    pub(crate) forge: Option<PathBuf>,
    /// With --forge: the first repository on it
    #[arg(long, value_name = "OWNER/NAME", requires = "forge", default_value = "example/hub")]
    pub(crate) repository: RepositoryName,
    /// With --forge: the address that the server will listen on
    #[arg(long, value_name = "ADDRESS", requires = "forge", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
}

/// `modelship validate`.
#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// Files to check [default: every manifest, sweep file and policy of the repository]
    pub(crate) files: Vec<PathBuf>,
    /// Write the JSON Schemas of all files into this folder instead
    #[arg(long, value_name = "DIR", conflicts_with = "files")]
    pub(crate) schemas: Option<PathBuf>,
}

/// `modelship changed`.
#[derive(Debug, Args)]
pub(crate) struct Changed {
    /// Compare with this commit, branch or tag; forty zeros mean that there was nothing before
    #[arg(long, value_name = "COMMIT", conflicts_with = "base")]
    pub(crate) since: Option<String>,
    /// Compare with where HEAD left this commit or branch, as a pull request does
    #[arg(long, value_name = "COMMIT")]
    pub(crate) base: Option<String>,
}

/// `modelship push`.
#[derive(Debug, Args)]
pub(crate) struct Push {
    /// The model
    #[arg(value_name = "OWNER/TITLE")]
    pub(crate) model: ModelName,
    /// Where to, for instance `registry.example.org/models` [default: `docker.registry` of the settings]
    #[arg(long, value_name = "REGISTRY")]
    pub(crate) to: Option<String>,
}

/// `modelship register`.
#[derive(Debug, Args)]
pub(crate) struct Register {
    /// The model
    #[arg(value_name = "OWNER/TITLE")]
    pub(crate) model: ModelName,
    /// What was pushed, as `push` says: `registry.example.org/models/urban/simple-tax@sha256:...`
    #[arg(long, value_name = "IMAGE")]
    pub(crate) image: String,
    /// The server, spelled as its own `server.url`: `https://models.example.org`
    #[arg(long, value_name = "URL")]
    pub(crate) server: String,
    /// How long to wait for the server's word
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
}

/// `modelship build`.
#[derive(Debug, Args)]
pub(crate) struct Build {
    /// Models [default: every model of the repository]
    #[arg(value_name = "OWNER/TITLE")]
    pub(crate) models: Vec<ModelName>,
    /// Take the work tree as it is, with changes that no commit holds; such a version cannot be promoted
    #[arg(long)]
    pub(crate) dirty: bool,
    /// Say what would be built and why, and build nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `modelship test`.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Models [default: every model of the repository]
    #[arg(value_name = "OWNER/TITLE")]
    pub(crate) models: Vec<ModelName>,
    /// Take the work tree as it is, with changes that no commit holds
    #[arg(long)]
    pub(crate) dirty: bool,
}

/// `modelship replay`.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The beginning of the run's id, at least six characters
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// How the two runs are compared.
    #[command(flatten)]
    pub(crate) how: ReplayHow,
}

/// `modelship sweep replay`.
#[derive(Debug, Args)]
pub(crate) struct SweepReplay {
    /// The sweep's id or name
    pub(crate) sweep: String,
    /// Only a random sample of this many runs
    #[arg(long, value_name = "N")]
    pub(crate) sample: Option<usize>,
    /// What decides which runs the sample has
    #[arg(long, value_name = "S", default_value_t = 1, requires = "sample")]
    pub(crate) seed: u64,
    /// How the two runs are compared.
    #[command(flatten)]
    pub(crate) how: ReplayHow,
}

/// How a replay is compared with what was recorded.
#[derive(Debug, Args)]
pub(crate) struct ReplayHow {
    /// Let numbers differ by this share of the larger one, for instance 1e-9 [default: not at all]
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, hide_default_value = true)]
    pub(crate) rel: f64,
    /// Keep the replay's records and files in this new folder
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
}

/// `modelship logs`.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// The beginning of a run's id; or a model, for the log of its last build
    #[arg(value_name = "RUN|OWNER/TITLE[@COMMIT]", required_unless_present = "build")]
    pub(crate) what: Option<String>,
    /// Show the log of the last build of a model, or of its build at a commit
    #[arg(long, value_name = "OWNER/TITLE[@COMMIT]", conflicts_with_all = ["what", "follow"])]
    pub(crate) build: Option<String>,
    /// Print what a run that is under way prints, until it ends
    #[arg(long, short)]
    pub(crate) follow: bool,
}

/// `modelship versions`.
#[derive(Debug, Args)]
pub(crate) struct Versions {
    /// The model
    #[arg(value_name = "OWNER/TITLE")]
    pub(crate) model: ModelName,
    /// Show this version whole: a channel, a version, a commit or a digest
    pub(crate) version: Option<String>,
    /// Show where this channel pointed, and why it moved
    #[arg(long, value_name = "CHANNEL", conflicts_with = "version")]
    pub(crate) history: Option<ChannelName>,
}

/// `modelship promote`.
#[derive(Debug, Args)]
pub(crate) struct Promote {
    /// The model
    #[arg(value_name = "OWNER/TITLE")]
    pub(crate) model: ModelName,
    /// Where to: a channel, a version, a commit or a digest
    #[arg(required_unless_present = "back")]
    pub(crate) version: Option<String>,
    /// The channel that moves
    #[arg(long, value_name = "CHANNEL", default_value = "production")]
    pub(crate) to: ChannelName,
    /// Move the channel back to where it pointed before
    #[arg(long, conflicts_with = "version")]
    pub(crate) back: bool,
    /// Say what would change, and move nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `modelship sweep ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum SweepVerb {
    /// Show what a sweep file would run, and run nothing
    Plan(SweepFile),
    /// Run a sweep file here, and wait for its analysis
    Run(SweepRun),
    /// Show how sweeps stand
    Status {
        /// The sweep's id or name [default: all]
        sweep: Option<String>,
    },
    /// Show a sweep's results, or how they differ from another sweep's
    Results(SweepResults),
    /// Do a sweep's runs again here, and say which leave the same
    Replay(SweepReplay),
    /// Stop a sweep; what is done stays known
    Cancel {
        /// The sweep's id or name
        sweep: String,
    },
    /// Do a sweep's failed and missing runs again, and wait for its analysis
    Retry {
        /// The sweep's id or name
        sweep: String,
    },
}

/// A sweep file.
#[derive(Debug, Args)]
pub(crate) struct SweepFile {
    /// The sweep file
    pub(crate) file: PathBuf,
    /// Take the work tree as it is, with changes that no commit holds
    #[arg(long)]
    pub(crate) dirty: bool,
}

/// `modelship sweep run`.
#[derive(Debug, Args)]
pub(crate) struct SweepRun {
    /// The file.
    #[command(flatten)]
    pub(crate) file: SweepFile,
    /// Do runs that failed again
    #[arg(long)]
    pub(crate) retry_failed: bool,
    /// Say what would be done, and run and build nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `modelship sweep results`.
#[derive(Debug, Args)]
pub(crate) struct SweepResults {
    /// The sweep's id or name
    pub(crate) sweep: String,
    /// Compare with this sweep
    #[arg(long, value_name = "SWEEP")]
    pub(crate) against: Option<String>,
    /// How many rows of the table to show
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub(crate) head: usize,
    /// Bring the kept files of a random sample of this many runs into a folder
    #[arg(long, value_name = "N", conflicts_with = "against")]
    pub(crate) sample: Option<usize>,
    /// What decides which runs the sample has
    #[arg(long, value_name = "S", default_value_t = 1, requires = "sample")]
    pub(crate) seed: u64,
    /// The folder, which must be new or empty [default: the sweep's name and `-sample`]
    #[arg(long, value_name = "DIR", requires = "sample")]
    pub(crate) to: Option<PathBuf>,
}

/// `modelship pr ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum PrVerb {
    /// Open a pull request
    Open {
        /// Its title
        #[arg(long)]
        title: String,
        /// The branch that holds the change [default: the current one]
        #[arg(long, value_name = "BRANCH")]
        head: Option<String>,
        /// The branch that the change is for
        #[arg(long, value_name = "BRANCH", default_value = "main")]
        base: String,
    },
    /// List pull requests
    List {
        /// Also closed and merged ones
        #[arg(long)]
        all: bool,
    },
    /// Show a pull request with its comments and statuses
    Show {
        /// Its number
        number: u64,
    },
    /// Comment, for instance `/modelship run`
    Comment {
        /// Its number
        number: u64,
        /// The comment
        #[arg(allow_hyphen_values = true)]
        body: String,
    },
    /// Close without merging
    Close {
        /// Its number
        number: u64,
    },
    /// Open a closed one again
    Reopen {
        /// Its number
        number: u64,
    },
    /// Merge
    Merge {
        /// Its number
        number: u64,
    },
}

/// `modelship serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The address to listen on; port 0 chooses a free one
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Write logs as JSON lines
    #[arg(long)]
    pub(crate) log_json: bool,
}

/// `modelship forge-hook`.
#[derive(Debug, Args)]
pub(crate) struct ForgeHook {
    /// The forge's directory.
    #[arg(long)]
    pub(crate) forge: PathBuf,
    /// The repository.
    #[arg(long)]
    pub(crate) repository: RepositoryName,
}
