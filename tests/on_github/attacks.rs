//! Attacks on what people agreed to: they say yes to one thing, and another is to be done.

use sqlx::{AnyConnection, Connection as _};
use tokio::runtime::{Builder, Runtime};

use crate::authority::ask_from_a_fork;
use crate::browser::Browser;
use crate::github::http::{Reply, Server};
use crate::github::{Delivery, Fault, Permission, Response};
use crate::hub::{HUB, Hub, SECRET};
use crate::world::git;

const MODEL: &str = "examples/identity-matrix";

/// Eve pushes something else to her fork.
fn push_to_the_fork(hub: &Hub, values: &str) {
    let sweep = format!("sweep: theirs\nmodel: {MODEL}\nparameters: {{N: {values}}}\n");
    hub.world.write("sweeps/theirs.yaml", &sweep);
    git(&hub.world.clone, &["commit", "--quiet", "--all", "-m", "Ask for more"]);
    hub.world.push_to(&hub.github.directory("eve/hub"), "theirs");
}

/// Lets nobody write to the database until it is dropped.
fn lock_database(hub: &Hub) -> (Runtime, AnyConnection) {
    sqlx::any::install_default_drivers();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let url = format!("sqlite://{}", hub.world.state().join("modelship.db").display());
    let lock = async {
        let mut connection = AnyConnection::connect(&url).await?;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await?;
        Ok::<_, sqlx::Error>(connection)
    };
    let connection = runtime.block_on(lock).unwrap();
    (runtime, connection)
}

#[test]
fn an_approval_is_of_one_commit_and_ends_with_the_next_push() {
    let mut hub = Hub::as_app();
    let number = ask_from_a_fork(&hub);
    let approved = hub.commit("theirs");
    hub.until_said(number, &["/modelship approve", &approved]);
    hub.github.comment_as("ada", HUB, number, &format!("/modelship approve {approved}"));
    hub.until_said(number, &["/modelship run theirs"]);
    push_to_the_fork(&hub, "[1, 2, 3]");
    let newer = hub.commit("theirs");
    hub.until_said(number, &["3 runs", "/modelship approve", &newer]);
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["nothing of it is built or run", &newer]);
    // Neither the older commit's approval, nor what its author gives himself by another account or by a review.
    hub.github.comment_as("ada", HUB, number, &format!("/modelship approve {approved}"));
    hub.until_said(number, &["is not the head of this pull request", &newer]);
    hub.github.user("eve-too", Permission::Read);
    hub.github.comment_as("eve-too", HUB, number, &format!("/modelship approve {newer}"));
    hub.until_said(number, &["was not done for", "eve-too"]);
    hub.github.until_delivered();
    let by_ada = |delivery: &Delivery| {
        delivery.event == "issue_comment" && delivery.payload["comment"]["user"]["login"] == "ada"
    };
    let comment = hub.github.deliveries().into_iter().rfind(by_ada).unwrap();
    hub.github.deliver_twice(&review_of(&comment, &format!("/modelship approve {newer}")));
    hub.github.until_delivered();
    let run = hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.world.until("it is answered", |_| (!hub.github.reactions(HUB, run).is_empty()).then_some(()));
    hub.world.until_idle();
    assert_eq!(hub.sweeps().len(), 0);

    // Nobody has heard of the next push: what was approved is not what is there.
    hub.start_again("reconcile_every: 1h\n");
    hub.world.until_idle();
    hub.github.stop_delivering();
    push_to_the_fork(&hub, "[1, 2, 3, 4]");
    hub.listen();
    hub.github.comment_as("ada", HUB, number, &format!("/modelship approve {newer}"));
    hub.until_said(number, &["/modelship run theirs"]);
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["the plan was made for", &hub.commit("theirs")[..7]]);
    hub.world.until_idle();
    hub.assert_no_job();
}

#[test]
fn a_fork_that_is_deleted_in_the_middle_takes_nothing_with_it() {
    let hub = Hub::as_app();
    let number = ask_from_a_fork(&hub);
    push_to_the_fork(&hub, "[1, 2], SLEEP: 2");
    let head = hub.commit("theirs");
    hub.until_said(number, &["/modelship approve", &head]);
    hub.github.comment_as("ada", HUB, number, &format!("/modelship approve {head}"));
    hub.until_said(number, &["/modelship run theirs"]);
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_running();
    hub.github.delete_repository("eve/hub");
    hub.until_said(number, &["2 runs done"]);
    hub.world.until_idle();
}

