use std::collections::BTreeMap;

use insta::allow_duplicates;

use super::{Database, NOW, at, on_every_database, repository};
use crate::domain::event::PromotionTarget;
use crate::domain::ids::{
    ChannelName, CommitSha, Digest, ModelName, ObjectId, PullNumber, Repository, RepositoryName, Time, VersionId,
};
use crate::domain::version::{PassedTest, SourceRef, Tree, Version};
use crate::store::registry::{Found, MoveRequest, Novelty};
use crate::store::{Conflict, Store, StoreError};

on_every_database!(
    a_version_is_registered_once_with_its_channels,
    a_version_never_changes,
    a_model_belongs_to_its_first_repository,
    uncommitted_work_stays_off_the_channels_that_others_rely_on,
    a_committed_build_of_the_same_content_makes_a_version_promotable,
    a_channel_moves_forth_and_back_with_a_history,
    a_move_asked_for_twice_happens_once,
    a_version_is_found_by_its_very_commit,
    a_channel_goes_only_where_a_version_of_its_model_is,
    versions_are_found_by_all_their_names,
    a_build_of_equal_content_is_found_again,
    models_are_listed_with_their_channels,
    moves_have_times_in_their_order_whatever_the_clock_does,
    of_two_contents_of_one_version_at_once_one_is_refused,
);

fn model(title: &str) -> ModelName {
    ModelName::new("urban", title).unwrap()
}

/// A version of urban/simple-tax whose commit and executable begin with the given characters.
pub(super) fn version(commit: char, executable: char) -> Version {
    let commit = CommitSha::parse(commit.to_string().repeat(40)).unwrap();
    let executable = Digest::parse(format!("sha256:{}", executable.to_string().repeat(64))).unwrap();
    let manifest = Digest::of("manifest");
    Version {
        id: VersionId::of(&model("simple-tax"), &commit, &executable, &manifest),
        model: model("simple-tax"),
        source: SourceRef { repository: repository(), commit, manifest: "config/urban/simple-tax.yaml".to_owned() },
        tree: Tree::Committed,
        source_tree: ObjectId::parse("0".repeat(40)).unwrap(),
        executable,
        builder: "process".to_owned(),
        image: None,
        pinned: None,
        recipe: None,
        manifest,
        manifest_text: "manifest".to_owned(),
        inputs: BTreeMap::from([("data/units.csv".to_owned(), Digest::of("units"))]),
        toolchain: vec!["gfortran 12.2.0".to_owned()],
        tests: vec![PassedTest { name: "base case".to_owned(), duration_ms: 12 }],
        build_ms: 345,
        registered_at: NOW,
    }
}

fn dirty(version: Version) -> Version {
    Version { tree: Tree::Dirty, ..version }
}

fn channel(name: &str) -> ChannelName {
    ChannelName::parse(name).unwrap()
}

fn channels(names: &[&str]) -> Vec<(ChannelName, String)> {
    names.iter().map(|name| (channel(name), "push to main".to_owned())).collect()
}

fn promotion(target: PromotionTarget, token: &str) -> MoveRequest {
    MoveRequest {
        model: model("simple-tax"),
        channel: ChannelName::production(),
        target,
        reason: "promoted by ada".to_owned(),
        token: token.to_owned(),
    }
}

async fn register(store: &Store, version: &Version, names: &[&str]) {
    store.register_version(version, &channels(names), NOW).await.unwrap();
}

fn conflict<T: std::fmt::Debug>(result: Result<T, StoreError>) -> Conflict {
    match result {
        Err(StoreError::Conflict(conflict)) => conflict,
        other => panic!("expected a conflict, got {other:?}"),
    }
}

async fn a_version_is_registered_once_with_its_channels(database: &Database) {
    let store = &database.store;
    let first = version('a', '1');
    let registered = store.register_version(&first, &channels(&["main", "staging"]), NOW).await.unwrap();
    assert_eq!(registered.novelty, Novelty::New);
    assert_eq!(registered.stands.iter().map(|moved| moved.channel.as_str()).collect::<Vec<_>>(), ["main", "staging"]);
    assert_eq!(store.version(&first.id).await.unwrap().as_ref(), Some(&first));

    // An attempt whose answer was lost tells the same again.
    let repeated = store.register_version(&first, &channels(&["main", "staging"]), at(5)).await.unwrap();
    assert_eq!((repeated.novelty, &repeated.stands), (Novelty::New, &registered.stands), "nothing moved");

    // A build that was done again after a crash measures other times.
    let again = Version { build_ms: 999, registered_at: at(9), tests: Vec::new(), ..first.clone() };
    let registered = store.register_version(&again, &channels(&["main", "pr-3"]), at(9)).await.unwrap();
    assert_eq!(registered.novelty, Novelty::Known);
    assert_eq!(registered.stands.iter().map(|moved| moved.at).collect::<Vec<_>>(), [NOW, at(9)]);
    assert_eq!(store.version(&first.id).await.unwrap(), Some(first.clone()), "the first registration stays");
    let rows = store.channels(&first.model).await.unwrap();
    let rows: Vec<_> = rows.iter().map(|row| (row.channel.as_str(), row.version == first.id, row.moved_at)).collect();
    assert_eq!(rows, [("main", true, NOW), ("pr-3", true, at(9)), ("staging", true, NOW)]);
}

