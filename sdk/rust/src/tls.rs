//! TLS 1.3 for a client, without input or output: ciphertext in, plaintext out, and the other way round.
//!
//! A transport makes a [`Tls`] for each connection from one [`TlsConfig`], which holds what is trusted and remembers sessions: the
//! second connection to a gateway resumes the first one's session and is spared certificates and signatures. The adapters of this
//! crate do all that when their [`Endpoint`](crate::Endpoint) is one with TLS.
//!
//! Nothing is trusted by default, not what the system trusts either: a gateway of one's own mostly has a certificate of one's own,
//! and a client that would also believe a hundred authorities is weaker for nothing. For a certificate of a public authority give
//! the system's bundle (on Debian `/etc/ssl/certs/ca-certificates.crt`) as the file.

mod config;
mod error;

use std::fmt;
use std::io::{ErrorKind, Read as _, Write as _};

use rustls::client::ClientConnection;
use rustls::pki_types::ServerName;
use rustls::{Error, HandshakeKind};

pub use config::TlsConfig;
pub use error::TlsError;

/// One connection's TLS. About 2 KiB, and up to 20 KiB more while a record is incomplete.
///
/// After each call that can have made some, what [`Tls::take_ciphertext`] gives is to be written, also after an error: it tells the
/// other side what is wrong.
pub struct Tls {
    connection: ClientConnection,
    /// Something came that was TLS.
    has_heard: bool,
    /// An error was told: nothing is sent any more but what tells the other side of it.
    is_broken: bool,
    is_closed_by_peer: bool,
}

impl Tls {
    /// A connection to `host`, a name or an IP address, which the gateway's certificate must be for. A ClientHello waits to be
    /// written.
    ///
    /// # Errors
    /// [`TlsError::Name`]; [`TlsError::Broken`] when the system has no randomness.
    pub fn new(config: &TlsConfig, host: &str) -> Result<Tls, TlsError> {
        let name = ServerName::try_from(host).map_err(|_| TlsError::Name { name: host.to_owned() })?;
        let mut connection = ClientConnection::new(config.shared(), name.to_owned()).map_err(TlsError::of)?;
        // What waits here is bounded by who hands it in.
        connection.set_buffer_limit(None);
        Ok(Tls { connection, has_heard: false, is_broken: false, is_closed_by_peer: false })
    }

    /// Bytes came. What they say is appended to `plaintext`; before an error, too, if there is any.
    ///
    /// # Errors
    /// [`TlsError`]: the connection is of no use any more.
    pub fn on_bytes(&mut self, ciphertext: &[u8], plaintext: &mut Vec<u8>) -> Result<(), TlsError> {
        let result = self.decrypt(ciphertext, plaintext).and_then(|()| self.check_protocol());
        self.is_broken |= result.is_err();
        result
    }

    fn decrypt(&mut self, ciphertext: &[u8], plaintext: &mut Vec<u8>) -> Result<(), TlsError> {
        let mut rest = ciphertext;
        while !rest.is_empty() && !self.is_closed_by_peer {
            match self.connection.read_tls(&mut rest) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => return Err(TlsError::Broken { what: error.to_string() }),
            }
            let state = self.connection.process_new_packets().map_err(|error| self.explain(error))?;
            self.has_heard = true;
            self.is_closed_by_peer = state.peer_has_closed();
            match self.connection.reader().read_to_end(plaintext) {
                Err(error) if error.kind() != ErrorKind::WouldBlock => {
                    return Err(TlsError::Broken { what: error.to_string() });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A peer that does not choose among protocols at all is none of ours either.
    fn check_protocol(&self) -> Result<(), TlsError> {
        match self.connection.alpn_protocol() {
            _ if self.connection.is_handshaking() => Ok(()),
            Some(protocol) if protocol == config::ALPN => Ok(()),
            _ => Err(TlsError::Protocol),
        }
    }

    /// The transport was closed by the other side: whether that was in order.
    ///
    /// # Errors
    /// [`TlsError::Cut`] when the handshake was not complete. After it, an end without a farewell is none: frames say themselves
    /// where they end.
    pub fn on_end(&self) -> Result<(), TlsError> {
        if self.connection.is_handshaking() { Err(TlsError::Cut) } else { Ok(()) }
    }

    /// Whether plaintext may be sent: the handshake is complete, and who is on the other side is proven.
    pub fn is_ready(&self) -> bool {
        !self.is_broken && !self.connection.is_handshaking()
    }

    /// Encrypts `plaintext`. Only for a connection that [is ready](Tls::is_ready).
    pub fn send(&mut self, plaintext: &[u8]) {
        debug_assert!(self.is_ready());
        // Without a limit on the buffer nothing is left over.
        let _ = self.connection.writer().write_all(plaintext);
    }

    /// Tells the other side that nothing follows.
    pub fn close(&mut self) {
        self.connection.send_close_notify();
    }

    /// Whether there is something to be written to the transport.
    pub fn has_ciphertext(&self) -> bool {
        self.connection.wants_write()
    }

    /// Appends what is to be written to the transport. The caller writes all of it, in order.
    pub fn take_ciphertext(&mut self, ciphertext: &mut Vec<u8>) {
        while self.connection.wants_write() {
            // A Vec takes everything.
            let _ = self.connection.write_tls(ciphertext);
        }
    }

    /// Whether an earlier session was resumed. False while the handshake lasts.
    pub fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Whether the other side said that nothing follows.
    pub fn is_closed_by_peer(&self) -> bool {
        self.is_closed_by_peer
    }

    fn explain(&self, error: Error) -> TlsError {
        match error {
            Error::InvalidMessage(_) if !self.has_heard => TlsError::NotTls,
            error => TlsError::of(error),
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("is_ready", &self.is_ready()).finish_non_exhaustive()
    }
}
