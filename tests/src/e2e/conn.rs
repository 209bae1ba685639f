//! A connection that speaks frames by hand: right ones, wrong ones, in any pieces.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use shardwire_sdk::tls::{TlsConfig, TlsError};
use wire::{
    Code, Counter, Deframer, Device, DeviceNo, Frame, Id, Incarnation, Mid, Name,
    frame::{Credential, Credit, DeliverAck, GoAway, Hello, Ping, Send, SendFlags, Welcome},
    limits::PAYLOAD_LEN_MAX,
};

use super::{LIMIT, stream::Stream};

/// One frame, encoded.
pub fn frame_bytes(frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::encode(frame, &mut bytes);
    bytes
}

/// What a HELLO says. The fields that a test does not care about have a usable value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelloSpec {
    /// Who logs in.
    pub user: String,
    /// With what.
    pub token: String,
    /// Which device.
    pub device: String,
    /// Of the device's store.
    pub incarnation: u64,
    /// Counters not resolved begin here.
    pub lowest_unresolved: u64,
    /// The highest counter sent.
    pub highest_sent: u64,
    /// The client's last id.
    pub last_id: Id,
    /// What may be delivered unconfirmed.
    pub credit: Credit,
    /// Lowest and highest version spoken.
    pub versions: (u16, u16),
}

impl HelloSpec {
    /// A new device `phone` of `user`.
    pub fn new(user: &str, token: &str) -> HelloSpec {
        HelloSpec {
            user: user.to_owned(),
            token: token.to_owned(),
            device: "phone".to_owned(),
            incarnation: 1,
            lowest_unresolved: 1,
            highest_sent: 0,
            last_id: Id::NONE,
            credit: Credit { entries: 256, bytes: 1 << 20 },
            versions: (1, 1),
        }
    }

    /// The frame.
    ///
    /// # Panics
    /// When a name is not one: such a HELLO must be made of bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes_with(Credential::Token(&self.token))
    }

    /// The frame, with another credential.
    ///
    /// # Panics
    /// As [`HelloSpec::bytes`].
    pub fn bytes_with(&self, credential: Credential<'_>) -> Vec<u8> {
        frame_bytes(&Frame::Hello(Hello {
            version_min: self.versions.0,
            version_max: self.versions.1,
            features: 0,
            user: Name::parse_user(self.user.as_bytes()).expect("a user's name"),
            credential,
            device: Device::parse(self.device.as_bytes()).expect("a device's name"),
            incarnation: Incarnation(self.incarnation),
            lowest_unresolved: Counter(self.lowest_unresolved),
            highest_sent: Counter(self.highest_sent),
            last_id: self.last_id,
            credit: self.credit,
            client_name: "e2e",
            client_version: "1",
            store: &[],
        }))
    }
}

/// A frame that came, with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Got {
    frame_type: u8,
    payload: Vec<u8>,
}

impl Got {
    /// The frame.
    ///
    /// # Panics
    /// When the gateway sent what is no frame of version 1.
    pub fn frame(&self) -> Frame<'_> {
        wire::decode(self.frame_type, &self.payload)
            .unwrap_or_else(|error| panic!("the gateway sent {:?}: {error}", self.payload))
            .unwrap_or_else(|| panic!("the gateway sent type {:#04x}", self.frame_type))
    }
}

/// A connection. Every read waits at most [`LIMIT`].
#[derive(Debug)]
pub struct Conn {
    stream: Stream,
    deframer: Deframer,
    device_no: DeviceNo,
    ticket: Vec<u8>,
    is_closed: bool,
}

impl Conn {
    /// Connects, and says nothing.
    ///
    /// # Panics
    /// When nobody listens there.
    pub fn open(addr: SocketAddr) -> Conn {
        Conn::over(Stream::plain(addr))
    }

    /// Connects, completes a TLS handshake with a gateway that must prove to be `localhost`, and says nothing.
    ///
    /// # Errors
    /// What is wrong with the gateway, as the client sees it.
    ///
    /// # Panics
    /// When nobody listens there, or says nothing.
    pub fn open_tls(addr: SocketAddr, config: &TlsConfig) -> Result<Conn, TlsError> {
        Stream::tls(addr, config).map(Conn::over)
    }

    /// Connects from `source`, an address of this machine, and says nothing.
    ///
    /// # Panics
    /// When nobody listens there.
    pub fn open_from(source: Ipv4Addr, addr: SocketAddr) -> Conn {
        Conn::over(Stream::plain_from(source, addr))
    }

    fn over(stream: Stream) -> Conn {
        let deframer = Deframer::new(PAYLOAD_LEN_MAX);
        Conn { stream, deframer, device_no: DeviceNo(0), ticket: Vec::new(), is_closed: false }
    }

