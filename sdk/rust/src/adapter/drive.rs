//! What lies between a socket and the client, the same for every runtime: the clock, TLS, and what went wrong.

use std::io;
use std::mem;
use std::time::{Duration, Instant};

use crate::tls::{Tls, TlsError};
use crate::{Client, Endpoint, Event, Store};

/// Why a connection ended or did not come about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// The system says so.
    #[error("{text}")]
    Io {
        /// What kind of error.
        kind: io::ErrorKind,
        /// The system's words.
        text: String,
    },
    /// There is no TLS with the other side.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Io { kind: error.kind(), text: error.to_string() }
    }
}

/// A client, the TLS of its connection, and its clock.
#[derive(Debug)]
pub(super) struct Drive<S> {
    pub(super) client: Client<S>,
    pub(super) endpoint: Endpoint,
    /// Why the last connection ended or did not come about, if that is known.
    pub(super) trouble: Option<Trouble>,
    /// Of the connection that there is.
    tls: Option<Box<Tls>>,
    /// Zero of the client's clock.
    begun: Instant,
}

impl<S: Store> Drive<S> {
    pub(super) fn new(client: Client<S>, endpoint: Endpoint) -> Drive<S> {
        Drive { client, endpoint, trouble: None, tls: None, begun: Instant::now() }
    }

    pub(super) fn now_us(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).expect("half a million years")
    }

    pub(super) fn tick(&mut self) {
        self.client.on_tick(self.now_us());
    }

    pub(super) fn next_event(&mut self) -> Option<Event> {
        self.client.poll_event()
    }

    pub(super) fn is_connection_due(&self) -> bool {
        self.client.connect_at().is_some_and(|at_us| at_us <= self.now_us())
    }

    /// How long until the next attempt to connect, if the client waits for one.
    pub(super) fn reconnect_in(&self) -> Option<Duration> {
        let at_us = self.client.connect_at()?;
        Some(Duration::from_micros(at_us.saturating_sub(self.now_us())))
    }

    /// How long until the client has something to do by itself; none if it never has.
    pub(super) fn idle_for(&self) -> Option<Duration> {
        let at_us = self.client.connect_at().into_iter().chain(self.client.next_deadline()).min()?;
        Some(Duration::from_micros(at_us.saturating_sub(self.now_us())))
    }

    /// The socket is connected.
    pub(super) fn on_connected(&mut self) -> Result<(), Trouble> {
        self.trouble = None;
        self.tls = match self.endpoint.tls_config() {
            Some(config) => Some(Box::new(Tls::new(config, self.endpoint.host())?)),
            None => None,
        };
        // From here on the client's own deadline runs, over the handshake, too.
        self.client.on_connected(self.now_us());
        Ok(())
    }

    /// Bytes came from the socket. After an error there may still be something to write.
    pub(super) fn on_bytes(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let now_us = self.now_us();
        let Some(tls) = &mut self.tls else {
            self.client.on_bytes(now_us, bytes);
            return Ok(());
        };
        let mut plaintext = Vec::new();
        let result = tls.on_bytes(bytes, &mut plaintext);
        if !plaintext.is_empty() {
            self.client.on_bytes(now_us, &plaintext);
        }
        result.map_err(Trouble::Tls)
    }

    /// Whether nothing more will come, as the other side itself said.
    pub(super) fn is_over(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_closed_by_peer())
    }

    /// The other side has closed the socket.
    pub(super) fn on_end(&self) -> Result<(), Trouble> {
        Ok(self.tls.as_ref().map_or(Ok(()), |tls| tls.on_end())?)
    }

    /// What is to be written to the socket, all of it and in order.
    pub(super) fn take_outgoing(&mut self) -> Vec<u8> {
        let Some(tls) = &mut self.tls else {
            return mem::take(self.client.transmit());
        };
        if tls.is_ready() {
            tls.send(&mem::take(self.client.transmit()));
        }
        let mut ciphertext = Vec::new();
        tls.take_ciphertext(&mut ciphertext);
        ciphertext
    }

    /// Whether [`Drive::take_outgoing`] has something to give.
    pub(super) fn has_outgoing(&mut self) -> bool {
        let has_plaintext = !self.client.transmit().is_empty();
        match &self.tls {
            Some(tls) => tls.has_ciphertext() || tls.is_ready() && has_plaintext,
            None => has_plaintext,
        }
    }

    /// The application wants nothing more: what is committed is confirmed, and the other side is told that this is the end.
    pub(super) fn finish(&mut self) {
        self.client.finish();
        if let Some(tls) = &mut self.tls
            && tls.is_ready()
        {
            tls.send(&mem::take(self.client.transmit()));
            tls.close();
        }
    }

    /// The connection is gone, or did not come about.
    pub(super) fn on_lost(&mut self, trouble: Option<Trouble>) {
        if trouble.is_some() {
            self.trouble = trouble;
        }
        self.tls = None;
        self.client.on_disconnected(self.now_us());
    }
}
