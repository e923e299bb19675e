//! HTTP/1.1 as the fake needs it: blocking, one thread for each connection, and able to break off in the middle of an
//! answer, which no proper server does.

use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use serde_json::Value;

/// A request, whole.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query, as sent.
    pub(crate) target: String,
    /// Names are in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The path's parts, decoded.
    pub(crate) fn segments(&self) -> Vec<String> {
        self.path().trim_matches('/').split('/').map(decoded).collect()
    }

    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| decoded(value))
    }

    /// The body; `null` where it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// What stands behind `bearer` or `token`, or the password of git.
    pub(crate) fn token(&self) -> Option<String> {
        let (scheme, rest) = self.header("authorization")?.split_once(' ')?;
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" | "token" => Some(rest.trim().to_owned()),
            _ => None,
        }
    }
}

/// An answer, whole.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json; charset=utf-8".to_owned())];
        Self { status, headers, body: body.to_string().into_bytes() }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// What a connection gets.
pub(crate) enum Reply {
    Whole(Response),
    /// The same, and somebody is told once it is sent.
    Told(Response, Sender<()>),
    /// The head and half of the body.
    Half(Response),
    Nothing,
}

/// A server that ends with this value.
pub(crate) struct Server {
    port: u16,
    over: Arc<AtomicBool>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let over = Arc::new(AtomicBool::new(false));
        let answer = Arc::new(answer);
        let ends = Arc::clone(&over);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(connection) = connection else { continue };
                let (answer, ends) = (Arc::clone(&answer), Arc::clone(&ends));
                std::thread::spawn(move || {
                    let _ = converse(&connection, &*answer, &ends);
                });
            }
        });
        Self { port, over }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn converse(connection: &TcpStream, answer: &dyn Fn(Request) -> Reply, over: &AtomicBool) -> io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(60)))?;
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection);
    while let Some(request) = read_request(&mut reader, connection)? {
        if over.load(Ordering::SeqCst) {
            return Ok(());
        }
        let most = if request.method == "HEAD" { 0 } else { usize::MAX };
        match answer(request) {
            Reply::Whole(response) => write_response(connection, &response, most)?,
            Reply::Told(response, sent) => {
                write_response(connection, &response, most)?;
                let _ = sent.send(());
            }
            Reply::Half(response) => return write_response(connection, &response, response.body.len() / 2),
            Reply::Nothing => return Ok(()),
        }
    }
    Ok(())
}

fn read_request(reader: &mut BufReader<&TcpStream>, mut connection: &TcpStream) -> io::Result<Option<Request>> {
    let Some((first, headers)) = read_head(reader)? else { return Ok(None) };
    let mut words = first.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or("/").to_owned();
    let mut request = Request { method, target, headers, body: Vec::new() };
    if request.header("expect").is_some() {
        connection.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    request.body = match (request.header("transfer-encoding"), request.header("content-length")) {
        (Some(_), _) => read_chunks(reader)?,
        (None, Some(length)) => read_exactly(reader, length.parse().unwrap_or(0))?,
        (None, None) => Vec::new(),
    };
    Ok(Some(request))
}

type Head = (String, Vec<(String, String)>);

fn read_head(reader: &mut impl io::BufRead) -> io::Result<Option<Head>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok(Some((first.trim_end().to_owned(), headers)))
}

fn read_exactly(reader: &mut impl io::Read, length: usize) -> io::Result<Vec<u8>> {
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(body)
}

fn read_chunks(reader: &mut impl io::BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim().split(';').next().unwrap_or_default(), 16);
        let length = length.map_err(|error| io::Error::other(format!("no chunk: {line:?}: {error}")))?;
        body.extend(read_exactly(reader, length)?);
        reader.read_line(&mut String::new())?;
        if length == 0 {
            return Ok(body);
        }
    }
}

fn write_response(mut connection: &TcpStream, response: &Response, most: usize) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {} {}\r\n", response.status, reason(response.status));
    let ours = ["content-length", "transfer-encoding", "connection", "keep-alive"];
    for (name, value) in response.headers.iter().filter(|(name, _)| !ours.contains(&name.as_str())) {
        head += &format!("{name}: {value}\r\n");
    }
    if response.status != 304 && response.status != 204 {
        head += &format!("content-length: {}\r\n", response.body.len());
    }
    head += "\r\n";
    let mut bytes = head.into_bytes();
    bytes.extend(&response.body[..most.min(response.body.len())]);
    connection.write_all(&bytes)
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        302 => "Found",
        202 => "Accepted",
        304 => "Not Modified",
        400..500 => "Refused",
        500.. => "Failed",
        _ => "Said",
    }
}

/// A port that nobody listens at.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Sends a request to the server at `http://host:port` and waits for the whole answer.
pub(crate) fn send(server: &str, request: &Request, patience: Duration) -> io::Result<Response> {
    let address = server.trim_start_matches("http://").trim_end_matches('/');
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(patience))?;
    let mut head =
        format!("{} {} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n", request.method, request.target);
    let ours = ["host", "connection", "content-length", "transfer-encoding", "accept-encoding", "expect"];
    for (name, value) in request.headers.iter().filter(|(name, _)| !ours.contains(&name.as_str())) {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("content-length: {}\r\n\r\n", request.body.len());
    let mut bytes = head.into_bytes();
    bytes.extend(&request.body);
    connection.write_all(&bytes)?;
    let mut reader = BufReader::new(connection);
    let (first, headers) = read_head(&mut reader)?.ok_or_else(|| io::Error::other("the server said nothing"))?;
    let status = first.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    let mut response = Response { status, headers, body: Vec::new() };
    response.body = match (response.header("transfer-encoding"), response.header("content-length")) {
        _ if status == 304 || status == 204 || request.method == "HEAD" => Vec::new(),
        (Some(_), _) => read_chunks(&mut reader)?,
        (None, Some(length)) => read_exactly(&mut reader, length.parse().unwrap_or(0))?,
        (None, None) => {
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest)?;
            rest
        }
    };
    Ok(response)
}

/// Undoes percent encoding.
pub(crate) fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        if let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            out.push(byte);
            at += 3;
        } else {
            // In a query, a plus is a blank.
            out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