    /// Writes one byte after the other, each once nothing has come for a second, until the gateway has had enough. Says how many
    /// it took, and which code GOAWAY then gave, if it gave one.
    ///
    /// # Panics
    /// When the gateway has not had enough after all of them, or says something else.
    pub fn trickle(&mut self, bytes: &[u8]) -> (usize, Option<Code>) {
        let mut code = None;
        let mut taken = 0;
        while taken < bytes.len() {
            match self.next_within(Duration::from_secs(1)) {
                None => {
                    self.try_write(&bytes[taken..=taken]);
                    taken += 1;
                }
                Some(None) => return (taken, code),
                Some(Some(got)) => match got.frame() {
                    Frame::GoAway(goaway) => code = Code::from_number(goaway.code),
                    other => panic!("expected GOAWAY or nothing, got {other:?}"),
                },
            }
        }
        panic!("the gateway took all {} bytes", bytes.len());
    }

    /// Whether the gateway has ended the TLS session in order.
    pub fn was_told_goodbye(&self) -> bool {
        self.stream.was_told_goodbye()
    }

    /// Whether an earlier TLS session was resumed.
    pub fn is_resumed(&self) -> bool {
        self.stream.is_resumed()
    }

    /// Connects and logs in.
    ///
    /// # Panics
    /// When no WELCOME answers.
    pub fn login(addr: SocketAddr, hello: &HelloSpec) -> Conn {
        let mut conn = Conn::open(addr);
        conn.write(&hello.bytes());
        conn.welcome();
        conn
    }

