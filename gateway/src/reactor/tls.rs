//! TLS 1.3 on a connection: rustls as a state machine without buffers of its own, between the sockets and the frames.
//!
//! ```text
//! socket ──recv──► shared buffer ──open──► shared plaintext ──cut──► frames     what is incomplete: `incoming`, `Conn::unread`
//! socket ◄──send── shared scratch ◄──seal── `Conn::unsent` ◄──write── frames    what was not taken: `sealed`
//! ```
//! An idle session holds no buffer: its state and nothing else is about 2.3 KiB, boxed. What comes is decrypted at once, however
//! often the connection was paused meanwhile, so `incoming` never holds a whole record, and to encrypt never has to read first.
//!
//! Only clients that name this protocol by ALPN are served (RFC 7301), so that nobody can be led to speak to this port by mistake or
//! by malice (the ALPACA attacks). To name others is answered with the alert `no_application_protocol`. Who names none may complete
//! the handshake, as tools that look at servers do, and is sent away before anything else of it is read.

use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic};
use rustls::{AlertDescription, Error, ServerConfig};

use super::buffers::{HEADROOM, Pool, Queue, Shared};
use crate::tls_config::ALPN;

/// The TLS session of a connection. May move to another thread at any time, also in mid-record or in mid-handshake.
pub(crate) struct Tls {
    session: UnbufferedServerConnection,
    /// What came and is no whole record yet, or no whole handshake message. `incoming.len() <= HEADROOM`
    incoming: Queue,
    /// Encrypted and not sent.
    pub(crate) sealed: Queue,
    state: State,
    has_said_goodbye: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Alive,
    /// The peer has said that nothing follows.
    Ended,
    /// It cannot be used any more. An alert that tells the peer why is in `sealed`.
    Failed,
}

impl Tls {
    /// A session of which nothing has come yet; `None` when the configuration does not make one.
    pub(crate) fn new(config: Arc<ServerConfig>) -> Option<Box<Tls>> {
        let session = UnbufferedServerConnection::new(config).ok()?;
        Some(Box::new(Tls {
            session,
            incoming: Queue::default(),
            sealed: Queue::default(),
            state: State::Alive,
            has_said_goodbye: false,
        }))
    }

    /// Whether frames cannot pass yet.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Whether the client's greeting was answered. From there on it has keys to expect everything under.
    pub(crate) fn is_greeted(&self) -> bool {
        self.session.negotiated_key_exchange_group().is_some()
    }

    /// Whether a record, or a handshake message, has come in part.
    pub(crate) fn is_in_mid_record(&self) -> bool {
        !self.incoming.is_empty()
    }

    /// Whether nothing more can be read: the peer said so, or the session failed.
    pub(crate) fn is_over(&self) -> bool {
        self.state != State::Alive
    }

    /// Whether nothing more can be written either.
    pub(crate) fn is_failed(&self) -> bool {
        self.state == State::Failed
    }

    /// Takes the `len` bytes that were read into `shared`: what they hold for the application is appended to its plaintext, what
    /// answers them to `sealed`. Says how many records that were.
    pub(crate) fn open(&mut self, shared: &mut Shared, len: usize, scratch: &mut [u8], pool: &mut Pool) -> usize {
        if self.is_over() {
            return 0;
        }
        if self.still_lacks(len) {
            let bytes = shared.room().get(..len).expect("they were read into it");
            self.incoming.push(bytes, pool);
            return 0;
        }
        let was_handshaking = self.is_handshaking();
        let mut plain = std::mem::take(&mut shared.plain);
        let mut bytes = shared.behind(&self.incoming, len);
        self.incoming.clear(pool);
        let record_count = count_records(bytes);
        let mut has_more = true;
        while has_more && self.state == State::Alive {
            let taken;
            (taken, has_more) = self.advance(bytes, &mut plain, scratch, pool);
            bytes = bytes.get_mut(taken..).expect("it takes no more than there is");
        }
        if was_handshaking && !self.is_handshaking() && self.session.alpn_protocol() != Some(ALPN) {
            self.state = State::Ended;
            plain.clear();
        }
        if !self.is_over() && !bytes.is_empty() {
            if bytes.len() <= HEADROOM {
                self.incoming.push(bytes, pool);
            } else {
                self.refuse(AlertDescription::DecodeError, pool);
            }
        }
        shared.plain = plain;
        record_count
    }

    /// Encrypts from the front of `unsent` what fits into `scratch`, behind what the session itself has to say; after the last
    /// byte, if `is_last`, that nothing follows. Says how many bytes `scratch` then holds: 0 when nothing can be encrypted now.
    ///
    /// `sealed` is to be empty: what it holds is to be sent first.
    pub(crate) fn seal(&mut self, unsent: &mut Queue, is_last: bool, scratch: &mut [u8], pool: &mut Pool) -> usize {
        if self.is_failed() {
            unsent.clear(pool);
            return 0;
        }
        let is_handshaking = self.is_handshaking();
        if is_last && is_handshaking {
            // It will never be over.
            unsent.clear(pool);
        }
        let says_goodbye = is_last && !self.has_said_goodbye;
        if (unsent.is_empty() || is_handshaking) && !says_goodbye {
            return 0;
        }
        // Whole records of it were opened when they came: there is nothing to be read here.
        let mut incoming = std::mem::take(&mut self.incoming);
        let status = self.session.process_tls_records(&mut incoming);
        let sealed = match status.state {
            Ok(ConnectionState::WriteTraffic(traffic)) => {
                let sealed = seal_all(traffic, unsent, says_goodbye, scratch, pool);
                self.has_said_goodbye |= sealed.is_ok() && says_goodbye && unsent.is_empty();
                sealed
            }
            // Before there are keys nothing can be said.
            Ok(ConnectionState::BlockedHandshake) => Ok(0),
            _ => Err(EncryptError::EncryptExhausted),
        };
        self.incoming = incoming;
        sealed.unwrap_or_else(|_| {
            self.fail(pool);
            unsent.clear(pool);
            0
        })
    }

