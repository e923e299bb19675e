//! How much, how slow, how many, how long.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{join_all, select_all};
use modelship::server::{AllowedRepositories, Limits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::place::*;

#[tokio::test]
async fn twenty_five_megabytes_are_taken_and_one_byte_more_is_not() {
    let server = Server::start().await;
    let limit = Limits::default().body_bytes;
    let mut body = push(7, 'a');
    body.pop();
    body.extend_from_slice(b",\"pad\":\"");
    body.resize(limit - 2, b'x');
    body.extend_from_slice(b"\"}");
    assert_eq!(body.len(), limit);
    assert_eq!(told(server.request("push", &body)).await, (202, "accepted".into()));

    // Announced: refused before a byte of the body is read.
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    let head = raw_request(&server.address, &format!("content-length: {}", limit + 1), b"");
    stream.write_all(&head).await.unwrap();
    assert!(until_closed(stream).await.0.starts_with("HTTP/1.1 413"));

    // Not announced: refused as soon as it is too much, without waiting for the end.
    let stream = TcpStream::connect(&server.address).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let head = raw_request(&server.address, "transfer-encoding: chunked", b"");
    let sender = tokio::spawn(async move {
        writing.write_all(&head).await?;
        let chunk = [b"100000\r\n".to_vec(), vec![b'x'; 0x10_0000], b"\r\n".to_vec()].concat();
        for _ in 0..200 {
            writing.write_all(&chunk).await?;
        }
        Ok::<_, std::io::Error>(())
    });
    let mut start = [0; 12];
    tokio::time::timeout(Duration::from_secs(20), reading.read_exact(&mut start)).await.unwrap().unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
    assert!(sender.await.unwrap().is_err(), "the server did not read 200 MB");
    assert_eq!(server.kept(), 1);
}

#[tokio::test]
async fn all_bodies_together_have_a_limit_that_is_given_back() {
    let limits = Limits { all_bodies_bytes: 64 * 1024, ..Limits::default() };
    let server = Server::with(limits, AllowedRepositories::Any).await;
    let big = vec![b'x'; 128 * 1024];
    assert_eq!(status(server.request("push", &big)).await, 503);
    let fits = vec![b' '; 60 * 1024];
    for _ in 0..3 {
        assert_eq!(told(server.request("push", &fits)).await.1, "ignored");
    }
    assert_eq!(status(server.request("push", &push(7, 'a'))).await, 202);
}

#[tokio::test]
async fn slow_clients_are_cut_off() {
    let limits = Limits {
        headers: Duration::from_millis(300),
        body: Duration::from_millis(300),
        connection: Duration::from_secs(2),
        ..Limits::default()
    };
    let server = Server::with(limits, AllowedRepositories::Any).await;
    let silent = TcpStream::connect(&server.address).await.unwrap();
    let mut half = TcpStream::connect(&server.address).await.unwrap();
    half.write_all(b"POST /webhooks/github HTTP/1.1\r\nhost: x\r\nx-a: ").await.unwrap();
    let mut slow_body = TcpStream::connect(&server.address).await.unwrap();
    slow_body.write_all(&raw_request(&server.address, "content-length: 100", b"{")).await.unwrap();
    let (silent, half, slow) = tokio::join!(until_closed(silent), until_closed(half), until_closed(slow_body));
    assert!(slow.0.starts_with("HTTP/1.1 408"), "{}", slow.0);
    for (_, took) in [silent, half, slow] {
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
    // A connection that behaves is cut off in the end, too.
    let mut idle = TcpStream::connect(&server.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let (answer, took) = until_closed(idle).await;
    assert!(answer.starts_with("HTTP/1.1 200") && took < Duration::from_secs(10));
    assert_eq!(status(server.request("push", &push(7, 'a'))).await, 202);
}

/// Asks for so many models that no buffer holds the answer.
async fn ask_for_much(server: &Server) -> TcpStream {
    server.world.models.store(400_000, Ordering::SeqCst);
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    stream.write_all(b"GET /api/models HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    stream
}

#[tokio::test]
async fn an_answer_may_take_longer_than_a_connection_lasts_as_long_as_it_is_taken() {
    let limits = Limits { connection: Duration::from_millis(400), ..Limits::default() };
    let server = Server::with(limits, AllowedRepositories::Any).await;
    let mut stream = ask_for_much(&server).await;
    let (begin, mut answer, mut piece) = (Instant::now(), Vec::new(), vec![0; 2 << 20]);
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    loop {
        pace.tick().await;
        let mut taken = 0;
        while taken < piece.len() {
            match stream.read(&mut piece).await.unwrap() {
                0 => break,
                bytes => {
                    taken += bytes;
                    answer.extend_from_slice(&piece[..bytes]);
                }
            }
        }
        if taken == 0 {
            break;
        }
    }
    assert!(begin.elapsed() > Duration::from_millis(1200), "{:?}", begin.elapsed());
    assert!(answer.ends_with(b"\"complete\":true}"), "it broke off after {} bytes", answer.len());
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_is_cut_off() {
    let limits = Limits { connection: Duration::from_millis(400), connections: 1, ..Limits::default() };
    let server = Server::with(limits, AllowedRepositories::Any).await;
    let stuck = ask_for_much(&server).await;
    let next = tokio::time::timeout(Duration::from_secs(15), server.get("/healthz")).await;
    assert_eq!(next.expect("the only connection is given up").0, 200);
    drop(stuck);
}

/// Few places, in which a silent connection would stay for minutes.
fn places(connections: usize) -> Limits {
    let minutes = Duration::from_secs(300);
    Limits { headers: minutes, body: minutes, connection: minutes, connections, ..Limits::default() }
}

async fn server_with_places(connections: usize) -> Server {
    Server::with(places(connections), AllowedRepositories::Any).await
}

/// A request after which there comes no other on its connection.
const LAST_ASKED: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// What becomes of a delivery that GitHub would not wait much longer for.
async fn delivered(server: &Server) -> u16 {
    let request = server.request("push", &push(7, 'a')).header("connection", "close");
    let answer = tokio::time::timeout(Duration::from_secs(5), status(request)).await;
    answer.expect("a delivery is answered while GitHub still waits")
}

async fn connect(server: &Server, text: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    stream.write_all(text).await.unwrap();
    stream
}

#[tokio::test]
async fn thousands_of_silent_connections_lock_nobody_out() {
    let server = server_with_places(Limits::default().connections).await;
    let mut silent = Vec::new();
    for _ in 0..2000 {
        silent.push(connect(&server, b"").await);
    }
    assert_eq!(delivered(&server).await, 202);
    // Nor do those that say a little and never enough.
    let body = raw_request(&server.address, "content-length: 100", b"{");
    for head in [&b"POST /webhooks/github HTTP/1.1\r\nhost: x\r\nx-a: "[..], &body] {
        for _ in 0..Limits::default().connections {
            silent.push(connect(&server, head).await);
        }
        assert_eq!(delivered(&server).await, 202);
    }
    drop(silent);
}

#[tokio::test]
async fn whoever_is_a_little_late_with_a_request_keeps_the_place() {
    let server = server_with_places(2).await;
    let mut all = [connect(&server, b"").await, connect(&server, b"").await, connect(&server, b"").await];
    let any_closed = select_all(all.iter().map(|stream| stream.readable().boxed()));
    assert!(tokio::time::timeout(Duration::from_millis(50), any_closed).await.is_err(), "all are waited for");
    for stream in &mut all {
        stream.write_all(LAST_ASKED).await.unwrap();
    }
    let answers = join_all(all.map(until_closed)).await;
    assert!(answers.iter().all(|(answer, _)| answer.starts_with("HTTP/1.1 200")), "{answers:?}");
}

#[tokio::test]
async fn who_was_silent_for_the_longest_leaves_first() {
    let server = server_with_places(2).await;
    let ask = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut first = connect(&server, b"").await;
    let second = connect(&server, b"").await;
    first.write_all(ask).await.unwrap();
    let mut answer = [0; 15];
    first.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    // A third is answered, so somebody has left.
    assert!(until_closed(connect(&server, LAST_ASKED).await).await.0.starts_with("HTTP/1.1 200"));
    assert_eq!(until_closed(second).await.0, "");
    first.write_all(LAST_ASKED).await.unwrap();
    assert!(until_closed(first).await.0.contains("HTTP/1.1 200 OK"), "the one that asked is still there");
}

#[tokio::test]
async fn a_delivery_that_is_being_kept_is_not_cut_off_and_leaves_its_place_afterwards() {
    let limits = Limits { database: Duration::from_millis(500), ..places(1) };
    let server = Server::with(limits, AllowedRepositories::Any).await;
    server.set(Database::Hanging);
    let body = push(7, 'a');
    let request = raw_request(&server.address, &format!("content-length: {}", body.len()), &body);
    let mut first = connect(&server, &request).await;
    while server.asked() == 0 {
        tokio::task::yield_now().await;
    }
    let silent = join_all((0..4).map(|_| connect(&server, b""))).await;
    // It keeps its connection, and its place until it is answered; then it is silent like the others.
    let mut answer = [0; 12];
    first.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 503");
    server.set(Database::Well);
    assert_eq!(delivered(&server).await, 202);
    until_closed(first).await;
    drop(silent);
}

#[tokio::test]
async fn an_answer_that_is_slowly_taken_is_not_cut_off_by_silent_connections() {
    let server = server_with_places(2).await;
    let mut stream = ask_for_much(&server).await;
    let (mut answer, mut piece) = (Vec::new(), vec![0; 1 << 20]);
    for round in 0.. {
        // Once the first of it is here, the request was heard.
        let taken = stream.read(&mut piece).await.unwrap();
        if taken == 0 {
            break;
        }
        answer.extend_from_slice(&piece[..taken]);
        if round < 4 {
            let silent = connect(&server, b"").await;
            let other = connect(&server, LAST_ASKED).await;
            assert!(until_closed(other).await.0.starts_with("HTTP/1.1 200"), "the other place is given away");
            drop(silent);
        }
    }
    assert!(answer.ends_with(b"\"complete\":true}"), "it broke off after {} bytes", answer.len());
}

#[tokio::test]
async fn shutting_down_lets_open_requests_end() {
    let mut server = Server::start().await;
    let body = push(7, 'a');
    let request = raw_request(&server.address, &format!("content-length: {}", body.len()), &body);
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    let (head, tail) = request.split_at(request.len() - 5);
    stream.write_all(head).await.unwrap();
    // The request is under way once another one, sent later, is answered.
    assert_eq!(server.get("/healthz").await.0, 200);
    server.stop.take().unwrap().send(()).unwrap();
    let refused = async {
        while TcpStream::connect(&server.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), refused).await.expect("the listener is closed");
    stream.write_all(tail).await.unwrap();
    assert!(until_closed(stream).await.0.starts_with("HTTP/1.1 202"));
    tokio::time::timeout(Duration::from_secs(5), &mut server.done).await.unwrap().unwrap();
    assert_eq!(server.kept(), 1);
}
