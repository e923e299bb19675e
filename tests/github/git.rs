//! The repositories themselves: real bare ones on disk, with a hook that tells the fake of each push.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::http::{Request, Response};

/// A push's change of one reference.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) before: String,
    pub(crate) after: String,
    pub(crate) reference: String,
}

/// What a reference is that is not there.
pub(crate) const NOTHING: &str = "0000000000000000000000000000000000000000";

/// Makes an empty bare repository whose pushes are told at `received`.
pub(crate) fn make(directory: &Path, port: u16, id: u64) {
    fs::create_dir_all(directory).unwrap();
    git(directory, &["init", "--quiet", "--bare", "--initial-branch", "main", "."]);
    git(directory, &["config", "http.receivepack", "true"]);
    git(directory, &["config", "uploadpack.allowAnySHA1InWant", "true"]);
    write_hook(directory, port, id);
}

fn write_hook(directory: &Path, port: u16, id: u64) {
    let hook = directory.join("hooks/post-receive");
    let text = format!(
        "#!/usr/bin/env bash\n\
         body=$(cat)\n\
         exec 3<>/dev/tcp/127.0.0.1/{port} || exit 0\n\
         printf 'POST /_received/{id} HTTP/1.1\\r\\nx-pusher: %s\\r\\ncontent-length: %s\\r\\n\\r\\n%s' \
         \"${{REMOTE_USER:-$MODELSHIP_USER}}\" \"${{#body}}\" \"$body\" >&3\n\
         head -n 1 <&3 >/dev/null\n"
    );
    fs::create_dir_all(directory.join("hooks")).unwrap();
    fs::write(&hook, text).unwrap();
    let mut mode = fs::metadata(&hook).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    fs::set_permissions(&hook, mode).unwrap();
}

/// Copies a repository with all its branches.
pub(crate) fn fork(from: &Path, to: &Path, port: u16, id: u64) {
    git(from, &["clone", "--quiet", "--bare", ".", to.to_str().unwrap()]);
    git(to, &["config", "http.receivepack", "true"]);
    git(to, &["config", "uploadpack.allowAnySHA1InWant", "true"]);
    write_hook(to, port, id);
}

/// Runs git, which has to succeed.
#[track_caller]
pub(crate) fn git(directory: &Path, arguments: &[&str]) -> String {
    try_git(directory, arguments).unwrap_or_else(|said| panic!("git {arguments:?} in {}: {said}", directory.display()))
}

/// Runs git; what it said is the error.
pub(crate) fn try_git(directory: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .current_dir(directory)
        .env_remove("GIT_DIR")
        .args(["-c", "user.name=GitHub", "-c", "user.email=noreply@github.com", "-c", "safe.directory=*"])
        .args(arguments)
        .output()
        .unwrap();
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// The commit that a branch, tag or hash stands for.
pub(crate) fn commit_of(directory: &Path, name: &str) -> Option<String> {
    let spec = format!("{name}^{{commit}}");
    try_git(directory, &["rev-parse", "--quiet", "--verify", "--end-of-options", &spec])
        .ok()
        .map(|said| said.trim().to_owned())
}

/// The branches with the commits that they point to.
pub(crate) fn branches(directory: &Path) -> Vec<(String, String)> {
    let listed = git(directory, &["for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", "refs/heads/"]);
    let row = |line: &str| line.split_once(' ').map(|(name, commit)| (name.to_owned(), commit.to_owned()));
    listed.lines().filter_map(row).collect()
}

/// How much differs between two commits.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    pub(crate) files: u64,
    pub(crate) additions: u64,
    pub(crate) deletions: u64,
}

/// What a pull request changes: from where it left the base to its head.
pub(crate) fn changed(directory: &Path, base: &str, head: &str) -> Changed {
    let base =
        try_git(directory, &["merge-base", base, head]).map_or_else(|_| base.to_owned(), |said| said.trim().to_owned());
    let mut changed = Changed::default();
    for row in git(directory, &["diff-tree", "-r", "-z", "-M", "--numstat", &base, head]).split('\0') {
        // A renamed file has two more rows, which name it.
        let Some((added, rest)) = row.split_once('\t') else { continue };
        let removed = rest.split('\t').next().unwrap_or_default();
        changed.files += 1;
        changed.additions += added.parse().unwrap_or(0);
        changed.deletions += removed.parse().unwrap_or(0);
    }
    changed
}

/// Serves git over HTTP; the caller has looked who asks.
pub(crate) fn serve(root: &Path, request: &Request, path: &str, user: &str) -> Response {
    let query = request.target.split_once('?').map_or("", |(_, query)| query);
    let mut child = Command::new("git")
        .args(["-c", "safe.directory=*", "http-backend"])
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", &request.method)
        .env("CONTENT_TYPE", request.header("content-type").unwrap_or_default())
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", request.header("content-encoding").unwrap_or_default())
        .env("GIT_PROTOCOL", request.header("git-protocol").unwrap_or_default())
        .env("REMOTE_USER", user)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let body = request.body.clone();
    let writer = std::thread::spawn(move || input.write_all(&body));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join();
    let out = output.stdout;
    let end = out.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(out.len());
    let mut response = Response::empty(200);
    for line in String::from_utf8_lossy(&out[..end]).lines() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        if name.eq_ignore_ascii_case("status") {
            response.status = value.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(500);
        } else {
            response = response.with(&name.to_ascii_lowercase(), value);
        }
    }
    response.body = out.get(end + 4..).unwrap_or_default().to_vec();
    response
}
