//! Asks the running gateway: a minimal HTTP/1.1 client for its admin listener, found through the data directory.
//!
//! One request a connection, no redirects, no chunks: the other side is ours.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::admin::{ADDRESS_FILE, TOKEN_FILE};
use crate::store;

/// The admin listener of a gateway.
#[derive(Debug)]
pub(crate) struct AdminClient {
    data_dir: PathBuf,
    address: SocketAddr,
    token: String,
}

/// What the gateway answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The status: 200 and so on.
    pub(crate) status: u16,
    /// What follows the header, whole.
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    /// No gateway that could be asked uses the data directory. One with `admin.listen = "none"` cannot be asked.
    #[error("{0}: no gateway with an admin listener runs on this data directory")]
    NotRunning(PathBuf),
    /// A file of the data directory that cannot be read, or holds something else.
    #[error("{path}: cannot read: {cause}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The connection failed, or the answer did not come in time. What was asked for may have happened.
    #[error("{address}: no answer from the gateway: {cause}")]
    NoAnswer {
        /// Whom we asked.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// What listens there is no gateway.
    #[error("{0}: what answers there is no shardwire")]
    NotOurs(SocketAddr),
}

impl AdminClient {
    /// The gateway that runs on `data_dir`; with its token from `token_file`, or from where the gateway keeps its own.
    ///
    /// # Errors
    /// [`AdminError::NotRunning`] when nobody uses the store or no address is named, [`AdminError::File`].
    pub(crate) fn find(data_dir: &Path, token_file: Option<&Path>) -> Result<AdminClient, AdminError> {
        let path = data_dir.join(ADDRESS_FILE);
        let not_running = || AdminError::NotRunning(data_dir.to_owned());
        if store::holder(data_dir).is_none() {
            // A gateway that was killed leaves its address behind. By now it may be anybody's, and the token is not for anybody.
            return Err(not_running());
        }
        let text = match fs::read_to_string(&path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(not_running());
            }
            other => other.map_err(|cause| AdminError::File { path: path.clone(), cause })?,
        };
        let is_no_address = |_| AdminError::File { path, cause: io::Error::other("it holds no address") };
        let address = text.trim().parse().map_err(is_no_address)?;
        let path = token_file.map_or_else(|| data_dir.join(TOKEN_FILE), Path::to_owned);
        let token = fs::read_to_string(&path).map_err(|cause| AdminError::File { path, cause })?;
        Ok(AdminClient { data_dir: data_dir.to_owned(), address, token: token.trim().to_owned() })
    }

    /// Sends `body` (JSON, or nothing) to `path`, with the token. Any status is an answer.
    ///
    /// # Errors
    /// [`AdminError::NotRunning`] when nobody listens there any more, [`AdminError::NoAnswer`], [`AdminError::NotOurs`].
    pub(crate) fn post(&self, path: &str, body: &[u8]) -> Result<Answer, AdminError> {
        let AdminClient { data_dir, address, token } = self;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let bytes = exchange(*address, &[head.as_bytes(), body].concat()).map_err(|cause| match cause.kind() {
            io::ErrorKind::ConnectionRefused => AdminError::NotRunning(data_dir.clone()),
            _ => AdminError::NoAnswer { address: *address, cause },
        })?;
        parse(&bytes).ok_or(AdminError::NotOurs(*address))
    }
}

/// Sends `request` and reads to the end.
fn exchange(address: SocketAddr, request: &[u8]) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + ANSWER_TIME_MAX;
    let mut stream = TcpStream::connect_timeout(&address, CONNECT_TIME_MAX)?;
    stream.set_write_timeout(Some(CONNECT_TIME_MAX))?;
    stream.write_all(request)?;
    let (mut answer, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
    while answer.len() <= ANSWER_LEN_MAX {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(answer),
            Ok(len) => answer.extend_from_slice(buffer.get(..len).expect("read says how much it read")),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // What a timeout on a socket is called depends on the system.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("the answer is too long"))
}

/// `None` for what is no whole answer of HTTP/1.1.
fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let body = bytes.get(end + 4..)?.to_vec();
    let mut len: Option<usize> = None;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            len = Some(value.trim().parse().ok()?);
        }
    }
    (len? == body.len()).then_some(Answer { status, body })
}

/// To reach a port of this machine.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// A command may wait for a password to be hashed, behind others.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// A list of a million accounts fits.
const ANSWER_LEN_MAX: usize = 256 << 20;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Says that a gateway with this address uses the store, for as long as the file is open.
    fn hold(dir: &Path, address: SocketAddr) -> fs::File {
        fs::write(dir.join(ADDRESS_FILE), format!("{address}\n")).unwrap();
        fs::write(dir.join(TOKEN_FILE), "secret\n").unwrap();
        let lock = fs::File::create(dir.join("lock")).unwrap();
        lock.lock().unwrap();
        lock
    }

    /// A data directory whose gateway gives this answer, and the request that came.
    fn ask(answer: &[u8]) -> (Result<Answer, AdminError>, String) {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _lock = hold(dir.path(), listener.local_addr().unwrap());
        let answer = answer.to_vec();
        let gateway = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut request, mut byte) = (Vec::new(), [0]);
            while !request.ends_with(b"\r\n\r\nbody") {
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            stream.write_all(&answer).unwrap();
            String::from_utf8(request).unwrap()
        });
        let answer = AdminClient::find(dir.path(), None).unwrap().post("/drain", b"body");
        (answer, gateway.join().unwrap())
    }

    #[test]
    fn a_request_carries_the_token_and_an_answer_its_status_and_body() {
        let (answer, request) = ask(b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\nok");
        assert_eq!(answer.unwrap(), Answer { status: 202, body: b"ok".to_vec() });
        assert!(request.starts_with("POST /drain HTTP/1.1\r\nHost: 127.0.0.1:"), "{request}");
        assert!(request.contains("\r\nAuthorization: Bearer secret\r\n"), "{request}");
        assert!(request.contains("\r\nContent-Length: 4\r\n"), "{request}");
    }

    #[test]
    fn half_an_answer_and_something_else_than_one_are_told_apart_from_answers() {
        for bytes in
            [&b""[..], b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok", b"HTTP/1.1 200"]
        {
            let (answer, _) = ask(bytes);
            assert!(matches!(answer, Err(AdminError::NotOurs(_))), "{answer:?}");
        }
    }

    #[test]
    fn no_gateway_and_a_killed_one_do_not_run() {
        let dir = tempfile::tempdir().unwrap();
        let answer = AdminClient::find(dir.path(), None);
        assert!(matches!(answer, Err(AdminError::NotRunning(_))), "{answer:?}");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let lock = hold(dir.path(), listener.local_addr().unwrap());
        let client = AdminClient::find(dir.path(), None).unwrap();
        drop(lock);
        let answer = AdminClient::find(dir.path(), None);
        assert!(matches!(answer, Err(AdminError::NotRunning(_))), "{answer:?}");
        drop(listener);
        let answer = client.post("/drain", b"");
        assert!(matches!(answer, Err(AdminError::NotRunning(_))), "{answer:?}");
    }
}
