//! A hub with a sweep that is done, and who comes to read what it left: browsers and programs.

use std::fs;

use sqlx::Connection as _;

use crate::browser::Browser;
use crate::github::{Opened, Permission, Request, Response, send};
use crate::hub::{HUB, Hub, says};
use crate::world::{World, git};

/// A model that prints and keeps whatever it is told, and fails when it is told to.
const ECHO: &str = "owner: examples
title: echo
description: \"repeats <img src=x onerror=description>\"
source: {path: models/echo}
build:
  process: [[\"true\"]]
run:
  command: [sh, \"{model}/echo.sh\", \"{params}\", \"{outputs}\"]
  params: {format: csv}
parameters:
  WORD: {type: string, default: plain}
  N: {type: int, default: 1}
outputs:
  summary: summary.json
  columns: {answer: {unit: \"<img src=x onerror=unit>\"}}
  files: [told.txt, deep/told.txt]
";

const SCRIPT: &str = "set -e
cat \"$1\"
echo '<script>alert(2)</script> ghp_0123456789abcdef0123456789abcdef0123'
case $(cat \"$1\") in *fail*) exit 3;; esac
mkdir -p \"$2/deep\"
cp \"$1\" \"$2/told.txt\"
cp \"$1\" \"$2/deep/told.txt\"
echo '{\"answer\": 42, \"<img src=x onerror=output>\": 1}' > \"$2/summary.json\"
";

fn bring_echo(world: &World) {
    world.write("config/examples/echo.yaml", ECHO);
    world.write("models/echo/echo.sh", SCRIPT);
}

/// A private hub with a sweep that is done: its pull request, its id, and a run of it that succeeded and one that failed.
pub(crate) struct Done {
    pub(crate) hub: Hub,
    pub(crate) number: u64,
    pub(crate) sweep: String,
    pub(crate) run: String,
    pub(crate) failed: String,
}

pub(crate) fn done(more: &str) -> Done {
    let hub = Hub::signing_in(more, bring_echo);
    hub.github.set_private(HUB);
    hub.world.checkout("main");
    let words = "[plain, \"<img src=x onerror=alert(1)>\", \"fail\"]";
    let sweep = format!("sweep: words\nmodel: examples/echo\nparameters:\n  WORD: {words}\n");
    let number = hub.ask_with("words", "<script>alert(0)</script>", &sweep);
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["2 of 3 runs done"]);
    hub.world.until_idle();
    let (sweep, run) = swept(&hub, "words");
    let failed = hub.sweeps()[0]["failures"][0]["run"].as_str().unwrap().to_owned();
    Done { hub, number, sweep, run, failed }
}

/// The id of a sweep of that name, and that of its first run that succeeded.
fn swept(hub: &Hub, name: &str) -> (String, String) {
    let sweeps = hub.sweeps();
    let sweep = sweeps.iter().find(|sweep| sweep["plan"]["name"] == name).unwrap_or_else(|| panic!("{sweeps:#?}"));
    let sweep = sweep["plan"]["id"].as_str().unwrap().to_owned();
    let table = hub.world.state().join("artifacts/sweeps").join(&sweep).join("analysis.csv");
    let table = fs::read_to_string(table).unwrap();
    let run = table.lines().find(|line| line.contains("succeeded")).unwrap()[..64].to_owned();
    (sweep, run)
}

impl Done {
    /// Sweeps the hub's model in another private repository, and gives the sweep's id and that of its run.
    pub(crate) fn sweep_in(&self, repository: &str) -> (String, String) {
        let (world, github) = (&self.hub.world, &self.hub.github);
        github.repository(repository);
        github.set_private(repository);
        git(&world.clone, &["checkout", "--quiet", "--orphan", "plans"]);
        git(&world.clone, &["rm", "--quiet", "-r", "--force", "."]);
        world.write("README.md", "what we have in mind\n");
        world.commit_branch("plans", "Begin");
        let there = github.directory(repository);
        world.push_to(&there, "plans:main");
        world.write("sweeps/quiet.yaml", "sweep: quiet\nmodel: examples/echo\nparameters: {WORD: [hush]}\n");
        world.commit_branch("quiet", "Ask quietly");
        world.push_to(&there, "quiet");
        let opened = Opened { author: "ada", title: "Quietly", head: "quiet", base: "main", draft: false };
        let number = github.open_pull(repository, &opened);
        let until_said = |words: &str| {
            let says = || github.comments(repository, number).iter().any(|comment| says(&comment.body, words));
            world.until(&format!("{words:?} in {repository}#{number}"), |_| says().then_some(()));
        };
        until_said("/modelship run quiet");
        github.comment_as("ada", repository, number, "/modelship run");
        until_said("1 run done");
        world.until_idle();
        swept(&self.hub, "quiet")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.hub.world.address())
    }

    /// Puts a run into the index that is like the first one but for its id; perhaps of another sweep.
    pub(crate) fn plant_twin(&self, id: &str, sweep: Option<&str>) {
        let file = self.hub.world.state().join("modelship.db");
        let plant = async {
            sqlx::any::install_default_drivers();
            let mut database = sqlx::AnyConnection::connect(&format!("sqlite:{}", file.display())).await.unwrap();
            let statement = "INSERT INTO runs SELECT $1, COALESCE($2, sweep), round, outcome, class, place, byte_offset, \
                             byte_length, wall_ms, indexed_at FROM runs WHERE run_id = $3";
            let query = sqlx::query(statement).bind(id).bind(sweep).bind(self.run.as_str());
            assert_eq!(query.execute(&mut database).await.unwrap().rows_affected(), 1);
            database.close().await.unwrap();
        };
        tokio::runtime::Runtime::new().unwrap().block_on(plant);
    }

    /// A browser in which somebody has signed in.
    pub(crate) fn browser(&self, login: &str) -> Browser {
        let mut browser = Browser::default();
        self.hub.github.visit_as(login);
        let (at, page) = browser.open(&self.url("/sign-in"));
        assert_eq!((at, page.status), (self.url("/"), 200), "{}", text(&page));
        browser
    }

    /// Somebody who may do nothing in the hub.
    pub(crate) fn eve(&self) -> Browser {
        self.hub.github.user("eve", Permission::None);
        self.browser("eve")
    }

    /// A program asks, perhaps with a token.
    pub(crate) fn program(&self, path: &str, token: Option<&str>) -> Response {
        let mut headers = vec![("accept".to_owned(), "application/json".to_owned())];
        headers.extend(token.map(|token| ("authorization".to_owned(), format!("Bearer {token}"))));
        let request = Request { method: "GET".to_owned(), target: path.to_owned(), headers, body: Vec::new() };
        send(&self.hub.world.address(), &request, std::time::Duration::from_secs(60)).unwrap()
    }
}

pub(crate) fn text(response: &Response) -> String {
    String::from_utf8_lossy(&response.body).into_owned()
}
