use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};

use super::*;

fn settings() -> RemoteSettings {
    RemoteSettings {
        directory: PathBuf::new(),
        folders: Vec::new(),
        hosts: Vec::new(),
        search_path: "/usr/local/bin:/usr/bin:/bin".to_owned(),
        environment: Vec::new(),
    }
}

fn remotes(directory: &Path) -> Remotes {
    let hosts = vec!["10.0.0.7".to_owned(), "Localhost".to_owned()];
    Remotes::new(RemoteSettings { directory: directory.to_owned(), hosts, ..settings() })
}

#[test]
fn a_host_that_is_away_is_told_from_what_goes_wrong_here() {
    let place = tempfile::tempdir().unwrap();
    let there = place.path().join("there.git");
    let git = |arguments: &[&str], input: &str| {
        let mut git = std::process::Command::new("git");
        let git = git.arg("--git-dir").arg(&there).args(arguments).stdin(std::process::Stdio::piped());
        let mut child = git.stdout(std::process::Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
    };
    git(&["init", "--quiet", "--bare"], "");
    let tree = git(&["hash-object", "-t", "tree", "-w", "--stdin"], "");
    // It has neither author nor committer.
    let commit = git(&["hash-object", "-t", "commit", "-w", "--stdin", "--literally"], &format!("tree {tree}\n\nx\n"));
    git(&["update-ref", "refs/heads/main", &commit], "");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("http://{}/x.git", listener.local_addr().unwrap());
    drop(listener);
    let malformed = format!("file://{}", there.display());
    let folders = vec![place.path().to_path_buf()];
    let mirror = |settings: RemoteSettings, repo: &str, git_dir: &str| {
        let mirrored = Remotes::new(settings).mirror(repo, &place.path().join(git_dir), None, &Stop::new().unwrap());
        mirrored.unwrap_err()
    };
    let away = mirror(settings(), &closed, "a.git");
    assert!(matches!(&away, FetchError::OutOfReach(said) if said.contains("unable to access")), "{away:?}");
    let refused = mirror(RemoteSettings { folders, ..settings() }, &malformed, "b.git");
    assert!(matches!(refused, FetchError::Refused(_)), "{refused:?}");
    let no_git = mirror(RemoteSettings { search_path: "/nowhere".to_owned(), ..settings() }, &closed, "a.git");
    assert!(matches!(no_git, FetchError::Internal(_)), "{no_git:?}");
    fs_err::write(place.path().join("file"), "").unwrap();
    let no_folder = mirror(settings(), &closed, "file/c.git");
    assert!(matches!(no_folder, FetchError::Internal(_)), "{no_folder:?}");
}

#[test]
fn what_git_says_of_its_end_tells_whose_fault_it_is() {
    let fault = |said: &str| GitError::of(said).about("https://example.org/x.git", "main");
    for away in [
        "fatal: unable to access 'https://example.org/x.git/': The requested URL returned error: 503",
        "fatal: unable to access 'https://example.org/x.git/': The requested URL returned error: 429",
        "error: RPC failed; curl 18 transfer closed\nfatal: early EOF\nfatal: fetch-pack: invalid index-pack output",
    ] {
        assert!(matches!(fault(away), FetchError::OutOfReach(_)), "{away}");
    }
    for refused in [
        "fatal: unable to access 'https://example.org/x.git/': The requested URL returned error: 403",
        "error: RPC failed; curl 23\nfatal: fsck error in packed object\nfatal: fetch-pack: invalid index-pack output",
        "fatal: repository 'https://example.org/x.git/' not found",
        "fatal: unable to access '/root/.gitconfig': Permission denied",
        "",
    ] {
        assert!(matches!(fault(refused), FetchError::Refused(_)), "{refused}");
    }
    let full = fault("fatal: write error: No space left on device\nfatal: fetch-pack: invalid index-pack output");
    let FetchError::Internal(full) = full else { panic!("{full:?}") };
    let kind = full.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
    assert_eq!(kind, Some(std::io::ErrorKind::StorageFull));
}

#[test]
fn no_manifest_leads_git_inside() {
    let mut remotes = remotes(Path::new("/"));
    remotes.resolver.look_up = |_, _| Ok(vec![std::net::IpAddr::from([203, 0, 113, 7])]);
    for inside in [
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/x.git",
        "https://[::1]:8443/x.git",
        "https://0x7f000001/x.git",
        "https://2130706433/x.git",
        "https://127.1:443/x.git",
        "https://10.0.0.8/x.git",
        "https://10.0.0.7.localhost/x.git",
        "ssh://git@192.168.1.1/x.git",
        "ssh://git@[fd00::1]:22/x.git",
        "https://127.0.0.1?x@github.com/x.git",
        "https://github.com@127.0.0.1/x.git",
        "https://%31%32%37.0.0.1/x.git",
    ] {
        let refused = remotes.check_host(inside).expect_err(inside).to_string();
        assert!(refused.contains(&format!("`{inside}`")) && refused.contains("source_hosts"), "{refused}");
    }
    for good in [
        "https://github.com/urban/models.git",
        "ssh://git@example.org:2222/x.git",
        "https://10.0.0.7/x.git",
        "https://localhost:8443/x.git",
        "file:///srv/models",
    ] {
        remotes.check_host(good).expect(good);
    }
}

/// A server that answers each request with this head. Gives its address, and the first lines of what it is asked.
fn serve(head: String) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&asked);
    let answer = move |stream: TcpStream| {
        let mut lines = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
        told.lock().unwrap().extend(lines.next());
        lines.for_each(drop);
        let _ = (&stream)
            .write_all(format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").as_bytes());
    };
    std::thread::spawn(move || listener.incoming().flatten().for_each(answer));
    (address, asked)
}