    /// One step of the session. Says how many bytes it has used up, and whether another step may do something.
    fn advance(&mut self, bytes: &mut [u8], plain: &mut Vec<u8>, scratch: &mut [u8], pool: &mut Pool) -> (usize, bool) {
        let UnbufferedStatus { mut discard, state } = self.session.process_tls_records(bytes);
        let mut has_more = true;
        match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(Ok(record)) = traffic.next_record() {
                    discard += record.discard;
                    plain.extend_from_slice(record.payload);
                }
            }
            Ok(ConnectionState::EncodeTlsData(data)) => encode(data, scratch, &mut self.sealed, pool),
            Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
            Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => has_more = false,
            Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => self.state = State::Ended,
            // What is left is early data, which no configuration of ours allows.
            Ok(_) => self.refuse(AlertDescription::InternalError, pool),
            Err(error) => self.on_error(&error, scratch, pool),
        }
        (discard, has_more)
    }

    /// It failed: the peer is told why, unless the peer said so itself.
    fn on_error(&mut self, error: &Error, scratch: &mut [u8], pool: &mut Pool) {
        if !self.session.wants_write() {
            return match error {
                Error::AlertReceived(_) => self.fail(pool),
                Error::InvalidMessage(_) => self.refuse(AlertDescription::DecodeError, pool),
                _ => self.refuse(AlertDescription::UnexpectedMessage, pool),
            };
        }
        self.fail(pool);
        // While there is something to be encoded, no input is looked at.
        while self.session.wants_write() {
            match self.session.process_tls_records(&mut []).state {
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, scratch, &mut self.sealed, pool),
                _ => break,
            }
        }
    }

    /// Ends it with an alert of ours. It can be said as long as the client has no keys to expect it under; later the end of the
    /// connection must do.
    fn refuse(&mut self, alert: AlertDescription, pool: &mut Pool) {
        if !self.is_greeted() {
            let record = [ALERT, LEGACY_VERSION[0], LEGACY_VERSION[1], 0, 2, FATAL, alert.into()];
            self.sealed.push(&record, pool);
        }
        self.fail(pool);
    }

    fn fail(&mut self, pool: &mut Pool) {
        self.state = State::Failed;
        self.incoming.clear(pool);
    }

    /// Whether the record that has come in part stays incomplete after `len` more bytes. What is kept begins with a record.
    fn still_lacks(&self, len: usize) -> bool {
        let kept = self.incoming.len();
        let wanted = match self.incoming.first_chunk() {
            Some([_, _, _, high, low]) => RECORD_HEADER_LEN + usize::from(u16::from_be_bytes([*high, *low])),
            None => RECORD_HEADER_LEN,
        };
        kept > 0 && kept + len < wanted && wanted <= HEADROOM
    }
}

/// How many records `bytes` hold, by what their headers say; the last one may be incomplete.
fn count_records(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let Some([_, _, _, high, low]) = bytes.first_chunk() {
        count += 1;
        let len = RECORD_HEADER_LEN + usize::from(u16::from_be_bytes([*high, *low]));
        bytes = bytes.get(len..).unwrap_or_default();
    }
    count
}

/// Takes what the session itself says: handshake messages, tickets, alerts. They come encrypted.
fn encode(mut data: EncodeTlsData<'_, ServerConnectionData>, scratch: &mut [u8], sealed: &mut Queue, pool: &mut Pool) {
    let len = data.encode(scratch).expect("it is one record, for which there is room, and not encoded yet");
    sealed.push(scratch.get(..len).expect("it was written there"), pool);
}

fn seal_all(
    mut traffic: WriteTraffic<'_, ServerConnectionData>,
    unsent: &mut Queue,
    says_goodbye: bool,
    scratch: &mut [u8],
    pool: &mut Pool,
) -> Result<usize, EncryptError> {
    let part = unsent.get(..SEAL_LEN).unwrap_or(unsent);
    let part_len = part.len();
    let mut len = traffic.encrypt(part, scratch)?;
    unsent.take(part_len, pool);
    if says_goodbye && unsent.is_empty() {
        len += traffic.queue_close_notify(scratch.get_mut(len..).expect("it was written there"))?;
    }
    Ok(len)
}

/// How much is encrypted for one send. It is also the most of a connection that waits encrypted.
pub(crate) const SEAL_LEN: usize = 64 * 1024;
/// Room for that in records of 16 KiB, for what the session adds, and for the largest message of its own.
pub(crate) const SCRATCH_LEN: usize = SEAL_LEN + 20 * 1024;

const RECORD_HEADER_LEN: usize = 5;
/// Of a record: RFC 8446, section 5.1.
const ALERT: u8 = 21;
const LEGACY_VERSION: [u8; 2] = [3, 3];
const FATAL: u8 = 2;

const _: () = assert!(HEADROOM >= RECORD_HEADER_LEN + 16 * 1024 + 256, "a whole record fits");
