//! A client on a monoio runtime, which must have its timer enabled; over TLS, or plain TCP.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//!
//! use shardwire_sdk::adapter::monoio::Session;
//! use shardwire_sdk::tls::TlsConfig;
//! use shardwire_sdk::{Client, Config, Credential, Endpoint, Event, MemoryStore};
//! use wire::frame::SendFlags;
//! use wire::{Device, Name};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (alice, bob) = (Name::parse_user(b"alice")?, Name::parse_user(b"bob")?);
//! let token = Credential::Token("from the application's backend".into());
//! let config = Config::new(alice.into(), Device::parse(b"laptop")?.into(), token);
//! let client = Client::new(config, MemoryStore::default(), 1)?;
//! let trusted = TlsConfig::from_ca_file("shardwire-data/dev-ca.pem".as_ref())?;
//! let session = Session::new(client, Endpoint::tls("127.0.0.1:7443", &trusted));
//! session.send(bob, 0, SendFlags(0), b"hello")?;
//! let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().enable_timer().build()?;
//! runtime.block_on(session.run(|_, event| match event {
//!     Event::Accepted { .. } => ControlFlow::Break(()),
//!     _ => ControlFlow::Continue(()),
//! }));
//! # Ok(())
//! # }
//! ```

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::ControlFlow;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use ::monoio::io::{
    CancelHandle, CancelableAsyncReadRent, CancelableAsyncWriteRent, Canceller, OwnedWriteHalf, Splitable,
};
use ::monoio::net::TcpStream;
use ::monoio::task::JoinHandle;
use wire::frame::SendFlags;
use wire::{Counter, Name};

use super::drive::{Drive, Trouble};
use super::notify::Notify;
use super::race::race;
use super::{CONNECT_TIMEOUT, FLUSH_TIMEOUT, READ_LEN};
use crate::{Client, Endpoint, Event, SendError, Store};

/// A client and its connection. Clones are handles to the same: while one [`run`](Session::run)s, the others send.
///
/// All of them stay on one thread. The client is borrowed for the length of a call only, never while anything waits.
#[derive(Debug)]
pub struct Session<S> {
    shared: Rc<Shared<S>>,
}

#[derive(Debug)]
struct Shared<S> {
    drive: RefCell<Drive<S>>,
    /// Something changed that `run` should look at.
    changed: Notify,
    /// There may be something to write.
    writable: Notify,
    is_running: Cell<bool>,
    /// Bytes are on their way from the client to the socket.
    is_writing: Cell<bool>,
}

impl<S> Clone for Session<S> {
    fn clone(&self) -> Session<S> {
        Session { shared: Rc::clone(&self.shared) }
    }
}

