//! The admin listener of a gateway, asked over HTTP by hand.

use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    path::Path,
};

use super::{LIMIT, until};

/// Where a gateway's admin listener is, and what it wants to hear.
#[derive(Debug, Clone)]
pub struct Admin {
    address: SocketAddr,
    token: String,
}

/// What it answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 200 and so on.
    pub status: u16,
    /// The lines of the header behind the first, as they came.
    pub header: String,
    /// Whatever came behind the header.
    pub body: String,
}

impl Admin {
    /// As the data directory of a gateway says that is starting or has started.
    ///
    /// # Panics
    /// When it does not say so in time.
    pub fn of(data_dir: &Path) -> Admin {
        let read = |name: &str| fs::read_to_string(data_dir.join(name)).unwrap_or_default();
        until("the admin listener is announced", || !read("admin-address").is_empty());
        let address = read("admin-address");
        let address = address.trim().parse().unwrap_or_else(|_| panic!("not an address: {address:?}"));
        Admin { address, token: read("admin-token").trim().to_owned() }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The token that the gateway made.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Asks for a page.
    pub fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address))
    }

    /// Sends something with this token.
    pub fn post(&self, path: &str, token: &str, body: &str) -> Answer {
        let host = self.address;
        self.ask(&format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    /// Sends a request as it is, and reads the answer to the end of the connection.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn ask(&self, request: &str) -> Answer {
        let text = self.send(request.as_bytes());
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {request:?}: {text:?}"));
        let (first, header) = head.split_once("\r\n").unwrap_or((head, ""));
        let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.unwrap_or_else(|| panic!("not a status: {first:?}"));
        Answer { status, header: header.to_ascii_lowercase(), body: body.to_owned() }
    }

    /// Sends any bytes and gives what came until the other side closed.
    ///
    /// # Panics
    /// When it does not close.
    pub fn send(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // It may have closed already: then the end is what is read.
        let _ = stream.write_all(bytes);
        read_to_end(&mut stream)
    }

    /// A connection to it.
    ///
    /// # Panics
    /// When nobody listens.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap_or_else(|error| panic!("{}: {error}", self.address));
        stream.set_read_timeout(Some(2 * LIMIT)).expect("a time is set");
        stream
    }

    /// A scrape.
    ///
    /// # Panics
    /// When it is not answered.
    pub fn metrics(&self) -> Metrics {
        let answer = self.get("/metrics");
        assert_eq!(answer.status, 200, "{answer:?}");
        Metrics::parse(&answer.body)
    }
}

/// Everything until the other side closes, as text; a reset is an end too.
///
/// # Panics
/// When it does not close in time.
pub fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes) {
        assert!(!matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "it does not end: {error}");
    }
    let _ = stream.shutdown(Shutdown::Both);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The samples of a scrape.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics {
    text: String,
    /// By name and labels, as they stand there.
    samples: BTreeMap<String, f64>,
}

impl Metrics {
    /// # Panics
    /// When a line is neither a comment nor a sample.
    fn parse(text: &str) -> Metrics {
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let sample = line.rsplit_once(' ').and_then(|(name, value)| Some((name.to_owned(), value.parse().ok()?)));
            sample.unwrap_or_else(|| panic!("not a sample: {line:?}"))
        });
        Metrics { samples: samples.collect(), text: text.to_owned() }
    }

    /// As it came.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names of all metrics, as `# TYPE` says.
    pub fn names(&self) -> Vec<&str> {
        let types = self.text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types.filter_map(|line| line.split(' ').next()).collect()
    }

    /// The sum of all samples of this name whose labels have each of these, written `label="value"`; of all shards, that is.
    ///
    /// # Panics
    /// When there is none.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let is_wanted = |sample: &str| {
            let (own, rest) = sample.split_once('{').unwrap_or((sample, ""));
            own == name && labels.iter().all(|label| rest.trim_end_matches('}').split(',').any(|own| own == *label))
        };
        let mut values =
            self.samples.iter().filter(|(sample, _)| is_wanted(sample)).map(|(_, value)| *value).peekable();
        assert!(values.peek().is_some(), "no sample of {name} with {labels:?}");
        values.sum()
    }
}