/// Ada approves a pull request by GitHub's own button, and writes this, which has an id of its own.
fn review_of(comment: &Delivery, body: &str) -> Delivery {
    let mut review = comment.clone();
    review.event = "pull_request_review".to_owned();
    review.action = Some("submitted".to_owned());
    let payload = review.payload.as_object_mut().unwrap();
    let mut said = payload.remove("comment").unwrap();
    said["id"] = 987_654_321.into();
    said["state"] = "approved".into();
    said["body"] = body.into();
    payload.insert("review".to_owned(), said);
    payload.insert("action".to_owned(), "submitted".into());
    review
}

/// Ada starts the sweep. GitHub says that she may, and is away until it is healed before the sweep begins.
fn run_and_be_held_up(hub: &Hub, number: u64) {
    let pull = format!("GET */pulls/{number}");
    hub.github.fail_next(1_000, &pull, Fault::BadGateway);
    let command = hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.world.until("it is heard", |_| hub.github.reactions(HUB, command).contains(&"rocket".to_owned()).then_some(()));
    hub.until_asked(1, &pull);
}

#[test]
fn who_may_no_longer_start_a_sweep_when_it_begins_does_not_start_it() {
    let hub = Hub::as_app();
    let number = hub.ask_for("sizes", "[1, 2]");
    hub.world.until_idle();
    run_and_be_held_up(&hub, number);
    hub.github.user("ada", Permission::Read);
    hub.github.heal();
    hub.until_said(number, &["ada may not start it any more", "write permission"]);
    hub.world.until_idle();
    hub.assert_no_job();
    hub.github.user("ada", Permission::Write);
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["2 runs done"]);
    hub.world.until_idle();
}

#[test]
fn what_was_begun_before_the_server_died_ends_when_it_may_not_begin_any_more() {
    let mut hub = Hub::as_app();
    let sweep = format!("sweep: slow\nmodel: {MODEL}\nparameters: {{N: [1, 2, 3, 4, 5, 6, 7, 8], SLEEP: 60}}\n");
    let number = hub.ask_with("slow", "Slowly", &sweep);
    hub.world.until_idle();
    run_and_be_held_up(&hub, number);
    // The sweep begins, and the server dies before it can write that down.
    let holds = hub.github.hold_answers_to("GET */collaborators/ada/permission");
    hub.github.heal();
    let held = holds.next().unwrap();
    let lock = lock_database(&hub);
    held.answer();
    hub.until_running();
    hub.world.kill_server();
    drop((lock, holds));
    assert!(hub.world.is_running("python3"), "runs go on without the server");

    hub.github.user("ada", Permission::Read);
    hub.start();
    hub.until_said(number, &["ada may not start it any more"]);
    hub.until_nothing_runs();
    hub.world.until_idle();
}

#[test]
fn a_pull_request_raises_no_limit_for_itself() {
    let mut hub = Hub::as_app();
    // One USD for each second.
    hub.start_again(&format!("process: {{trusted: [{HUB}], price: {{vcpu_hour: 3600, gib_hour: 0}}}}\n"));
    hub.world.checkout("main");
    hub.world.write("config/policy.yaml", "max_runs: 6\nmax_budget: 1 USD\n");
    hub.world.push_branch("main", "Limit what sweeps may do");
    let ask = |branch: &str, values: &str| {
        let sweep = format!(
            "sweep: {branch}\nmodel: {MODEL}\nparameters: {{N: {values}, SLEEP: 1}}\nrun: {{budget: 50 USD}}\n"
        );
        hub.world.checkout("main");
        hub.world.write("config/policy.yaml", "max_runs: 1000\nmax_budget: 1000 USD\n");
        hub.world.write(&format!("sweeps/{branch}.yaml"), &sweep);
        hub.push_and_open(branch, "Ask for much, and allow it")
    };
    let many = ask("many", "[1, 2, 3, 4, 5, 6, 7]");
    hub.until_said(many, &["7 points; the policy allows 6"]);
    hub.github.comment_as("ada", HUB, many, "/modelship run");
    let costly = ask("costly", "[1, 2, 3, 4, 5, 6]");
    hub.until_said(costly, &["the policy limits the cost to 1 USD", "/modelship run costly"]);
    hub.github.comment_as("ada", HUB, costly, "/modelship run");
    let result = hub.world.until("it has ended", |_| {
        hub.ours(costly).into_iter().find(|comment| comment.body.contains("<!-- modelship:result/"))
    });
    assert!(result.body.contains("1 USD") && result.body.contains("of 6 runs done"), "{}", result.body);
    hub.world.until_idle();
    let sweeps = hub.sweeps();
    assert!(sweeps.iter().all(|sweep| sweep["plan"]["name"] == "costly"), "{sweeps:#?}");
    assert!(sweeps[0]["succeeded"].as_u64().unwrap() < 6, "{sweeps:#?}");
}

