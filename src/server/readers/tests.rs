use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use std::sync::atomic::AtomicBool;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use warp::http::HeaderValue;
use warp::http::header::COOKIE;

use super::super::session::{Purpose, Session};
use super::memory::{MOST_ASKED, MOST_BAD, MOST_CODES, MOST_CODES_OF_STRANGERS};
use super::*;
use crate::domain::ids::RepositoryName;

/// From this number on, repositories have a limit of their own that nobody spends.
const HEALTHY: i64 = 1000;

/// A forge on which account 7 and the tokens that begin with `good` may read repository 1 and healthy ones with even numbers, as long as it
/// answers. The clock
/// stands where it is put.
#[derive(Default)]
struct Town {
    now: AtomicI64,
    asked: AtomicUsize,
    revoked: AtomicUsize,
    silent: AtomicUsize,
    /// A repository of which it says nothing.
    mute: AtomicI64,
    /// How often it was asked whether a token is one.
    shown: AtomicUsize,
    is_spent: AtomicBool,
}

impl Town {
    fn answer(&self, reads: bool) -> Answer<'_, bool> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let silent = self.silent.load(Ordering::SeqCst) > 0;
        let reads = reads && self.revoked.load(Ordering::SeqCst) == 0;
        async move { if silent { Err(Unreachable(anyhow::anyhow!("no"))) } else { Ok(reads) } }.boxed()
    }

    fn pass(&self, seconds: i64) {
        self.now.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

fn is_readable(repository: &Repository) -> bool {
    repository.id == 1 || repository.id >= HEALTHY && repository.id % 2 == 0
}

impl People for Town {
    fn now(&self) -> Time {
        Time(self.now.load(Ordering::SeqCst))
    }
    fn unguessable(&self) -> String {
        "word".to_owned()
    }
    fn sign_in_address(&self, _: &Departure) -> Option<String> {
        None
    }
    fn arrived(&self, arrival: Arrival) -> Answer<'_, Option<User>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        async move { Ok((arrival.code == "good").then(|| User { id: 7, login: "ada".to_owned() })) }.boxed()
    }
    fn may_read(&self, repository: Repository, user: User) -> Answer<'_, bool> {
        let is_mute = self.mute.load(Ordering::SeqCst) == repository.id;
        let answer = self.answer(user.id == 7 && is_readable(&repository));
        if is_mute { ready(Err(Unreachable(anyhow::anyhow!("no")))).boxed() } else { answer }
    }
    fn has_questions_to_spare(&self, repository: &Repository) -> bool {
        !self.is_spent.load(Ordering::SeqCst) || repository.id >= HEALTHY
    }
    fn is_short_of_questions(&self) -> bool {
        self.is_spent.load(Ordering::SeqCst)
    }
    fn is_token(&self, token: SecretString) -> Answer<'_, bool> {
        self.shown.fetch_add(1, Ordering::SeqCst);
        async move {
            tokio::task::yield_now().await;
            Ok(!token.expose_secret().starts_with("bad"))
        }
        .boxed()
    }
    fn answers(&self) -> Answer<'_, ()> {
        let silent = self.silent.load(Ordering::SeqCst) > 0;
        ready(if silent { Err(Unreachable(anyhow::anyhow!("no"))) } else { Ok(()) }).boxed()
    }
    fn token_reads(&self, repository: Repository, token: SecretString) -> Answer<'_, bool> {
        self.answer(token.expose_secret().starts_with("good") && is_readable(&repository))
    }
}

fn key(text: &str) -> SessionKey {
    SessionKey::new(SecretString::from(text))
}

fn begin(url: &str) -> (Arc<Town>, Access) {
    let town = Arc::new(Town::default());
    let sign_in = SignIn { url: url.to_owned(), key: key("k"), people: Arc::clone(&town) as _ };
    (town, Access::new(Public::default(), Others::SignedIn(sign_in)))
}

fn person(id: i64) -> Viewer {
    Viewer::Person(User { id, login: "ada".to_owned() })
}

fn repository(id: i64) -> Repository {
    Repository { id, name: RepositoryName::parse("urban/hub").unwrap() }
}

fn with_cookie(cookie: &str) -> HeaderMap {
    HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(cookie).unwrap())])
}

