//! A client of GitHub that others wrote gets along with the fake.

use octocrab::Octocrab;
use octocrab::models::{AppId, InstallationId};
use serde_json::{Value, json};

use crate::place::{HUB, Place};

#[test]
fn octocrab_works_as_the_app() {
    let place = Place::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let key = jsonwebtoken::EncodingKey::from_rsa_pem(place.github.private_key().as_bytes()).unwrap();
        let app = Octocrab::builder()
            .base_uri(place.github.url())
            .unwrap()
            .app(AppId(place.github.app_id()), key)
            .build()
            .unwrap();
        let client = app.installation(InstallationId(place.github.installation_id())).unwrap();
        let comment = client.issues("urban", "hub").create_comment(1, "planned").await.unwrap();
        let route = format!("/repos/urban/hub/issues/comments/{}", comment.id);
        let changed: Value = client.patch(route, Some(&json!({"body": "done"}))).await.unwrap();
        assert_eq!(changed["body"], "done");
        assert_eq!(client.issues("urban", "hub").list_comments(1).send().await.unwrap().items.len(), 1);
        assert_eq!(client.pulls("urban", "hub").get(1).await.unwrap().number, 1);
        // Its own way to change a comment is not in GitHub's contract.
        assert!(client.issues("urban", "hub").update_comment(comment.id, "again").await.is_err());
    });
    assert_eq!(place.github.app_comments(HUB, 1)[0].body, "done");
    assert_eq!(place.github.take_complaints().len(), 1);
}
