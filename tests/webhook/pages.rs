//! What the server shows.

use std::time::Duration;

use modelship::server::{AllowedRepositories, Limits};

use crate::place::*;

#[tokio::test]
async fn a_page_under_a_name_that_anybody_can_point_here_reads_nothing() {
    let server = Server::start().await;
    for path in ["/", "/api/models", "/healthz", "/nowhere"] {
        let request = server.client.get(format!("http://{}{path}", server.address));
        let answer = request.header("host", "evil.example:8080").send().await.unwrap();
        assert_eq!(answer.status(), 421, "{path}");
        assert!(!answer.text().await.unwrap().contains("simple-tax"), "{path}");
    }
    let own = server.client.get(format!("http://{}/api/models", server.address)).header("host", "localhost:1");
    assert_eq!(status(own).await, 200);
}

#[tokio::test]
async fn deliveries_are_counted_by_what_became_of_them() {
    let limits = Limits { database: Duration::from_millis(300), ..Limits::default() };
    let server = Server::with(limits, AllowedRepositories::Any).await;
    let body = push(7, 'a');
    assert_eq!(status(server.request("push", &body)).await, 202);
    for _ in 0..2 {
        assert_eq!(told(server.request("push", &body)).await.1, "repeated");
    }
    assert_eq!(status(server.request("push", &push(7, 'b'))).await, 409);
    assert_eq!(status(server.request("ping", b"{}")).await, 200);
    assert_eq!(status(server.request("star", b"{}")).await, 200);
    assert_eq!(status(server.request("push", b"{}")).await, 200);
    assert_eq!(status(server.unsigned("push", &body)).await, 401);
    assert_eq!(status(server.request("push", &body).header("x-github-delivery", GUID)).await, 400);
    server.set(Database::Down);
    assert_eq!(status(server.request("push", &body)).await, 503);
    assert_eq!(server.get("/metrics").await.0, 503, "what the database knows is not made up");
    server.set(Database::Well);

    let answer = server.client.get(format!("http://{}/metrics", server.address)).send().await.unwrap();
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()), (200, kind));
    let text = answer.text().await.unwrap();
    let mut counted: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("modelship_deliveries_total")).collect();
    counted.sort_unstable();
    assert_eq!(
        counted,
        [
            "{result=\"accepted\"} 1",
            "{result=\"conflicting\"} 1",
            "{result=\"failed\"} 1",
            "{result=\"ignored\"} 3",
            "{result=\"refused\"} 2",
            "{result=\"repeated\"} 2",
        ]
    );
}

#[tokio::test]
async fn pages_and_api_answer_and_never_believe_the_host_header() {
    let server = Server::start().await;
    let request = server.client.get(format!("http://{}/", server.address));
    let answer = request.header("host", "10.1.2.3").header("x-forwarded-host", "evil.example").send().await.unwrap();
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    assert!(answer.headers().contains_key("content-security-policy"));
    let page = answer.text().await.unwrap();
    assert!(page.contains("urban/simple-tax") && page.contains("modelship") && !page.contains("evil"), "{page}");
    assert!(!page.contains("10.1.2.3"), "{page}");

    let (status, models) = server.get("/api/models").await;
    assert_eq!(
        (status.as_u16(), models.as_str()),
        (
            200,
            r#"{"models":[{"model":"urban/simple-tax","repository":{"id":1,"name":"urban/hub"},"channels":[]}],"complete":true}"#
        )
    );
    let known = server.get("/api/models/urban/simple-tax/versions").await;
    assert_eq!(known.1, r#"{"model":"urban/simple-tax","versions":[]}"#);
    assert_eq!(server.get("/api/sweeps").await.1, r#"{"sweeps":[],"complete":true}"#);
    for path in [
        "/api/models/urban/none/versions",
        "/api/models/..%2f..%2fetc/passwd/versions",
        "/api/sweeps/none",
        "/api/sweeps/%00",
        "/nowhere",
        "/webhooks/github/more",
    ] {
        let (status, body) = server.get(path).await;
        assert_eq!(status, 404, "{path}: {body}");
        assert!(body.starts_with("{\"error\":"), "{body}");
    }
    let wrong = server.client.post(format!("http://{}/api/models", server.address)).send().await.unwrap();
    assert_eq!(wrong.status(), 405);
    assert_eq!(server.get("/webhooks/github").await.0, 405);
}
