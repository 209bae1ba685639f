//! A client on a tokio runtime, which must have its I/O and its timer enabled; over TLS, or plain TCP. Feature `tokio`.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//!
//! use shardwire_sdk::adapter::tokio::Session;
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
//! let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
//! let running = session.clone();
//! let task = runtime.spawn(async move {
//!     running
//!         .run(|_, event| match event {
//!             Event::Accepted { .. } => ControlFlow::Break(()),
//!             _ => ControlFlow::Continue(()),
//!         })
//!         .await
//! });
//! session.send(bob, 0, SendFlags(0), b"hello")?;
//! runtime.block_on(task)?;
//! # Ok(())
//! # }
//! ```

use std::future::{pending, poll_fn};
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use ::tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use ::tokio::net::TcpStream;
use ::tokio::sync::Notify;
use ::tokio::time::{sleep, timeout};
use wire::frame::SendFlags;
use wire::{Counter, Name};

use super::drive::{Drive, Trouble};
use super::race::race;
use super::{CONNECT_TIMEOUT, FLUSH_TIMEOUT, READ_LEN};
use crate::{Client, Endpoint, Event, SendError, Store};

/// A client and its connection. Clones are handles to the same: while one [`run`](Session::run)s, the others send, from any
/// thread.
///
/// The client is locked for the length of a call only, never while anything waits.
#[derive(Debug)]
pub struct Session<S> {
    shared: Arc<Shared<S>>,
}

#[derive(Debug)]
struct Shared<S> {
    drive: Mutex<Drive<S>>,
    /// Something changed that `run` should look at.
    changed: Notify,
    is_running: AtomicBool,
}

impl<S> Clone for Session<S> {
    fn clone(&self) -> Session<S> {
        Session { shared: Arc::clone(&self.shared) }
    }
}

impl<S: Store> Session<S> {
    /// Connects nowhere yet. `gateway` is an [`Endpoint`], or `host:port` for plain TCP; a host's name is looked up at each
    /// connection.
    pub fn new(client: Client<S>, gateway: impl Into<Endpoint>) -> Session<S> {
        Session {
            shared: Arc::new(Shared {
                drive: Mutex::new(Drive::new(client, gateway.into())),
                changed: Notify::new(),
                is_running: AtomicBool::new(false),
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

    /// Does something with the client, at the present time of its clock. Not to be called from inside itself: that would wait for
    /// ever.
    pub fn with<T>(&self, act: impl FnOnce(&mut Client<S>, u64) -> T) -> T {
        let mut drive = self.shared.drive();
        let now_us = drive.now_us();
        let result = act(&mut drive.client, now_us);
        drop(drive);
        self.shared.changed.notify_one();
        result
    }

    /// Why the last connection ended or did not come about, if that is known.
    pub fn trouble(&self) -> Option<Trouble> {
        self.shared.drive().trouble.clone()
    }

    /// How long until the next attempt to connect, if the client waits for one.
    pub fn reconnect_in(&self) -> Option<Duration> {
        self.shared.drive().reconnect_in()
    }

    /// Connects, and again as often as the client wants to, and hands over every event, until `on_event` breaks off; then the
    /// connection is closed. Breaking off says that the event has been dealt with. What is unresolved stays in the store, and a
    /// later run goes on with it. Dropped before its end, it closes the connection without a farewell.
    ///
    /// # Panics
    /// When it is running already.
    pub async fn run<T>(&self, on_event: impl FnMut(&Session<S>, Event) -> ControlFlow<T>) -> T {
        self.run_until(pending(), on_event).await
    }

    /// As [`Session::run`], and ends also when `until` does: with something to wait for besides the gateway. `until` may use the
    /// session, as any other task.
    ///
    /// # Panics
    /// When it is running already.
    pub async fn run_until<T>(
        &self,
        until: impl Future<Output = T>,
        mut on_event: impl FnMut(&Session<S>, Event) -> ControlFlow<T>,
    ) -> T {
        let running = Running::begin(&self.shared);
        let mut until = pin!(until);
        let mut link = Link::None;
        let result = loop {
            self.shared.drive().tick();
            // All events before the next connection: a word about the old one must not end the new one.
            if let ControlFlow::Break(result) = self.hand_over(&mut link, &mut on_event) {
                break result;
            }
            if let Some(address) = self.shared.begin_connecting() {
                link = Link::begin(address);
            }
            if let ControlFlow::Break(result) = race(until.as_mut(), pin!(self.shared.turn(&mut link))).await {
                break result;
            }
        };
        self.shared.drive().finish();
        // What a peer that takes nothing does not get, it gets another time.
        let _ = timeout(FLUSH_TIMEOUT, self.shared.flush(&mut link)).await;
        drop(running);
        result
    }

    fn hand_over<T>(
        &self,
        link: &mut Link,
        on_event: &mut impl FnMut(&Session<S>, Event) -> ControlFlow<T>,
    ) -> ControlFlow<T> {
        loop {
            let event = self.shared.drive().next_event();
            let Some(event) = event else {
                return ControlFlow::Continue(());
            };
            if matches!(event, Event::Disconnect { .. }) {
                *link = Link::None;
            }
            on_event(self, event)?;
        }
    }
}

impl<S> Shared<S> {
    fn drive(&self) -> MutexGuard<'_, Drive<S>> {
        self.drive.lock().expect("nobody panicked while holding it")
    }
}

impl<S: Store> Shared<S> {
    /// Where to connect to, if that is due.
    fn begin_connecting(&self) -> Option<String> {
        let mut drive = self.drive();
        if !drive.is_connection_due() {
            return None;
        }
        drive.client.on_connecting();
        Some(drive.endpoint.address().to_owned())
    }

    /// Until something came, something changed, or a deadline is there.
    async fn turn(&self, link: &mut Link) {
        let wait = self.drive().idle_for();
        let deadline = pin!(async {
            match wait {
                Some(wait) => sleep(wait).await,
                None => pending().await,
            }
        });
        let changed = pin!(self.changed.notified());
        let moved = pin!(poll_fn(|context| link.poll(self, context)));
        // Whichever it was: the caller looks at everything.
        let _ = race(moved, pin!(race(changed, deadline))).await;
    }

    /// Until everything is written or there is no connection.
    async fn flush(&self, link: &mut Link) {
        poll_fn(|context| match link {
            Link::Up(up) => up.poll_write(self, context).map(drop),
            Link::None | Link::Connecting(_) => Poll::Ready(()),
        })
        .await;
    }
}

/// Ends with the run, however that ends.
struct Running<'a, S: Store> {
    shared: &'a Shared<S>,
}

impl<S: Store> Running<'_, S> {
    fn begin(shared: &Shared<S>) -> Running<'_, S> {
        assert!(!shared.is_running.swap(true, Ordering::Acquire), "a session is run once at a time");
        Running { shared }
    }
}