impl<S: Store + 'static> Session<S> {
    /// Connects nowhere yet. `gateway` is an [`Endpoint`], or `host:port` for plain TCP; a host's name is looked up at each
    /// connection, blocking the thread.
    pub fn new(client: Client<S>, gateway: impl Into<Endpoint>) -> Session<S> {
        Session {
            shared: Rc::new(Shared {
                drive: RefCell::new(Drive::new(client, gateway.into())),
                changed: Notify::default(),
                writable: Notify::default(),
                is_running: Cell::new(false),
                is_writing: Cell::new(false),
            }),
        }
    }

    /// Queues a message: [`Client::send`].
    ///
    /// # Errors
    /// [`SendError`]: nothing is queued.
    pub fn send(&self, to: Name<'_>, kind: u8, flags: SendFlags, body: &[u8]) -> Result<Counter, SendError> {
        self.with(|client, now_us| client.send(now_us, to, kind, flags, body))
    }

    /// Does something with the client, at the present time of its clock. Not to be called from inside itself.
    pub fn with<T>(&self, act: impl FnOnce(&mut Client<S>, u64) -> T) -> T {
        let mut drive = self.shared.drive.borrow_mut();
        let now_us = drive.now_us();
        let result = act(&mut drive.client, now_us);
        self.shared.changed.set();
        self.shared.writable.set();
        result
    }

    /// Why the last connection ended or did not come about, if that is known.
    pub fn trouble(&self) -> Option<Trouble> {
        self.shared.drive.borrow().trouble.clone()
    }

    /// How long until the next attempt to connect, if the client waits for one.
    pub fn reconnect_in(&self) -> Option<Duration> {
        self.shared.drive.borrow().reconnect_in()
    }

    /// Connects, and again as often as the client wants to, and hands over every event, until `on_event` breaks off; then the
    /// connection is closed. Breaking off says that the event has been dealt with. What is unresolved stays in the store, and a
    /// later run goes on with it. Await it to its end: dropped before, it leaves its connection open, and the session cannot be
    /// run again.
    ///
    /// # Panics
    /// When it is running already.
    pub async fn run<T>(&self, on_event: impl FnMut(&Session<S>, Event) -> ControlFlow<T>) -> T {
        self.run_until(pending(), on_event).await
    }

    /// As [`Session::run`], and ends also when `until` does: with something to wait for besides the gateway. `until` may use the
    /// session, as any other task of the thread.
    ///
    /// # Panics
    /// When it is running already.
    pub async fn run_until<T>(
        &self,
        until: impl Future<Output = T>,
        mut on_event: impl FnMut(&Session<S>, Event) -> ControlFlow<T>,
    ) -> T {
        let shared = &self.shared;
        assert!(!shared.is_running.replace(true), "a session is run once at a time");
        let mut until = pin!(until);
        let mut link: Option<Link> = None;
        let result = loop {
            shared.drive.borrow_mut().tick();
            shared.writable.set();
            // All events before the next connection: a word about the old one must not end the new one.
            if let ControlFlow::Break(result) = self.hand_over(&mut link, &mut on_event).await {
                break result;
            }
            let is_due = shared.drive.borrow().is_connection_due();
            if is_due {
                if let Some(old) = link.take() {
                    old.end().await;
                }
                shared.drive.borrow_mut().client.on_connecting();
                link = Some(Link::begin(shared));
            }
            if let ControlFlow::Break(result) = race(until.as_mut(), pin!(shared.wait())).await {
                break result;
            }
        };
        shared.drive.borrow_mut().finish();
        // What a peer that takes nothing does not get, it gets another time.
        let _ = ::monoio::time::timeout(FLUSH_TIMEOUT, shared.flush()).await;
        if let Some(link) = link {
            link.end().await;
        }
        shared.drive.borrow_mut().on_lost(None);
        shared.is_running.set(false);
        result
    }

    async fn hand_over<T>(
        &self,
        link: &mut Option<Link>,
        on_event: &mut impl FnMut(&Session<S>, Event) -> ControlFlow<T>,
    ) -> ControlFlow<T> {
        loop {
            let event = self.shared.drive.borrow_mut().next_event();
            let Some(event) = event else {
                return ControlFlow::Continue(());
            };
            if matches!(event, Event::Disconnect { .. })
                && let Some(link) = link.take()
            {
                link.end().await;
            }
            on_event(self, event)?;
        }
    }
}

impl<S: Store> Shared<S> {
    /// Until everything is written or there is no connection.
    async fn flush(&self) {
        self.writable.set();
        while self.drive.borrow_mut().has_outgoing() || self.is_writing.get() {
            self.changed.wait().await;
        }
    }

    /// Until something changes or a deadline comes.
    async fn wait(&self) {
        let wait = self.drive.borrow().idle_for();
        match wait {
            Some(wait) => {
                // Elapsed or changed: the caller looks at everything anyway.
                let _ = ::monoio::time::timeout(wait, self.changed.wait()).await;
            }
            None => self.changed.wait().await,
        }
    }
}

/// The tasks of one connection, or of one attempt.
struct Link {
    stop: Rc<Stop>,
    task: JoinHandle<()>,
}

/// Tells the tasks of a link to end.
struct Stop {
    is_set: Cell<bool>,
    /// What is to be written now is the last.
    is_last: Cell<bool>,
    connecting: Notify,
    canceller: RefCell<Option<Canceller>>,
    /// For operations that own a buffer.
    cancel: CancelHandle,
}