#[tokio::test]
async fn an_answer_is_believed_for_a_minute_and_no_longer() {
    let (town, access) = begin("https://models.example.org");
    for _ in 0..3 {
        assert!(access.may_read(&person(7), &[repository(1)]).await.unwrap());
    }
    assert_eq!(town.asked.load(Ordering::SeqCst), 1);
    town.revoked.store(1, Ordering::SeqCst);
    town.pass(59);
    assert!(access.may_read(&person(7), &[repository(1)]).await.unwrap());
    town.pass(1);
    assert!(!access.may_read(&person(7), &[repository(1)]).await.unwrap());
    town.pass(-3600);
    assert!(!access.may_read(&person(7), &[repository(1)]).await.unwrap(), "a clock that goes back asks again");
    assert_eq!(town.asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_refusal_is_believed_for_five_minutes_and_no_longer() {
    let (town, access) = begin("https://models.example.org");
    let (person, program) = (person(7), Viewer::Program(SecretString::from("good")));
    town.revoked.store(1, Ordering::SeqCst);
    let reads = async |viewer: &Viewer| access.may_read(viewer, &[repository(1)]).await.unwrap();
    assert!(!reads(&person).await && !reads(&program).await);
    town.revoked.store(0, Ordering::SeqCst);
    town.pass(299);
    assert!(!reads(&person).await && !reads(&program).await);
    town.pass(1);
    assert!(reads(&person).await && reads(&program).await);
}

#[tokio::test]
async fn of_several_things_under_one_name_each_is_for_its_own_readers() {
    let (town, access) = begin("https://models.example.org");
    let (mine, even, theirs) = ([repository(1)], [repository(HEALTHY)], [repository(2)]);
    let which = async |viewer: &Viewer, things: &[&[Repository]]| access.which(viewer, things).await;
    assert_eq!(
        which(&person(7), &[&mine, &theirs, &even, &mine, &[]]).await.unwrap(),
        [true, false, true, true, false]
    );
    assert_eq!(town.asked.load(Ordering::SeqCst), 3, "one question about each repository");
    assert_eq!(which(&person(8), &[&mine, &theirs]).await.unwrap(), [false, false]);
    assert_eq!(which(&Viewer::Stranger, &[&mine]).await.unwrap(), [false]);
    let program = Viewer::Program(SecretString::from("good"));
    assert_eq!(which(&program, &[&theirs, &mine]).await.unwrap(), [false, true]);

    // Whoever reads one of them learns nothing by what becomes of the question about another.
    town.pass(60);
    assert_eq!(which(&person(7), &[&mine]).await.unwrap(), [true]);
    town.silent.store(1, Ordering::SeqCst);
    assert_eq!(which(&person(7), &[&mine, &[repository(4)]]).await.unwrap(), [true, false]);
    assert_eq!(which(&person(7), &[&[repository(4)]]).await.unwrap_err().0, StatusCode::SERVICE_UNAVAILABLE);
    town.silent.store(0, Ordering::SeqCst);
    town.mute.store(4, Ordering::SeqCst);
    town.pass(600);
    assert_eq!(which(&person(7), &[&[repository(4)], &mine]).await.unwrap(), [false, true], "whichever is asked first");
}

#[tokio::test]
async fn however_many_things_have_a_name_they_count_as_one() {
    let (_, access) = begin("https://models.example.org");
    let many: Vec<[Repository; 1]> = (2..12).map(|id| [repository(id)]).collect();
    let many: Vec<&[Repository]> = many.iter().map(<[Repository; 1]>::as_slice).collect();
    for things in [&many[..], &many[..1], &[]] {
        for _ in 0..MOST_ASKED / 4 {
            assert!(!access.which(&person(7), things).await.unwrap().contains(&true));
        }
    }
    for _ in 0..MOST_ASKED - MOST_ASKED / 4 * 3 {
        assert!(access.which(&person(7), &many).await.is_ok());
    }
    assert_eq!(access.which(&person(7), &many).await.unwrap_err().0, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(access.which(&person(7), &[]).await.unwrap_err().0, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn everything_that_a_thing_is_made_of_must_be_readable() {
    let (town, access) = begin("https://models.example.org");
    assert!(!access.may_read(&person(7), &[repository(1), repository(2)]).await.unwrap());
    assert!(!access.may_read(&person(8), &[repository(1)]).await.unwrap());
    assert!(!access.may_read(&person(7), &[]).await.unwrap(), "what belongs to no repository is nobody's");
    let asked = town.asked.load(Ordering::SeqCst);
    assert!(!access.may_read(&Viewer::Stranger, &[repository(1)]).await.unwrap());
    assert_eq!(town.asked.load(Ordering::SeqCst), asked, "GitHub is asked nothing for strangers");
}

#[tokio::test]
async fn a_forge_that_does_not_answer_opens_nothing_and_is_asked_again() {
    let (town, access) = begin("https://models.example.org");
    town.silent.store(1, Ordering::SeqCst);
    let refused = access.may_read(&person(7), &[repository(1)]).await.unwrap_err();
    assert_eq!(refused.0, StatusCode::SERVICE_UNAVAILABLE);
    town.silent.store(0, Ordering::SeqCst);
    assert!(access.may_read(&person(7), &[repository(1)]).await.unwrap());
}

#[tokio::test]
async fn a_repository_that_the_forge_says_nothing_of_empties_no_list() {
    let (town, access) = begin("https://models.example.org");
    let all: Vec<_> = (1..=9).map(repository).collect();
    town.mute.store(2, Ordering::SeqCst);
    let refused = access.may_read(&person(7), &all[1..2]).await.unwrap_err();
    assert_eq!(refused.0, StatusCode::SERVICE_UNAVAILABLE);
    let readable = access.readable(&person(7), all.iter()).await.unwrap();
    assert_eq!((readable.is_cut, readable.ids), (true, BTreeSet::from([1])), "it is said that it is not whole");
    town.mute.store(0, Ordering::SeqCst);
    let readable = access.readable(&person(7), all.iter()).await.unwrap();
    assert_eq!((readable.is_cut, readable.ids), (false, BTreeSet::from([1])));

    let (town, access) = begin("https://models.example.org");
    town.silent.store(1, Ordering::SeqCst);
    let readable = access.readable(&person(7), all.iter()).await.unwrap();
    assert!(readable.is_cut && readable.ids.is_empty());
}

fn program(token: impl Into<String>) -> Viewer {
    Viewer::Program(SecretString::from(token.into()))
}

async fn list(access: &Access, viewer: &Viewer, all: &[Repository]) -> Result<Vec<i64>, Refusal> {
    access.readable(viewer, all.iter()).await.map(|readable| readable.ids.into_iter().collect())
}

#[tokio::test]
async fn tokens_cannot_be_tried_without_end() {
    let (town, access) = begin("https://models.example.org");
    let all: Vec<_> = (1..=50).map(repository).collect();
    assert!(access.may_read(&program("good one"), &all[..1]).await.unwrap());
    for number in 0..MOST_BAD {
        let made_up = program(format!("bad {number}"));
        assert!(list(&access, &made_up, &all).await.unwrap().is_empty());
        assert!(!access.may_read(&made_up, &all[..1]).await.unwrap());
    }
    assert_eq!(town.shown.load(Ordering::SeqCst), MOST_BAD + 1, "a token that is none costs one question");
    assert_eq!(town.asked.load(Ordering::SeqCst), 1, "and none about a repository");

    let refused = list(&access, &program("bad again"), &all).await.unwrap_err();
    assert_eq!(refused.0, StatusCode::TOO_MANY_REQUESTS);
    assert!(access.may_read(&person(7), &all[..1]).await.unwrap(), "people who signed in go on");
    town.pass(30);
    assert_eq!(list(&access, &program("good one"), &all).await.unwrap(), [1], "so does who was known before");
    town.pass(30);
    assert!(access.may_read(&program("good new"), &all[..1]).await.unwrap());

    // Whether it still is a token is asked now and then, whoever else tries.
    town.pass(3600);
    for number in 0..MOST_BAD {
        assert!(list(&access, &program(format!("bad {number}")), &all).await.unwrap().is_empty());
    }
    assert_eq!(list(&access, &program("good one"), &all).await.unwrap(), [1]);
    let refused = list(&access, &program("good newest"), &all).await.unwrap_err();
    assert_eq!(refused.0, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_token_that_reads_little_locks_nobody_out() {
    let (town, access) = begin("https://models.example.org");
    let all: Vec<_> = (1..=70).map(repository).collect();
    for _ in 0..3 {
        assert_eq!(list(&access, &program("good"), &all).await.unwrap(), [1]);
    }
    assert!(access.may_read(&program("good other"), &all[..1]).await.unwrap());
    assert_eq!(town.shown.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_token_that_comes_often_at_once_is_shown_once() {
    let (town, access) = begin("https://models.example.org");
    let tries = (0..20).map(|_| async { access.may_read(&program("bad"), &[repository(1)]).await.unwrap() });
    assert_eq!(join_all(tries).await, [false; 20]);
    assert_eq!(town.shown.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn readers_leave_the_servers_own_work_its_share() {
    let (town, access) = begin("https://models.example.org");
    town.is_spent.store(true, Ordering::SeqCst);
    let refused = access.may_read(&person(7), &[repository(1)]).await.unwrap_err();
    assert_eq!(refused.0, StatusCode::SERVICE_UNAVAILABLE);
    let readable = access.readable(&person(7), [repository(1)].iter()).await.unwrap();
    assert!(readable.is_cut && readable.ids.is_empty(), "a list shows what is known, and says so");
    assert_eq!(town.asked.load(Ordering::SeqCst), 0);
    // A program's questions are its own.
    assert!(access.may_read(&program("good"), &[repository(1)]).await.unwrap());
    town.is_spent.store(false, Ordering::SeqCst);
    assert!(access.may_read(&person(7), &[repository(1)]).await.unwrap());
    town.is_spent.store(true, Ordering::SeqCst);
    assert!(access.may_read(&person(7), &[repository(1)]).await.unwrap(), "what is known costs nothing");

    // What is left elsewhere is there for who may read there.
    assert!(access.may_read(&person(7), &[repository(HEALTHY)]).await.unwrap());
    let all = [repository(1), repository(2), repository(HEALTHY + 1), repository(HEALTHY + 2)];
    let readable = access.readable(&person(7), all.iter()).await.unwrap();
    assert_eq!((readable.is_cut, readable.ids), (true, BTreeSet::from([1, HEALTHY + 2])));
}

#[tokio::test]
async fn one_person_asks_only_so_much_in_a_minute() {
    let (town, access) = begin("https://models.example.org");
    let most = i64::from(MOST_ASKED);
    let all: Vec<_> = (1..=most + 1).map(repository).collect();
    let first = access.readable(&person(7), all.iter()).await.unwrap();
    assert!(first.is_cut && first.ids.is_empty(), "the newest are asked about first");
    assert_eq!(town.asked.load(Ordering::SeqCst), MOST_ASKED as usize);
    let refused = access.may_read(&person(7), &all[..1]).await.unwrap_err();
    assert_eq!(refused.0, StatusCode::TOO_MANY_REQUESTS);
    assert!(!access.may_read(&person(8), &all[..1]).await.unwrap(), "another one asks on");
    town.pass(60);
    let second = access.readable(&person(7), all.iter()).await.unwrap();
    assert_eq!((second.is_cut, second.ids), (false, BTreeSet::from([1])), "a no is remembered");
    assert_eq!(town.asked.load(Ordering::SeqCst), MOST_ASKED as usize + 2);
}

/// What is said of something that is made of these repositories.
async fn said(access: &Access, viewer: &Viewer, made_of: &[Repository]) -> (StatusCode, &'static str) {
    match access.may_read(viewer, made_of).await {
        Ok(reads) => (if reads { StatusCode::OK } else { StatusCode::NOT_FOUND }, ""),
        Err(Refusal(status, message)) => (status, message),
    }
}

#[tokio::test]
async fn what_is_there_and_what_is_not_are_refused_alike() {
    let hidden = [
        vec![repository(2)],
        vec![repository(1), repository(2)],
        vec![repository(2), repository(3)],
        vec![repository(HEALTHY), repository(HEALTHY + 1)],
        vec![repository(HEALTHY + 1), repository(3)],
    ];
    let agree = async |access: &Access, viewer: &Viewer, status: StatusCode| {
        let nothing = said(access, viewer, &[]).await;
        assert_eq!(nothing.0, status);
        for made_of in &hidden {
            assert_eq!(said(access, viewer, made_of).await, nothing);
        }
    };
    for viewer in [person(7), program("good")] {
        let (town, access) = begin("https://models.example.org");
        for silent in [1, 0, 1, 0] {
            town.silent.store(silent, Ordering::SeqCst);
            let status = if silent > 0 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NOT_FOUND };
            agree(&access, &viewer, status).await;
        }
        town.is_spent.store(true, Ordering::SeqCst);
        let is_person = matches!(viewer, Viewer::Person(_));
        agree(&access, &viewer, if is_person { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NOT_FOUND }).await;
    }

    // However much of it there is: everything costs one question of so many, and nothing is left after as many of either.
    for made_of in hidden.iter().map(Vec::as_slice).chain([&[][..]]) {
        for viewer in [person(7), program("good")] {
            let (_, access) = begin("https://models.example.org");
            for _ in 0..MOST_ASKED {
                assert_eq!(said(&access, &viewer, made_of).await.0, StatusCode::NOT_FOUND);
            }
            agree(&access, &viewer, StatusCode::TOO_MANY_REQUESTS).await;
        }
    }

    let (_, access) = begin("https://models.example.org");
    for number in 0..MOST_BAD {
        assert_eq!(said(&access, &program(format!("bad {number}")), &[]).await.0, StatusCode::NOT_FOUND);
    }
    agree(&access, &program("bad again"), StatusCode::TOO_MANY_REQUESTS).await;
    agree(&access, &program("bad 0"), StatusCode::NOT_FOUND).await;
    agree(&access, &Viewer::Stranger, StatusCode::NOT_FOUND).await;
}

#[tokio::test]
async fn a_long_list_asks_only_about_what_is_open() {
    let (town, mut access) = begin("https://models.example.org");
    access.public = Public::Only { ids: (2..=150).collect(), names: BTreeSet::new() };
    // It is the same repository under either name.
    let renamed = Repository { id: 151, name: RepositoryName::parse("urban/renamed").unwrap() };
    let all: Vec<_> = (1..=151).map(repository).chain([renamed]).collect();
    let readable = access.readable(&person(7), all.iter()).await.unwrap();
    assert_eq!((readable.is_cut, readable.ids), (false, (1..=150).collect()));
    assert_eq!(town.asked.load(Ordering::SeqCst), 2);
    let local = Access::new(Public::default(), Others::Everybody);
    let readable = local.readable(&Viewer::Stranger, all.iter()).await.unwrap();
    assert_eq!((readable.is_cut, readable.ids.len()), (false, 151));
}

async fn come(access: &Access, known: Option<i64>, code: &str) -> Result<bool, StatusCode> {
    let arrival = Arrival { code: code.to_owned(), back: String::new(), verifier: SecretString::from("word") };
    let arrived = access.arrived(access.sign_in().unwrap(), known, arrival).await;
    arrived.map(|user| user.is_some()).map_err(|refusal| refusal.0)
}

#[tokio::test]
async fn codes_of_people_who_sign_in_cannot_be_tried_without_end() {
    let (town, access) = begin("https://models.example.org");
    for (known, most) in [(None, MOST_CODES_OF_STRANGERS), (Some(7), MOST_CODES)] {
        let before = town.asked.load(Ordering::SeqCst);
        for _ in 0..2 * most {
            assert_eq!(come(&access, known, "good").await, Ok(true), "who is let in does not count");
        }
        for _ in 0..most {
            assert_eq!(come(&access, known, "made up").await, Ok(false));
        }
        assert_eq!(come(&access, known, "good").await, Err(StatusCode::TOO_MANY_REQUESTS));
        assert_eq!(town.asked.load(Ordering::SeqCst) - before, 3 * most as usize);
    }
    town.pass(60);
    assert_eq!(come(&access, None, "good").await, Ok(true));
}

#[tokio::test]
async fn nobody_locks_out_who_signed_in_in_that_browser_before() {
    let (_, access) = begin("https://models.example.org");
    while come(&access, None, "made up").await.is_ok() {}
    while come(&access, Some(8), "made up").await.is_ok() {}
    assert_eq!(come(&access, Some(7), "good").await, Ok(true));
}

#[test]
fn a_session_counts_until_it_ends_and_under_its_own_name() {
    let (town, access) = begin("https://models.example.org");
    let session = Session { user: User { id: 7, login: "ada".to_owned() }, until: Time(1000) };
    let word = key("k").seal(Purpose::Session, &session);
    let other = key("another").seal(Purpose::Session, &session);
    let is_ada = |cookie: &str| matches!(access.viewer(&with_cookie(cookie)), Viewer::Person(user) if user.id == 7);
    assert!(is_ada(&format!("a=b; __Host-modelship={word}; c=d")));
    assert!(is_ada(&format!("__Host-modelship=made-up; __Host-modelship={word}")));
    assert!(!is_ada(&format!("__Host-modelship={other}")));
    assert!(!is_ada(&format!("modelship={word}")), "what a page without TLS could have set");
    let begun = key("k").seal(Purpose::SignIn, &session);
    assert!(!is_ada(&format!("__Host-modelship={begun}")));
    town.pass(1);
    assert!(!is_ada(&format!("__Host-modelship={word}")), "it has ended");
}

#[tokio::test]
async fn lists_show_what_may_be_read() {
    let (_, access) = begin("https://models.example.org");
    let all = [repository(1), repository(2), repository(1)];
    let readable = access.readable(&person(7), all.iter()).await.unwrap();
    assert_eq!(readable.ids, BTreeSet::from([1]));
    assert!(access.includes(&readable, &all[..1]) && !access.includes(&readable, &all));
    assert!(!access.includes(&readable, &[]));
    let nobody = Access::new(Public::default(), Others::Nobody);
    assert_eq!(nobody.readable(&person(7), all.iter()).await.unwrap(), Readable::default());
    let local = Access::new(Public::default(), Others::Everybody);
    assert_eq!(local.readable(&Viewer::Stranger, all.iter()).await.unwrap().ids, BTreeSet::from([1, 2]));
}