impl<S: Store> Drop for Running<'_, S> {
    fn drop(&mut self) {
        // A drive that panicked is of no use to a later run either: that one will say so.
        if let Ok(mut drive) = self.shared.drive.lock() {
            drive.on_lost(None);
        }
        self.shared.is_running.store(false, Ordering::Release);
    }
}

/// The connection of a run, or an attempt at one.
enum Link {
    None,
    Connecting(Pin<Box<dyn Future<Output = Result<TcpStream, Trouble>> + Send>>),
    Up(Box<Up>),
}

/// A connected socket.
struct Up {
    stream: TcpStream,
    /// Taken from the client, from `written` on not yet written.
    outgoing: Vec<u8>,
    written: usize,
    buffer: Vec<u8>,
    /// What is still to be written is the last: the connection is of no use for anything else.
    trouble: Option<Trouble>,
}

impl Link {
    fn begin(address: String) -> Link {
        Link::Connecting(Box::pin(async move {
            match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                Ok(stream) => {
                    let stream = stream?;
                    stream.set_nodelay(true)?;
                    Ok(stream)
                }
                Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
            }
        }))
    }

    /// Ready when something happened that the client's events may tell of.
    fn poll<S: Store>(&mut self, shared: &Shared<S>, context: &mut Context<'_>) -> Poll<()> {
        let result = match self {
            Link::None => return Poll::Pending,
            Link::Connecting(connecting) => match connecting.as_mut().poll(context) {
                Poll::Ready(Ok(stream)) => {
                    *self = Link::Up(Box::new(Up::new(stream)));
                    let connected = shared.drive().on_connected();
                    connected.map(|()| false)
                }
                Poll::Ready(Err(trouble)) => Err(trouble),
                Poll::Pending => return Poll::Pending,
            },
            Link::Up(up) => match up.poll(shared, context) {
                Poll::Ready(result) => result,
                Poll::Pending => return Poll::Pending,
            },
        };
        let (is_over, trouble) = match result {
            Ok(is_over) => (is_over, None),
            Err(trouble) => (true, Some(trouble)),
        };
        if is_over {
            *self = Link::None;
            shared.drive().on_lost(trouble);
        }
        Poll::Ready(())
    }
}

impl Up {
    fn new(stream: TcpStream) -> Up {
        Up { stream, outgoing: Vec::new(), written: 0, buffer: vec![0; READ_LEN], trouble: None }
    }

    /// Writes what it can, then reads once. Ready with true at the connection's end.
    fn poll<S: Store>(&mut self, shared: &Shared<S>, context: &mut Context<'_>) -> Poll<Result<bool, Trouble>> {
        match self.poll_write(shared, context) {
            Poll::Ready(Err(error)) => return Poll::Ready(Err(self.trouble.take().unwrap_or(error))),
            // Everything is written, the bad news too.
            Poll::Ready(Ok(())) if self.trouble.is_some() => {
                return Poll::Ready(self.trouble.take().map_or(Ok(true), Err));
            }
            _ => {}
        }
        let mut buffer = ReadBuf::new(&mut self.buffer);
        match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.trouble.take().unwrap_or_else(|| error.into()))),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                Poll::Ready(self.trouble.take().map_or_else(|| shared.drive().on_end().map(|()| true), Err))
            }
            Poll::Ready(Ok(())) => {
                let mut drive = shared.drive();
                if self.trouble.is_none()
                    && let Err(trouble) = drive.on_bytes(buffer.filled())
                {
                    drive.trouble = Some(trouble.clone());
                    self.trouble = Some(trouble);
                }
                Poll::Ready(Ok(drive.is_over()))
            }
        }
    }

    /// Ready when everything is written.
    fn poll_write<S: Store>(&mut self, shared: &Shared<S>, context: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        loop {
            if self.written == self.outgoing.len() {
                self.outgoing = shared.drive().take_outgoing();
                self.written = 0;
            }
            let rest = self.outgoing.get(self.written..).expect("written <= outgoing.len()");
            if rest.is_empty() {
                return Poll::Ready(Ok(()));
            }
            match Pin::new(&mut self.stream).poll_write(context, rest) {
                Poll::Ready(Ok(len)) => self.written += len,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