impl Link {
    fn begin<S: Store + 'static>(shared: &Rc<Shared<S>>) -> Link {
        let canceller = Canceller::new();
        let stop = Rc::new(Stop {
            is_set: Cell::new(false),
            is_last: Cell::new(false),
            connecting: Notify::default(),
            cancel: canceller.handle(),
            canceller: RefCell::new(Some(canceller)),
        });
        let task = ::monoio::spawn(link(Rc::clone(shared), Rc::clone(&stop)));
        Link { stop, task }
    }

    /// Stops its tasks, and waits until they have ended: their buffers and the socket are free then.
    async fn end(self) {
        self.stop.set();
        self.task.await;
    }
}

impl Stop {
    fn set(&self) {
        self.is_set.set(true);
        self.connecting.set();
        if let Some(canceller) = self.canceller.take() {
            canceller.cancel();
        }
    }
}

/// Connects, reads until the end, and tells the client of both.
async fn link<S: Store + 'static>(shared: Rc<Shared<S>>, stop: Rc<Stop>) {
    let end = converse(&shared, &stop).await;
    shared.drive.borrow_mut().on_lost(end.err());
    shared.changed.set();
}

/// One connection, from its beginning to its end.
async fn converse<S: Store + 'static>(shared: &Rc<Shared<S>>, stop: &Rc<Stop>) -> Result<(), Trouble> {
    let address = shared.drive.borrow().endpoint.address().to_owned();
    let stream = connect(&address, stop).await?;
    shared.drive.borrow_mut().on_connected()?;
    let (mut reader, writer) = stream.into_split();
    let writing = ::monoio::spawn(write(Rc::clone(shared), writer, Rc::clone(stop)));
    let end = read(shared, &mut reader, stop).await;
    let mut writing = pin!(writing);
    // The other side is told what is wrong with its TLS.
    stop.is_last.set(matches!(end, Err(Trouble::Tls(_))));
    shared.writable.set();
    if stop.is_last.get() && ::monoio::time::timeout(FLUSH_TIMEOUT, writing.as_mut()).await.is_ok() {
        return end;
    }
    stop.set();
    shared.writable.set();
    writing.await;
    end
}

async fn connect(address: &str, stop: &Stop) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in address.to_socket_addrs()? {
        match connect_to(address, stop).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn connect_to(address: SocketAddr, stop: &Stop) -> io::Result<TcpStream> {
    if stop.is_set.get() {
        return Err(io::ErrorKind::Interrupted.into());
    }
    let connecting = pin!(::monoio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect_addr(address)));
    match race(pin!(stop.connecting.wait()), connecting).await {
        ControlFlow::Break(()) => Err(io::ErrorKind::Interrupted.into()),
        ControlFlow::Continue(Ok(connected)) => connected,
        ControlFlow::Continue(Err(_)) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Until the peer closes, something fails, or it is stopped.
async fn read<S: Store>(
    shared: &Shared<S>,
    reader: &mut impl CancelableAsyncReadRent,
    stop: &Stop,
) -> Result<(), Trouble> {
    let mut buffer = Vec::with_capacity(READ_LEN);
    loop {
        let (result, filled) = reader.cancelable_read(buffer, stop.cancel.clone()).await;
        let mut drive = shared.drive.borrow_mut();
        match result {
            _ if stop.is_set.get() => return Ok(()),
            Ok(0) => return drive.on_end(),
            Ok(_) => drive.on_bytes(&filled)?,
            Err(error) => return Err(error.into()),
        }
        if drive.is_over() {
            return Ok(());
        }
        drop(drive);
        shared.changed.set();
        shared.writable.set();
        buffer = filled;
        buffer.clear();
    }
}

/// Until something fails, or it is stopped.
async fn write<S: Store>(shared: Rc<Shared<S>>, mut writer: OwnedWriteHalf<TcpStream>, stop: Rc<Stop>) {
    while !stop.is_set.get() {
        let mut bytes = shared.drive.borrow_mut().take_outgoing();
        if bytes.is_empty() {
            if stop.is_last.get() {
                return;
            }
            shared.writable.wait().await;
            continue;
        }
        shared.is_writing.set(true);
        while !bytes.is_empty() {
            let (result, rest) = writer.cancelable_write(bytes, stop.cancel.clone()).await;
            bytes = rest;
            match result {
                Ok(len) if len > 0 => drop(bytes.drain(..len)),
                // The reader hears of it too.
                _ => break,
            }
        }
        shared.is_writing.set(false);
        shared.changed.set();
        if !bytes.is_empty() {
            return;
        }
    }
}
