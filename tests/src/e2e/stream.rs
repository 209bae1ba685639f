//! The bytes of a connection, in the clear or inside TLS.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use rustix::net::{AddressFamily, SocketType, bind, socket};
use shardwire_sdk::tls::{Tls, TlsConfig, TlsError};

use super::LIMIT;

/// A connected socket.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

/// With a complete handshake.
#[derive(Debug)]
pub(super) struct TlsStream {
    socket: TcpStream,
    tls: Tls,
    /// Decrypted and not read yet.
    plaintext: Vec<u8>,
}

impl Stream {
    /// Without TLS.
    pub(super) fn plain(addr: SocketAddr) -> Stream {
        Stream::Plain(connect(addr))
    }

    /// Without TLS, from an address of this machine.
    pub(super) fn plain_from(source: Ipv4Addr, addr: SocketAddr) -> Stream {
        let connect = || {
            let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
            bind(&socket, &SocketAddr::from((source, 0)))?;
            rustix::net::connect(&socket, &addr)?;
            Ok::<_, rustix::io::Errno>(TcpStream::from(socket))
        };
        let socket = connect().expect("the gateway listens, and all of 127.0.0.0/8 is this machine");
        socket.set_nodelay(true).expect("a socket has this option");
        Stream::Plain(socket)
    }

    /// With TLS, to a gateway that must prove to be `localhost`.
    pub(super) fn tls(addr: SocketAddr, config: &TlsConfig) -> Result<Stream, TlsError> {
        let tls = Tls::new(config, "localhost")?;
        let mut stream = TlsStream { socket: connect(addr), tls, plaintext: Vec::new() };
        let deadline = Instant::now() + LIMIT;
        while !stream.tls.is_ready() {
            stream.flush().expect("the connection is open");
            let left = deadline.saturating_duration_since(Instant::now());
            stream.socket.set_read_timeout(Some(left)).expect("a timeout above 0");
            match stream.take_in() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(error),
                Err(error) => panic!("no handshake within {LIMIT:?}: {error}"),
            }
        }
        stream.flush().expect("the connection is open");
        Ok(Stream::Tls(Box::new(stream)))
    }

    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.write_all(bytes),
            Stream::Tls(stream) => {
                stream.tls.send(bytes);
                stream.flush()
            }
        }
    }

    /// At most `timeout`, which is above 0; [`ErrorKind::WouldBlock`] or [`ErrorKind::TimedOut`] after it, or earlier.
    pub(super) fn read(&mut self, chunk: &mut [u8], timeout: Duration) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => {
                socket.set_read_timeout(Some(timeout))?;
                socket.read(chunk)
            }
            Stream::Tls(stream) => {
                stream.socket.set_read_timeout(Some(timeout))?;
                stream.read(chunk)
            }
        }
    }

    pub(super) fn close_write(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.shutdown(Shutdown::Write),
            Stream::Tls(stream) => {
                stream.tls.close();
                stream.flush()?;
                stream.socket.shutdown(Shutdown::Write)
            }
        }
    }

    /// Whether the gateway has ended the TLS session in order.
    pub(super) fn was_told_goodbye(&self) -> bool {
        matches!(self, Stream::Tls(stream) if stream.tls.is_closed_by_peer())
    }

    /// Whether an earlier TLS session was resumed.
    pub(super) fn is_resumed(&self) -> bool {
        matches!(self, Stream::Tls(stream) if stream.tls.is_resumed())
    }
}

impl TlsStream {
    fn flush(&mut self) -> io::Result<()> {
        let mut ciphertext = Vec::new();
        self.tls.take_ciphertext(&mut ciphertext);
        self.socket.write_all(&ciphertext)
    }

    /// Waits for bytes of the gateway and decrypts them.
    fn take_in(&mut self) -> io::Result<Result<(), TlsError>> {
        let mut chunk = vec![0; 16 * 1024];
        let len = self.socket.read(&mut chunk)?;
        if len == 0 {
            return Ok(self.tls.on_end().and(Err(TlsError::Cut)));
        }
        let result = self.tls.on_bytes(&chunk[..len], &mut self.plaintext);
        if result.is_err() {
            // What tells the gateway of it; that it is gone already is no surprise.
            let _ = self.flush();
        }
        Ok(result)
    }

    fn read(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        if self.plaintext.is_empty() && !self.tls.is_closed_by_peer() {
            match self.take_in()? {
                Ok(()) => {}
                Err(TlsError::Cut) => return Ok(0),
                Err(error) => panic!("TLS of the gateway: {error}"),
            }
        }
        if self.plaintext.is_empty() && !self.tls.is_closed_by_peer() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let len = chunk.len().min(self.plaintext.len());
        chunk[..len].copy_from_slice(&self.plaintext[..len]);
        self.plaintext.drain(..len);
        Ok(len)
    }
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&addr, LIMIT).expect("the gateway listens");
    stream.set_nodelay(true).expect("a socket has this option");
    stream
}
