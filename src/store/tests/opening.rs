use super::{Database, NOW, claim_event, event, on_every_database};
use crate::store::{Store, StoreError};

on_every_database!(
    many_can_open_a_new_database_at_once,
    an_abandoned_transaction_frees_the_lock,
    readers_do_not_wait_for_a_writer,
    many_writers_on_two_handles_all_get_their_turn,
);

async fn many_can_open_a_new_database_at_once(database: &Database) {
    let openings: Vec<_> = (0..6)
        .map(|_| {
            let url = database.fresh.clone();
            tokio::spawn(async move { Store::open(&url).await })
        })
        .collect();
    for opening in openings {
        opening.await.unwrap().unwrap().check_ready().await.unwrap();
    }
}

async fn an_abandoned_transaction_frees_the_lock(database: &Database) {
    let store = &database.store;
    let mut transaction = store.write().await.unwrap();
    crate::store::queue::enqueue::events(&mut transaction, &[event(1, "never")], NOW).await.unwrap();
    drop(transaction);
    store.enqueue_events(&[event(1, "kept")], NOW).await.unwrap();
    let claimed = claim_event(store, NOW).await.unwrap();
    assert_eq!(super::what(&claimed), "kept");
}

async fn readers_do_not_wait_for_a_writer(database: &Database) {
    let store = &database.store;
    let mut transaction = store.write().await.unwrap();
    crate::store::queue::enqueue::events(&mut transaction, &[event(1, "unseen")], NOW).await.unwrap();
    assert_eq!(store.pending(NOW).await.unwrap().events, 0, "what is not committed is not seen");
    transaction.commit().await.unwrap();
    assert_eq!(store.pending(NOW).await.unwrap().events, 1);
}

async fn many_writers_on_two_handles_all_get_their_turn(database: &Database) {
    let handles = [database.store.clone(), database.open_again().await];
    let writers: Vec<_> = (0..100)
        .map(|number| {
            let store = handles[number % 2].clone();
            tokio::spawn(async move { store.enqueue_events(&[event(number as u64, "written")], NOW).await })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    assert_eq!(database.store.pending(NOW).await.unwrap().events, 100);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_said_to_be_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.txt");
    fs_err::write(&file, "these are notes, not tables, and far more than one hundred bytes of them ".repeat(20))
        .unwrap();
    let error = Store::open(&format!("sqlite:{}", file.display())).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
}

#[tokio::test]
async fn a_database_that_cannot_be_made_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("file"), "").unwrap();
    let url = format!("sqlite:{}", folder.path().join("file/modelship.db").display());
    assert!(matches!(Store::open(&url).await.unwrap_err(), StoreError::Unavailable(_)));
}

#[tokio::test]
async fn an_unknown_kind_of_database_is_refused_with_what_to_write() {
    let error = Store::open("mysql://ada:secret@host/db").await.unwrap_err();
    insta::assert_snapshot!(error, @"`mysql://host/db` is no database that modelship can open: write `sqlite:` and the path of a file, or `postgres://user:password@host:port/database`");
}

#[tokio::test]
async fn every_commit_reaches_the_disk() {
    let database = Database::sqlite().await;
    let pragma = async |pool: &sqlx::AnyPool, statement: &'static str| {
        let row = sqlx::query(statement).fetch_one(pool).await.unwrap();
        sqlx::Row::try_get::<i64, _>(&row, 0).unwrap()
    };
    let store = &database.store;
    assert_eq!(pragma(&store.writer, "PRAGMA synchronous").await, 2, "FULL");
    assert_eq!(pragma(&store.writer, "PRAGMA foreign_keys").await, 1);
    assert_eq!(pragma(&store.reader, "PRAGMA query_only").await, 1);
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&store.reader).await.unwrap();
    assert_eq!(mode, "wal");
}
