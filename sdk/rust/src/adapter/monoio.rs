//! A client over plain TCP on a monoio runtime, which must have its timer enabled.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//!
//! use shardwire_sdk::adapter::monoio::Session;
//! use shardwire_sdk::{Client, Config, Credential, Event, MemoryStore};
//! use wire::frame::SendFlags;
//! use wire::{Device, Name};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (alice, bob) = (Name::parse_user(b"alice")?, Name::parse_user(b"bob")?);
//! let token = Credential::Token("from the application's backend".into());
//! let config = Config::new(alice.into(), Device::parse(b"laptop")?.into(), token);
//! let client = Client::new(config, MemoryStore::default(), 1)?;
//! let session = Session::new(client, "127.0.0.1:7400");
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
use std::future::{pending, poll_fn};
use std::io;
use std::mem;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use ::monoio::io::{
    CancelHandle, CancelableAsyncReadRent, CancelableAsyncWriteRent, Canceller, OwnedWriteHalf, Splitable,
};
use ::monoio::net::TcpStream;
use ::monoio::task::JoinHandle;
use wire::frame::SendFlags;
use wire::{Counter, Name};

use super::notify::Notify;
use crate::{Client, Event, SendError, Store};

/// A client and its connection. Clones are handles to the same: while one [`run`](Session::run)s, the others send.
///
/// All of them stay on one thread. The client is borrowed for the length of a call only, never while anything waits.
#[derive(Debug)]
pub struct Session<S> {
    shared: Rc<Shared<S>>,
}

#[derive(Debug)]
struct Shared<S> {
    client: RefCell<Client<S>>,
    address: String,
    /// Zero of the client's clock.
    begun: Instant,
    /// Something changed that `run` should look at.
    changed: Notify,
    /// There may be something to write.
    writable: Notify,
    /// Why the last connection ended or did not come about, if the system said.
    trouble: RefCell<Option<String>>,
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
    /// Connects nowhere yet. `address` is `host:port`; a host's name is looked up at each connection, blocking the thread.
    pub fn new(client: Client<S>, address: &str) -> Session<S> {
        Session {
            shared: Rc::new(Shared {
                client: RefCell::new(client),
                address: address.to_owned(),
                begun: Instant::now(),
                changed: Notify::default(),
                writable: Notify::default(),
                trouble: RefCell::new(None),
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
        let now_us = self.shared.now_us();
        let result = act(&mut self.shared.client.borrow_mut(), now_us);
        self.shared.changed.set();
        self.shared.writable.set();
        result
    }

    /// Why the last connection ended or did not come about, in the system's words, if it had any.
    pub fn trouble(&self) -> Option<String> {
        self.shared.trouble.borrow().clone()
    }

    /// How long until the next attempt to connect, if the client waits for one.
    pub fn reconnect_in(&self) -> Option<Duration> {
        let at_us = self.shared.client.borrow().connect_at()?;
        Some(Duration::from_micros(at_us.saturating_sub(self.shared.now_us())))
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
            shared.client.borrow_mut().on_tick(shared.now_us());
            shared.writable.set();
            // All events before the next connection: a word about the old one must not end the new one.
            if let ControlFlow::Break(result) = self.hand_over(&mut link, &mut on_event).await {
                break result;
            }
            if shared.is_connection_due() {
                if let Some(old) = link.take() {
                    old.end().await;
                }
                shared.client.borrow_mut().on_connecting();
                link = Some(Link::begin(shared));
            }
            if let ControlFlow::Break(result) = race(until.as_mut(), pin!(shared.wait())).await {
                break result;
            }
        };
        self.with(|client, _| client.finish());
        // What a peer that takes nothing does not get, it gets another time.
        let _ = ::monoio::time::timeout(FLUSH_TIMEOUT, shared.flush()).await;
        if let Some(link) = link {
            link.end().await;
        }
        shared.client.borrow_mut().on_disconnected(shared.now_us());
        shared.is_running.set(false);
        result
    }

    async fn hand_over<T>(
        &self,
        link: &mut Option<Link>,
        on_event: &mut impl FnMut(&Session<S>, Event) -> ControlFlow<T>,
    ) -> ControlFlow<T> {
        loop {
            let event = self.shared.client.borrow_mut().poll_event();
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
    fn now_us(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).expect("half a million years")
    }

    fn is_connection_due(&self) -> bool {
        self.client.borrow().connect_at().is_some_and(|at_us| at_us <= self.now_us())
    }

    /// Until everything is written or there is no connection.
    async fn flush(&self) {
        self.writable.set();
        while !self.client.borrow_mut().transmit().is_empty() || self.is_writing.get() {
            self.changed.wait().await;
        }
    }

    /// Until something changes or a deadline comes.
    async fn wait(&self) {
        let deadline_us = {
            let client = self.client.borrow();
            let (connect_at, deadline) = (client.connect_at(), client.next_deadline());
            connect_at.into_iter().chain(deadline).min()
        };
        match deadline_us {
            Some(at_us) => {
                let wait = Duration::from_micros(at_us.saturating_sub(self.now_us()));
                // Elapsed or changed: the caller looks at everything anyway.
                let _ = ::monoio::time::timeout(wait, self.changed.wait()).await;
            }
            None => self.changed.wait().await,
        }
    }

    fn note(&self, trouble: Option<io::Error>) {
        self.trouble.replace(trouble.map(|error| error.to_string()));
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
    match connect(&shared.address, &stop).await {
        Ok(stream) => {
            shared.note(None);
            shared.client.borrow_mut().on_connected(shared.now_us());
            let (mut reader, writer) = stream.into_split();
            let writing = ::monoio::spawn(write(Rc::clone(&shared), writer, Rc::clone(&stop)));
            shared.note(read(&shared, &mut reader, &stop).await.err());
            stop.set();
            shared.writable.set();
            writing.await;
        }
        Err(error) => shared.note(Some(error)),
    }
    shared.client.borrow_mut().on_disconnected(shared.now_us());
    shared.changed.set();
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

/// Whichever is ready first; the first if both are.
async fn race<A, B>(
    mut first: Pin<&mut impl Future<Output = A>>,
    mut second: Pin<&mut impl Future<Output = B>>,
) -> ControlFlow<A, B> {
    poll_fn(|context| {
        if let Poll::Ready(output) = first.as_mut().poll(context) {
            return Poll::Ready(ControlFlow::Break(output));
        }
        second.as_mut().poll(context).map(ControlFlow::Continue)
    })
    .await
}

/// Until the peer closes, something fails, or it is stopped.
async fn read<S: Store>(shared: &Shared<S>, reader: &mut impl CancelableAsyncReadRent, stop: &Stop) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(READ_LEN);
    loop {
        let (result, filled) = reader.cancelable_read(buffer, stop.cancel.clone()).await;
        match result {
            _ if stop.is_set.get() => return Ok(()),
            Ok(0) => return Ok(()),
            Ok(_) => shared.client.borrow_mut().on_bytes(shared.now_us(), &filled),
            Err(error) => return Err(error),
        }
        shared.changed.set();
        shared.writable.set();
        buffer = filled;
        buffer.clear();
    }
}

/// Until something fails, or it is stopped.
async fn write<S: Store>(shared: Rc<Shared<S>>, mut writer: OwnedWriteHalf<TcpStream>, stop: Rc<Stop>) {
    while !stop.is_set.get() {
        let mut bytes = mem::take(shared.client.borrow_mut().transmit());
        if bytes.is_empty() {
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

/// How long one address may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last bytes may take to be written when a run ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes read at once.
const READ_LEN: usize = 16 * 1024;