async fn a_version_never_changes(database: &Database) {
    let store = &database.store;
    let first = version('a', '1');
    register(store, &first, &[]).await;
    let other = Version { inputs: BTreeMap::new(), ..first.clone() };
    let refused = conflict(store.register_version(&other, &channels(&["main"]), NOW).await);
    allow_duplicates!(insta::assert_snapshot!(refused.to_string().replace(first.id.as_str(), "ID"),
        @"version `ID` of `urban/simple-tax` is registered with another set of input files; a version never changes"));
    assert_eq!(store.version(&first.id).await.unwrap(), Some(first.clone()));
    assert!(store.channels(&first.model).await.unwrap().is_empty(), "nothing of a refused registration stays");
}

async fn a_model_belongs_to_its_first_repository(database: &Database) {
    let store = &database.store;
    register(store, &version('a', '1'), &[]).await;
    let mut other = version('b', '2');
    other.source.repository = Repository { id: 8, name: RepositoryName::parse("rural/hub").unwrap() };
    let refused = conflict(store.register_version(&other, &[], NOW).await);
    allow_duplicates!(
        insta::assert_snapshot!(refused, @"model `urban/simple-tax` belongs to repository `urban/hub` and cannot be published from `rural/hub`; choose another owner or title")
    );
    assert_eq!(store.versions(&other.model).await.unwrap().len(), 1);

    other.source.repository = Repository { id: 7, name: RepositoryName::parse("urban/renamed").unwrap() };
    register(store, &other, &[]).await;
    assert_eq!(store.models().await.unwrap()[0].repository, other.source.repository, "a renamed one is the same");

    let mut second = version('c', '3');
    second.model = model("other");
    second.source.repository = Repository { id: 7, name: RepositoryName::parse("urban/renamed-again").unwrap() };
    register(store, &second, &[]).await;
    let owners = store.owners().await.unwrap();
    let all = owners.iter().all(|(_, owner)| *owner == second.source.repository);
    assert!(owners.len() == 2 && all, "every model knows its repository by one name: {owners:?}");
    assert_eq!(store.repository_of(&other.model).await.unwrap(), Some(second.source.repository.clone()));
    assert_eq!(store.repository_name(7).await.unwrap(), Some(second.source.repository.name.clone()));
    assert_eq!(store.repository_name(8).await.unwrap(), None);

    let mut third = version('d', '4');
    third.model = model("elsewhere");
    third.source.repository = Repository { id: 8, name: RepositoryName::parse("urban/elsewhere").unwrap() };
    register(store, &third, &[]).await;
    let now = Repository { id: 7, name: RepositoryName::parse("urban/secret").unwrap() };
    store.rename_repository(&now).await.unwrap();
    let owners = store.owners().await.unwrap().into_iter().map(|(_, owner)| owner);
    assert_eq!(owners.collect::<Vec<_>>(), [third.source.repository, now.clone(), now], "and no other repository's");
}

async fn uncommitted_work_stays_off_the_channels_that_others_rely_on(database: &Database) {
    let store = &database.store;
    let dirty = dirty(version('a', '1'));
    let refused = conflict(store.register_version(&dirty, &channels(&["staging"]), NOW).await);
    allow_duplicates!(insta::assert_snapshot!(refused.to_string().replace(dirty.id.as_str(), "ID"),
        @"version `ID` was built from uncommitted changes and cannot go to `staging`; commit them and build again"));
    assert_eq!(store.version(&dirty.id).await.unwrap(), None, "nothing of a refused registration stays");

    register(store, &dirty, &["work"]).await;
    let request = promotion(PromotionTarget::Version(dirty.id.clone()), "1");
    let refused = conflict(store.move_channel(&request, NOW).await);
    assert_eq!(refused, Conflict::DirtyVersion { version: dirty.id, channel: ChannelName::production() });
}

