use secrecy::{ExposeSecret as _, SecretString};

use super::{Database, NOW, on_every_database};

on_every_database!(a_key_is_made_once_whoever_asks_first,);

async fn a_key_is_made_once_whoever_asks_first(database: &Database) {
    let store = &database.store;
    let [one, other] = ["one", "other"].map(SecretString::from);
    assert_eq!(store.key("session", &one, NOW).await.unwrap().expose_secret(), "one");
    assert_eq!(store.key("session", &other, NOW).await.unwrap().expose_secret(), "one");
    assert_eq!(store.key("else", &other, NOW).await.unwrap().expose_secret(), "other");
}
