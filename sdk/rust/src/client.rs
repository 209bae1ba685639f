//! The dispatcher: bytes, time and wishes in; bytes and events out.

use wire::frame::SendFlags;
use wire::{Counter, DeviceNo, Id, Name};

use crate::config::{Config, Credential};
use crate::error::{SendError, StoreError};
use crate::event::Event;
use crate::store::Store;

/// A client of one device of one user. All times are microseconds of a clock that never goes back, its zero arbitrary.
#[derive(Debug)]
pub struct Client<S> {
    _store: S,
}

/// Faults that the simulation must catch.
#[cfg(feature = "planted")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A dropped duplicate is not acknowledged: no DELIVER_ACK for it, and the last id stays.
    DropDuplicateSilently,
}

impl<S: Store> Client<S> {
    /// A client that is not connected. All its randomness comes from `seed`, so two clients, and two runs of one client,
    /// need different seeds: the incarnation of a new store is born from it.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read or written.
    pub fn new(config: Config, store: S, seed: u64) -> Result<Client<S>, StoreError> {
        unimplemented!()
    }

    /// When the transport should be connected. None while it is connected or connecting, and after [`Event::Ended`].
    pub fn connect_at(&self) -> Option<u64> {
        unimplemented!()
    }

    /// The transport begins to connect. Then comes [`Client::on_connected`] or [`Client::on_disconnected`]; how long
    /// connecting may take is the transport's to say.
    pub fn on_connecting(&mut self) {
        unimplemented!()
    }

    /// The transport is connected: HELLO is in the transmit buffer.
    pub fn on_connected(&mut self, now_us: u64) {
        unimplemented!()
    }

    /// Bytes came. Whatever is wrong with them ends as [`Event::Disconnect`].
    pub fn on_bytes(&mut self, now_us: u64, bytes: &[u8]) {
        unimplemented!()
    }

    /// The transport is lost, or could not connect.
    pub fn on_disconnected(&mut self, now_us: u64) {
        unimplemented!()
    }

    /// The time is at or past [`Client::next_deadline`]. Harmless at any other time.
    pub fn on_tick(&mut self, now_us: u64) {
        unimplemented!()
    }

    /// When [`Client::on_tick`] is due; it may be in the past. [`Client::connect_at`] is apart.
    pub fn next_deadline(&self) -> Option<u64> {
        unimplemented!()
    }

    /// Queues a message, connected or not. It is committed to the store and sent, again after each disconnection, until it is
    /// accepted or refused; an [`Event`] with its number says which. Order is kept. [`SendFlags::EPHEMERAL`] is ignored here.
    ///
    /// # Errors
    /// [`SendError`]: nothing is queued.
    pub fn send(
        &mut self,
        now_us: u64,
        to: Name<'_>,
        kind: u8,
        flags: SendFlags,
        body: &[u8],
    ) -> Result<Counter, SendError> {
        unimplemented!()
    }

    /// Sends to the devices that are online, at once or not at all: no number, no store, no acknowledgement.
    ///
    /// # Errors
    /// [`SendError`]: nothing is sent.
    pub fn send_ephemeral(
        &mut self,
        to: Name<'_>,
        kind: u8,
        flags: SendFlags,
        body: &[u8],
    ) -> Result<(), SendError> {
        unimplemented!()
    }

    /// Signs the device out, now or as soon as there is a session; [`Event::Ended`] with [`wire::Code::LoggedOut`] follows.
    /// With `forget` the device is also removed from its user. What is unresolved stays in the store.
    pub fn logout(&mut self, forget: bool) {
        unimplemented!()
    }

    /// Connects again, at once, after [`Event::Ended`] or in the middle of a back-off.
    pub fn restart(&mut self, now_us: u64) {
        unimplemented!()
    }

    /// From the next HELLO on.
    pub fn set_credential(&mut self, credential: Credential) {
        unimplemented!()
    }

    /// Bytes for the transport; the caller takes what it wrote off the front.
    pub fn transmit(&mut self) -> &mut Vec<u8> {
        unimplemented!()
    }

    /// The next event. Asking for it says that the one before has been dealt with: a message counts as read then. While more
    /// messages wait here than the credit has entries, nothing further is acknowledged.
    pub fn poll_event(&mut self) -> Option<Event> {
        unimplemented!()
    }

    /// Whether there is a session.
    pub fn is_welcomed(&self) -> bool {
        unimplemented!()
    }

    /// Messages queued or sent, and neither accepted nor refused.
    pub fn unresolved_count(&self) -> usize {
        unimplemented!()
    }

    /// The highest place of a message that is committed here.
    pub fn last_id(&self) -> Id {
        unimplemented!()
    }

    /// The device's number, once a WELCOME told it.
    pub fn device_no(&self) -> Option<DeviceNo> {
        unimplemented!()
    }

    /// The store.
    pub fn store(&self) -> &S {
        unimplemented!()
    }

    /// The store, when the client is no longer needed.
    pub fn into_store(self) -> S {
        unimplemented!()
    }

    /// Makes this client break a rule.
    #[cfg(feature = "planted")]
    pub fn plant(&mut self, fault: Fault) {
        unimplemented!()
    }
}