    /// Writes bytes, all of them.
    ///
    /// # Panics
    /// When the gateway has closed the connection.
    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the connection is open");
    }

    /// Writes bytes; a gateway that has closed the connection is no surprise.
    pub fn try_write(&mut self, bytes: &[u8]) {
        // What a test expects of the gateway then, it reads.
        let _ = self.stream.write_all(bytes);
    }

    /// Says that nothing more will be written.
    ///
    /// # Panics
    /// When the connection is gone.
    pub fn close_write(&mut self) {
        self.stream.close_write().expect("the connection is open");
    }

    /// Writes one frame.
    pub fn send(&mut self, frame: &Frame<'_>) {
        self.write(&frame_bytes(frame));
    }

    /// A SEND of this session's device, encoded.
    ///
    /// # Panics
    /// When `to` is not a name.
    pub fn send_bytes(&self, counter: u64, span: u8, to: &str, body: &[u8]) -> Vec<u8> {
        self.send_bytes_with(SendFlags(0), counter, span, to, body)
    }

    /// An ephemeral SEND, encoded.
    ///
    /// # Panics
    /// When `to` is not a name.
    pub fn ephemeral_bytes(&self, to: &str, body: &[u8]) -> Vec<u8> {
        self.send_bytes_with(SendFlags(SendFlags::EPHEMERAL), 0, 0, to, body)
    }

    fn send_bytes_with(&self, flags: SendFlags, counter: u64, span: u8, to: &str, body: &[u8]) -> Vec<u8> {
        let mid = Mid::new(self.device_no, Counter(counter));
        let to = Name::parse(to.as_bytes()).expect("a name");
        frame_bytes(&Frame::Send(Send { mid, span, flags, kind: 0, to, body }))
    }

    /// The next frame, or `None` at the end of the stream.
    ///
    /// # Panics
    /// When neither comes in time.
    pub fn next_frame(&mut self) -> Option<Got> {
        self.next_within(LIMIT).unwrap_or_else(|| panic!("nothing came for {LIMIT:?}"))
    }

    /// The next frame. The outer `None`: nothing came within `limit`. The inner: the end of the stream.
    #[expect(clippy::option_option, reason = "three answers, explained above")]
    fn next_within(&mut self, limit: Duration) -> Option<Option<Got>> {
        let deadline = Instant::now() + limit;
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let next = self.deframer.next().expect("any length is allowed here");
            if let Some((frame_type, payload)) = next {
                let payload = payload.to_vec();
                return Some(Some(Got { frame_type, payload }));
            }
            if self.is_closed {
                return Some(None);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            match self.stream.read(&mut chunk, left) {
                Ok(0) => self.is_closed = true,
                Ok(len) => self.deframer.push(&chunk[..len]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => self.is_closed = true,
                Err(error) if is_timeout(&error) => {}
                Err(error) => panic!("reading: {error}"),
            }
        }
    }

    /// The next frame that `pick` takes; others are passed over.
    ///
    /// # Panics
    /// When the connection ends first, or nothing comes in time.
    pub fn wait_for<T>(&mut self, what: &str, mut pick: impl FnMut(&Frame<'_>) -> Option<T>) -> T {
        let deadline = Instant::now() + LIMIT;
        loop {
            assert!(Instant::now() < deadline, "{what} did not come");
            let Some(got) = self.next_frame() else {
                panic!("the connection ended before {what} came");
            };
            if let Some(picked) = pick(&got.frame()) {
                return picked;
            }
            if let Frame::GoAway(goaway) = got.frame() {
                panic!("GOAWAY {} came before {what}", show(goaway.code));
            }
        }
    }

    /// The answer to HELLO, which must be WELCOME. Gives its device number and boot number.
    ///
    /// # Panics
    /// When something else answers.
    pub fn welcome(&mut self) -> (DeviceNo, u64) {
        let got = self.next_frame().expect("an answer to HELLO");
        match got.frame() {
            Frame::Welcome(Welcome { device_no, boot, ticket, .. }) => {
                self.device_no = device_no;
                self.ticket = ticket.to_vec();
                (device_no, boot)
            }
            other => panic!("expected WELCOME, got {other:?}"),
        }
    }

    /// Takes the device's number for known, before WELCOME says it again.
    pub fn assume(&mut self, device_no: DeviceNo) {
        self.device_no = device_no;
    }

    /// The device's number, as WELCOME told it.
    pub fn device_no(&self) -> DeviceNo {
        self.device_no
    }

    /// The ticket that WELCOME brought; empty when there was none.
    pub fn ticket(&self) -> Vec<u8> {
        self.ticket.clone()
    }

    /// Waits for GOAWAY and the end of the connection after it; gives the code.
    ///
    /// # Panics
    /// When another thing happens.
    pub fn expect_goaway(&mut self) -> Code {
        let code = self.wait_for("GOAWAY", |frame| match frame {
            Frame::GoAway(GoAway { code, .. }) => Some(*code),
            _ => None,
        });
        assert_eq!(self.next_frame(), None, "GOAWAY is the last frame");
        Code::from_number(code).expect("a code of the table")
    }

    /// Waits for ERROR; gives its code and the type of the frame it is about.
    ///
    /// # Panics
    /// When it does not come.
    pub fn expect_error(&mut self) -> (Code, u8) {
        let (code, frame_type) = self.wait_for("ERROR", |frame| match frame {
            Frame::Error(error) => Some((error.code, error.frame_type)),
            _ => None,
        });
        (Code::from_number(code).expect("a code of the table"), frame_type)
    }

    /// Waits for SEND_NACK of `counter`; gives its code.
    ///
    /// # Panics
    /// When it does not come.
    pub fn expect_nack(&mut self, counter: u64) -> Code {
        let code = self.wait_for("SEND_NACK", |frame| match frame {
            Frame::SendNack(nack) if nack.counter == Counter(counter) => Some(nack.code),
            _ => None,
        });
        Code::from_number(code).expect("a code of the table")
    }

    /// Waits until each of `counters` is acknowledged, in any order.
    ///
    /// # Panics
    /// When one is not.
    pub fn expect_acks(&mut self, counters: RangeInclusive<u64>) {
        let mut missing: BTreeSet<_> = counters.map(Counter).collect();
        self.wait_for("every SEND_ACK", |frame| {
            if let Frame::SendAck(acks) = frame {
                for ack in acks.iter() {
                    missing.remove(&ack.counter);
                }
            }
            missing.is_empty().then_some(())
        });
    }

    /// Waits for the next DELIVER; gives its id, sender and body.
    ///
    /// # Panics
    /// When none comes.
    pub fn expect_deliver(&mut self) -> (Id, String, Vec<u8>) {
        self.wait_for("DELIVER", |frame| match frame {
            Frame::Deliver(deliver) => Some((deliver.id, deliver.from.as_str().to_owned(), deliver.body.to_vec())),
            _ => None,
        })
    }

    /// Collects frames until `is_enough`.
    ///
    /// # Panics
    /// When the connection ends first, or nothing comes in time.
    pub fn collect_until(&mut self, what: &str, is_enough: impl Fn(&[Got]) -> bool) -> Vec<Got> {
        let mut frames = Vec::new();
        while !is_enough(&frames) {
            let Some(got) = self.next_frame() else {
                panic!("the connection ended before {what} came: {frames:?}");
            };
            frames.push(got);
        }
        frames
    }

    /// Reads to the end of the stream, whatever comes before.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn expect_end(&mut self) {
        while self.next_frame().is_some() {}
    }

    /// Confirms everything up to `id`.
    pub fn confirm(&mut self, id: Id) {
        self.send(&Frame::DeliverAck(DeliverAck { id }));
    }

    /// Sends PING and waits for its PONG: the connection lives, and everything written before was read.
    /// Frames that come in between are given.
    ///
    /// # Panics
    /// When no PONG comes.
    pub fn ping(&mut self) -> Vec<Got> {
        const TOKEN: u32 = 0x7069_6e67;
        self.send(&Frame::Ping(Ping { token: TOKEN }));
        let mut between = Vec::new();
        loop {
            let got = self.next_frame().expect("a PONG before the end");
            if got.frame() == Frame::Pong(Ping { token: TOKEN }) {
                return between;
            }
            between.push(got);
        }
    }
}

fn show(code: u16) -> String {
    Code::from_number(code).map_or_else(|| code.to_string(), |code| format!("{code:?}"))
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
