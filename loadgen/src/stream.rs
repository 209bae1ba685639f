//! A user's connection: a socket, and TLS over it where that is wished.

use shardwire_sdk::tls::{Tls, TlsError};

use crate::net::{Progress, Socket};

/// A connected socket.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: Socket,
    tls: Option<Box<Secure>>,
}

#[derive(Debug)]
struct Secure {
    tls: Tls,
    /// Encrypted, and not taken by the socket yet.
    rest: Vec<u8>,
    is_handshake_told: bool,
}

/// How a handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// With a certificate and a signature.
    Full,
    /// With an earlier session's ticket.
    Resumed,
}

impl Stream {
    pub(crate) fn new(socket: Socket, tls: Option<Tls>) -> Stream {
        let secure = |tls| Box::new(Secure { tls, rest: Vec::new(), is_handshake_told: false });
        Stream { socket, tls: tls.map(secure) }
    }

    /// One read from the socket into `buffer`.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> Progress {
        self.socket.read(buffer)
    }

    /// What `bytes`, just read, say: themselves, or what `plaintext` holds then.
    ///
    /// # Errors
    /// When they are no TLS as it should be. The other side is told, as far as its socket takes it.
    pub(crate) fn open<'a>(&mut self, bytes: &'a [u8], plaintext: &'a mut Vec<u8>) -> Result<&'a [u8], TlsError> {
        let Some(secure) = &mut self.tls else {
            return Ok(bytes);
        };
        plaintext.clear();
        if let Err(error) = secure.tls.on_bytes(bytes, plaintext) {
            secure.tls.take_ciphertext(&mut secure.rest);
            self.socket.write(&secure.rest);
            return Err(error);
        }
        Ok(plaintext)
    }

    /// Tells once how the handshake ended.
    pub(crate) fn handshake(&mut self) -> Option<Handshake> {
        let secure = self.tls.as_mut().filter(|secure| !secure.is_handshake_told && secure.tls.is_ready())?;
        secure.is_handshake_told = true;
        Some(if secure.tls.is_resumed() { Handshake::Resumed } else { Handshake::Full })
    }

    /// The other side has closed the connection.
    ///
    /// # Errors
    /// When that was in the middle of the handshake.
    pub(crate) fn on_end(&self) -> Result<(), TlsError> {
        self.tls.as_ref().map_or(Ok(()), |secure| secure.tls.on_end())
    }

    /// Writes from the front of `bytes` what the socket takes, and takes it off.
    ///
    /// # Errors
    /// Says why the connection is over.
    pub(crate) fn write(&mut self, bytes: &mut Vec<u8>) -> Result<(), String> {
        let Some(secure) = &mut self.tls else {
            return drain(&self.socket, bytes);
        };
        loop {
            secure.tls.take_ciphertext(&mut secure.rest);
            drain(&self.socket, &mut secure.rest)?;
            if !secure.rest.is_empty() {
                return Ok(());
            }
            if bytes.is_empty() || !secure.tls.is_ready() {
                // Idle users keep nothing.
                secure.rest = Vec::new();
                return Ok(());
            }
            secure.tls.send(bytes);
            bytes.clear();
        }
    }
}

/// Until the socket takes no more, or all is written.
fn drain(socket: &Socket, bytes: &mut Vec<u8>) -> Result<(), String> {
    while !bytes.is_empty() {
        match socket.write(bytes) {
            Progress::Bytes(len) if len == bytes.len() => bytes.clear(),
            Progress::Bytes(len) => drop(bytes.drain(..len)),
            Progress::Later => return Ok(()),
            Progress::Over(why) => return Err(why),
        }
    }
    Ok(())
}
