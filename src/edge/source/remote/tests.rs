use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};

use super::*;

fn remotes(directory: &Path) -> Remotes {
    Remotes::new(RemoteSettings {
        directory: directory.to_owned(),
        folders: Vec::new(),
        hosts: vec!["10.0.0.7".to_owned(), "Localhost".to_owned()],
        search_path: "/usr/local/bin:/usr/bin:/bin".to_owned(),
        environment: Vec::new(),
    })
}

#[test]
fn no_manifest_leads_git_inside() {
    let remotes = remotes(Path::new("/"));
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
        let git = Git { remotes: &remotes, git_dir: &git_dir, transport: "http", login: None, deadline, stop: &stop };
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
