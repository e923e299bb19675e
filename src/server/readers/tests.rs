use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use warp::http::HeaderValue;

use super::*;
use crate::domain::ids::RepositoryName;

/// A forge on which account 7 may read repository 1, as long as it answers. The clock stands where it is put.
#[derive(Default)]
struct Town {
    now: AtomicI64,
    asked: AtomicUsize,
    revoked: AtomicUsize,
    silent: AtomicUsize,
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
    fn arrived(&self, _: Arrival) -> Answer<'_, Option<User>> {
        async { Ok(None) }.boxed()
    }
    fn may_read(&self, repository: Repository, user: User) -> Answer<'_, bool> {
        self.answer(user.id == 7 && repository.id == 1)
    }
    fn token_reads(&self, repository: Repository, token: SecretString) -> Answer<'_, bool> {
        self.answer(token.expose_secret() == "good" && repository.id == 1)
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
async fn tokens_cannot_be_tried_without_end() {
    let (town, access) = begin("https://models.example.org");
    let program = |token: String| Viewer::Program(SecretString::from(token));
    for number in 0..MOST_FRUITLESS {
        assert!(!access.may_read(&program(format!("bad {number}")), &[repository(1)]).await.unwrap());
    }
    let refused = access.may_read(&program("good".to_owned()), &[repository(1)]).await.unwrap_err();
    assert_eq!(refused.0, StatusCode::TOO_MANY_REQUESTS);
    assert!(access.may_read(&person(7), &[repository(1)]).await.unwrap(), "people who signed in go on");
    assert_eq!(town.asked.load(Ordering::SeqCst), MOST_FRUITLESS + 1);
    town.pass(60);
    assert!(access.may_read(&program("good".to_owned()), &[repository(1)]).await.unwrap());
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
    assert_eq!(readable, BTreeSet::from([1]));
    assert!(access.includes(&readable, &all[..1]) && !access.includes(&readable, &all));
    assert!(!access.includes(&readable, &[]));
    let nobody = Access::new(Public::default(), Others::Nobody);
    assert!(nobody.readable(&person(7), all.iter()).await.unwrap().is_empty());
    let local = Access::new(Public::default(), Others::Everybody);
    assert_eq!(local.readable(&Viewer::Stranger, all.iter()).await.unwrap(), BTreeSet::from([1, 2]));
}