#[test]
fn what_an_answer_by_mail_repeats_starts_nothing() {
    let hub = Hub::as_app();
    let number = hub.ask_for("sizes", "[1, 2]");
    hub.github.user("eve", Permission::Read);
    hub.github.comment_as("eve", HUB, number, "/modelship run");
    hub.until_said(number, &["write permission", "eve"]);
    // Ada's programs send along what they answer.
    for repeated in [
        "On Sat, Nov 21, 2026 at 10:00 AM Eve <notifications@github.com>\nwrote:\n\n/modelship run\n",
        "________________________________\nFrom: Eve <notifications@github.com>\nSent: Saturday\nTo: urban/hub \
         <hub@noreply.github.com>\nSubject: Re: [urban/hub] A sweep (PR #1)\n\n/modelship run\n",
        "-----Original Message-----\nFrom: Eve\n\n/modelship run\n",
    ] {
        hub.github.comment_as("ada", HUB, number, &format!("Please not before Monday.\r\n\r\n{repeated}"));
    }
    hub.github.until_delivered();
    hub.until_asked(2, &format!("GET */issues/{number}/comments"));
    hub.world.until_idle();
    assert_eq!(hub.sweeps().len(), 0);
    let answer = "/modelship run\n\nOn Sat, Nov 21, 2026 Eve <notifications@github.com> wrote:\n\n/modelship cancel\n";
    hub.github.comment_as("ada", HUB, number, answer);
    hub.until_said(number, &["2 runs done"]);
    hub.world.until_idle();
}

#[test]
fn links_lead_to_the_address_of_the_settings_whoever_is_said_to_be_asked() {
    let mut hub = Hub::signing_in("", |_| ());
    let own = hub.world.address();
    let to = own.clone();
    // What stands between GitHub and us says that we are somebody else.
    let liar = Server::start(move |request| Reply::Whole(ask_as_evil(&to, &request.method, &request.target, &request)));
    hub.github.deliver_to(&format!("{}/webhooks/github", liar.url()), SECRET);
    hub.github.set_private(HUB);
    let number = hub.ask_for("sizes", "[1, 2]");
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["2 runs done", &format!("]({own}/sweeps/")]);
    hub.world.until_idle();
    let told = hub.github.deliveries();
    assert!(told.iter().any(|delivery| delivery.event == "issue_comment" && delivery.status_code == 202), "{told:#?}");
    let said: String = hub.ours(number).into_iter().map(|comment| comment.body).collect();
    let checks = hub.github.checks(HUB, &hub.commit("sizes"));
    assert!(!said.contains("evil") && !format!("{checks:?}").contains("evil"), "{said}\n{checks:#?}");

    let sweep = hub.sweeps()[0]["plan"]["id"].as_str().unwrap().to_owned();
    for path in ["/", "/sign-in", &format!("/sweeps/{sweep}/report.html")] {
        let answer = Browser::default().get(&format!("{}{path}", liar.url()));
        assert!(matches!(answer.status, 200 | 303), "{path}: {}", answer.status);
        let text = format!("{:?} {}", answer.headers, String::from_utf8_lossy(&answer.body));
        assert!(!text.contains("evil"), "{path}: {text}");
    }
    hub.github.visit_as("ada");
    let page = Browser::default().open(&format!("{own}/sweeps/{sweep}/report.html")).1;
    assert_eq!(page.status, 200);
    hub.world.stop_server();
}