async fn a_committed_build_of_the_same_content_makes_a_version_promotable(database: &Database) {
    let store = &database.store;
    let committed = version('a', '1');
    register(store, &dirty(committed.clone()), &[]).await;
    register(store, &committed, &["production"]).await;
    assert_eq!(store.version(&committed.id).await.unwrap(), Some(committed.clone()));
    register(store, &dirty(committed.clone()), &[]).await;
    assert_eq!(store.version(&committed.id).await.unwrap(), Some(committed), "and it stays a committed one");
}

async fn a_channel_moves_forth_and_back_with_a_history(database: &Database) {
    let store = &database.store;
    let (a, b) = (version('a', '1'), version('b', '2'));
    register(store, &a, &["production"]).await;
    register(store, &b, &[]).await;
    let none = conflict(store.move_channel(&promotion(PromotionTarget::Previous, "1"), at(1)).await);
    allow_duplicates!(
        insta::assert_snapshot!(none, @"channel `production` of `urban/simple-tax` has never pointed to another version, so it cannot move back")
    );

    let forth = store.move_channel(&promotion(PromotionTarget::Version(b.id.clone()), "2"), at(2)).await.unwrap();
    assert_eq!((&forth.version, forth.previous.as_ref(), forth.at), (&b.id, Some(&a.id), at(2)));
    let back = store.move_channel(&promotion(PromotionTarget::Previous, "3"), at(3)).await.unwrap();
    assert_eq!((&back.version, back.previous.as_ref()), (&a.id, Some(&b.id)));
    assert_eq!(store.channel(&a.model, &ChannelName::production()).await.unwrap(), Some(a.id.clone()));

    let stays = store.move_channel(&promotion(PromotionTarget::Version(a.id.clone()), "4"), at(4)).await.unwrap();
    assert_eq!(stays, back, "it points there already");
    let history = store.channel_history(&a.model, &ChannelName::production()).await.unwrap();
    assert_eq!(store.newest_moves(&a.model).await.unwrap(), history[..1]);
    let history: Vec<_> = history.iter().map(|moved| (&moved.version, moved.at)).collect();
    assert_eq!(history, [(&a.id, at(3)), (&b.id, at(2)), (&a.id, NOW)]);
}

async fn a_move_asked_for_twice_happens_once(database: &Database) {
    let store = &database.store;
    let (a, b) = (version('a', '1'), version('b', '2'));
    register(store, &a, &["production"]).await;
    register(store, &b, &["production"]).await;
    let back = promotion(PromotionTarget::Previous, "task-5");
    let first = store.move_channel(&back, at(1)).await.unwrap();
    let again = store.move_channel(&back, at(2)).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(store.move_of("task-5").await.unwrap(), Some(first));
    assert_eq!(store.move_of("task-6").await.unwrap(), None);
    assert_eq!(store.channel(&a.model, &ChannelName::production()).await.unwrap(), Some(a.id), "not back to `b`");
}

async fn a_version_is_found_by_its_very_commit(database: &Database) {
    let store = &database.store;
    let (older, newer, other) = (version('a', '1'), version('a', '2'), dirty(version('b', '3')));
    for version in [&older, &newer, &other] {
        register(store, version, &[]).await;
    }
    let at = async |version: &Version| store.version_at(&version.model, &version.source.commit).await.unwrap();
    assert_eq!(at(&older).await, Some(newer.clone()), "the newest of the commit");
    assert_eq!(at(&other).await, None, "uncommitted work is no version of its commit");
    assert_eq!(store.repository_of(&older.model).await.unwrap(), Some(repository()));
    assert_eq!(store.repository_of(&model("other")).await.unwrap(), None);
}

async fn a_channel_goes_only_where_a_version_of_its_model_is(database: &Database) {
    let store = &database.store;
    let mut foreign = version('a', '1');
    foreign.model = model("other");
    register(store, &foreign, &[]).await;
    for version in [foreign.id.clone(), version('c', '3').id] {
        let request = promotion(PromotionTarget::Version(version.clone()), "1");
        let refused = conflict(store.move_channel(&request, NOW).await);
        assert_eq!(refused, Conflict::UnknownVersion { model: model("simple-tax"), version });
    }
    assert!(store.channels(&model("simple-tax")).await.unwrap().is_empty());
}