#[test]
fn no_redirect_leads_git_to_where_nobody_has_looked() {
    let place = tempfile::tempdir().unwrap();
    let remotes = remotes(place.path());
    let git_dir = place.path().join("mirror.git");
    for status in
        ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"]
    {
        let (inner, asked_inside) = serve("200 OK".to_owned());
        let (outer, asked) =
            serve(format!("{status}\r\nlocation: {inner}/models.git/info/refs?service=git-upload-pack"));
        let repo = format!("{outer}/models.git");

        let stop = Stop::new().unwrap();
        let refused = remotes.mirror(&repo, &git_dir, None, &stop).unwrap_err();
        assert!(matches!(&refused, FetchError::Refused(_)), "{refused:?}");
        // What manifests name is looked up and fetched by the same settings; only that it needs TLS.
        let deadline = Instant::now() + TIMEOUT;
        let git = Git {
            remotes: &remotes,
            git_dir: &git_dir,
            transport: "http",
            login: None,
            pin: None,
            deadline,
            stop: &stop,
        };
        let not_found = git.find(&repo, "main").unwrap_err();
        let Err(not_fetched) = git.fetch(&repo, "refs/heads/main", "refs/kept") else { panic!("it was fetched") };
        for error in [refused, not_found, not_fetched.about(&repo, "main")] {
            let said = error.to_string();
            assert!(said.contains(&format!("`{repo}`")) && said.contains("leads on to another address"), "{said}");
        }
        assert_eq!(asked.lock().unwrap().len(), 3, "{asked:?}");
        assert!(asked_inside.lock().unwrap().is_empty(), "{status}: {asked_inside:?}");
    }
}

#[test]
fn git_asks_the_address_that_was_found_and_no_other() {
    let place = tempfile::tempdir().unwrap();
    let git_dir = place.path().join("cache.git");
    Source::create_bare(&git_dir, "main").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, heard) = std::sync::mpsc::channel();
    // Whoever knocks finds a closed door.
    std::thread::spawn(move || listener.accept().map(|_| told.send(())));
    let (remotes, stop) = (remotes(place.path()), Stop::new().unwrap());
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