/// Asks the server the same under other names.
fn ask_as_evil(server: &str, method: &str, target: &str, request: &crate::github::Request) -> Response {
    let asked = async {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut asked = client.request(method, format!("{server}{target}")).body(request.body.clone());
        let ours = ["host", "connection", "content-length"];
        for (name, value) in request.headers.iter().filter(|(name, _)| !ours.contains(&name.as_str())) {
            asked = asked.header(name, value);
        }
        for name in ["host", "x-forwarded-host", "x-host", "x-original-host", "x-forwarded-server"] {
            asked = asked.header(name, "evil.example");
        }
        let asked = asked
            .header("forwarded", "for=1.2.3.4;host=evil.example;proto=https")
            .header("x-forwarded-prefix", "/evil")
            .header("x-original-url", "https://evil.example/")
            .header("x-forwarded-proto", "https");
        let answer = asked.send().await.unwrap();
        let mut response = Response::empty(answer.status().as_u16());
        for (name, value) in answer.headers() {
            response = response.with(name.as_str(), value.to_str().unwrap());
        }
        response.body = answer.bytes().await.unwrap().to_vec();
        response
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(asked)
}

#[test]
fn what_a_fork_makes_of_a_model_is_built_by_nobodys_word_but_its_approval_and_never_as_processes() {
    let hub = Hub::as_app();
    hub.world.checkout("main");
    let owned = hub.world.clone.with_file_name("owned");
    hub.world.write("models/identity-matrix/identity_matrix.py", &format!("open({owned:?}, 'w')\n"));
    let (number, _) = hub.open_from_fork();
    hub.until_said(number, &["not built: the change comes from a fork"]);
    hub.github.comment_as("ada", HUB, number, &format!("/modelship approve {}", hub.commit("theirs")));
    hub.until_said(number, &["a fork's code is never built or run as processes of this server"]);
    hub.world.until_idle();
    assert!(!owned.exists(), "none of it was executed");
    let versions = hub.world.modelship(&["versions", MODEL, "--output", "json"]).ok().json();
    assert_eq!(versions.as_array().unwrap().len(), 1, "{versions}");
}

#[test]
fn secrets_that_a_model_prints_are_told_to_nobody() {
    let secrets = [
        format!("ghs_{}", "0123456789abcdefABCDEF0123456789abcd"),
        format!("ghs_12_{}.{}.{}", "eyJhbGciOiJub25lIn0", "eyJzdWIiOiIxIn0", "c2lnbmF0dXJl"),
        format!("AKIA{}", "IOSFODNN7EXAMPLE"),
        "MIIEowIBAAKCAQEAsecretsecretsecret".to_owned(),
    ];
    let [old, new, amazon, key] = &secrets;
    let hub = Hub::as_app();
    hub.world.checkout("main");
    hub.world.write(
        "config/tests/leaky.yaml",
        "owner: tests\ntitle: leaky\ndescription: tells too much\nsource: {path: models/leaky}\nbuild: {process: []}\n\
         run:\n  command: [sh, \"{model}/leaky.sh\"]\n  params: {format: args}\n\
         parameters: {N: {type: int, default: 1}}\noutputs: {summary: stdout}\ntests: []\n",
    );
    let told = format!("{old} {new} {amazon}\n-----BEGIN RSA PRIVATE KEY-----\n{key}\n-----END RSA PRIVATE KEY-----\n");
    hub.world.write("models/leaky/leaky.sh", &format!("cat >&2 <<'END'\n{told}END\necho so it ended >&2\nexit 3\n"));
    let number = hub.open("leaky", "Leaky", "sweep: leaky\nmodel: tests/leaky\nparameters: {N: [1, 2]}\n");
    hub.until_said(number, &["/modelship run leaky"]);
    hub.github.comment_as("ada", HUB, number, "/modelship run");
    hub.until_said(number, &["0 of 2 runs done", "so it ended", "[redacted]"]);
    hub.world.until_idle();
    let found = |text: &str| secrets.iter().find(|secret| text.contains(secret.as_str()));
    for comment in hub.github.comments(HUB, number) {
        assert_eq!(found(&comment.body), None, "{}", comment.body);
    }
    for check in hub.github.checks(HUB, &hub.commit("leaky")) {
        assert_eq!(found(&check.to_string()), None, "{check:#}");
    }
    for file in ["modelship.db", "modelship.db-wal"] {
        let bytes = std::fs::read(hub.world.state().join(file)).unwrap_or_default();
        assert_eq!(found(&String::from_utf8_lossy(&bytes)), None, "{file}");
    }
    let sweep = hub.sweeps()[0]["plan"]["id"].as_str().unwrap().to_owned();
    let report = hub.world.state().join("artifacts/sweeps").join(sweep).join("report.html");
    assert_eq!(found(&std::fs::read_to_string(report).unwrap()), None, "the report");
}