async fn versions_are_found_by_all_their_names(database: &Database) {
    let store = &database.store;
    let (a, b) = (version('a', '1'), version('b', '2'));
    let rebuilt = version('b', '3');
    register(store, &a, &["main", "production"]).await;
    register(store, &b, &["pr-3", "aaaa"]).await;
    register(store, &rebuilt, &[]).await;
    let find = async |text: &str| store.find_version(&a.model, text).await.unwrap();

    for text in ["main", "production", a.id.as_str(), &a.id.as_str()[..6], "aaaaa", a.source.commit.as_str()] {
        assert_eq!(find(text).await, Found::One(a.clone()), "{text}");
    }
    for text in ["1111", "sha256:11111", a.executable.as_str()] {
        assert_eq!(find(text).await, Found::One(a.clone()), "{text}");
    }
    assert_eq!(find("aaaa").await, Found::One(b.clone()), "a channel goes before a commit");
    assert_eq!(find(ChannelName::pull_request(PullNumber(3)).as_str()).await, Found::One(b.clone()));
    assert_eq!(find("bbbbbb").await, Found::Many(vec![rebuilt, b]));
    for text in ["aaa", "zzzz", "%", "", "staging", "aaaaab", "' OR '1'='1"] {
        assert_eq!(find(text).await, Found::None, "{text}");
    }
    assert_eq!(store.find_version(&model("other"), "main").await.unwrap(), Found::None);
}

async fn a_build_of_equal_content_is_found_again(database: &Database) {
    let store = &database.store;
    let (branch, merge) = (version('a', '1'), version('b', '1'));
    register(store, &branch, &[]).await;
    let find = async |executable: &Digest, manifest: &Digest| {
        store.version_of_build(&branch.model, executable, manifest).await.unwrap()
    };
    assert_eq!(find(&merge.executable, &merge.manifest).await, Some(branch.clone()));
    register(store, &merge, &[]).await;
    assert_eq!(find(&merge.executable, &merge.manifest).await, Some(merge.clone()), "the newest");
    assert_eq!(find(&merge.executable, &Digest::of("other")).await, None);
    assert_eq!(store.versions(&branch.model).await.unwrap(), [merge, branch.clone()]);
}

async fn models_are_listed_with_their_channels(database: &Database) {
    let store = &database.store;
    assert!(store.models().await.unwrap().is_empty());
    let (a, b) = (version('a', '1'), version('b', '2'));
    register(store, &a, &["production"]).await;
    register(store, &b, &["staging"]).await;
    let mut other = version('c', '3');
    other.model = model("identity");
    register(store, &other, &["pr-1"]).await;
    let models = store.models().await.unwrap();
    assert_eq!(models.iter().map(|row| row.name.title()).collect::<Vec<_>>(), ["identity", "simple-tax"]);
    assert_eq!((models[0].production.as_ref(), models[0].staging.as_ref(), models[0].versions), (None, None, 1));
    assert_eq!((&models[1].newest, models[1].versions, models[1].created_at), (&b.id, 2, NOW));
    assert_eq!((models[1].production.as_ref(), models[1].staging.as_ref()), (Some(&a.id), Some(&b.id)));
}

async fn moves_have_times_in_their_order_whatever_the_clock_does(database: &Database) {
    let store = &database.store;
    let versions = [version('a', '1'), version('b', '2'), version('c', '3')];
    let mut times = Vec::new();
    // The second comes within the same millisecond, and before the third the clock is set back.
    for (version, now) in versions.iter().zip([at(5), at(5), NOW]) {
        let registered = store.register_version(version, &channels(&["production"]), now).await.unwrap();
        times.extend(registered.stands.iter().map(|moved| moved.at));
    }
    assert_eq!(times, [at(5), Time(at(5).0 + 1), Time(at(5).0 + 2)]);
    let row = &store.channels(&versions[0].model).await.unwrap()[0];
    assert_eq!((&row.version, row.moved_at), (&versions[2].id, times[2]));
}

async fn of_two_contents_of_one_version_at_once_one_is_refused(database: &Database) {
    let handles = [database.store.clone(), database.open_again().await];
    for (commit, turn) in ['a', 'b', 'c', 'd', 'e', 'f'].into_iter().zip(0..) {
        let one = version(commit, '1');
        // The same id: as if a hash had two contents, or a builder had lied.
        let other = Version { executable: Digest::of(format!("other {turn}")), ..one.clone() };
        let registered = channels(&["main"]);
        let (left, right) = tokio::join!(
            handles[turn % 2].register_version(&one, &registered, NOW),
            handles[(turn + 1) % 2].register_version(&other, &registered, NOW),
        );
        let (kept, refused) = match (left, right) {
            (Ok(_), refused) => (&one, refused),
            (refused, Ok(_)) => (&other, refused),
            both => panic!("nobody was registered: {both:?}"),
        };
        let expected =
            Conflict::VersionDiffers { model: one.model.clone(), version: one.id.clone(), field: "executable" };
        assert_eq!(conflict(refused), expected);
        assert_eq!(database.store.version(&one.id).await.unwrap().as_ref(), Some(kept));
        assert_eq!(database.store.versions(&one.model).await.unwrap().len(), turn + 1);
    }
}
