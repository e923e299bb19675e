//! Whether `git` goes where it is told.

use std::net::TcpListener;
use std::sync::mpsc;

use super::*;

#[test]
fn git_asks_the_address_that_was_found_and_no_other() {
    let place = tempfile::tempdir().unwrap();
    let settings = RemoteSettings {
        directory: place.path().to_path_buf(),
        folders: Vec::new(),
        hosts: Vec::new(),
        search_path: "/usr/bin:/bin".to_owned(),
        environment: Vec::new(),
    };
    let git_dir = place.path().join("cache.git");
    Source::create_bare(&git_dir, "main").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, heard) = mpsc::channel();
    // Whoever knocks finds a closed door.
    std::thread::spawn(move || listener.accept().map(|_| told.send(())));
    let (remotes, stop) = (Remotes::new(settings), Stop::new().unwrap());
    let git = Git {
        remotes: &remotes,
        git_dir: &git_dir,
        transport: "https",
        login: None,
        pin: Some(format!("models.invalid:{port}:127.0.0.1")),
        deadline: Instant::now() + Duration::from_secs(60),
        stop: &stop,
    };
    // Nobody else knows that name.
    let repo = format!("https://models.invalid:{port}/x.git");
    assert!(git.run(&["ls-remote", "--quiet", "--", &repo]).is_err());
    heard.recv_timeout(Duration::from_secs(20)).expect("git comes by");
}
