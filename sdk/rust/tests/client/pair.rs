//! A client and the other end of its connection, played by the test: frames in, frames out, time set by hand.

use shardwire_sdk::{Backoff, Client, Config, Credential, Event, MemoryStore, Store};
use wire::frame::{Credit, Deliver, GoAway, SafeBy, SendAck, SendAcks, SendFlags, SendNack, Welcome};
use wire::{Code, Counter, Device, DeviceNo, Frame, Id, Incarnation, Mid, Name, frame, limits};

/// What the client said, as far as the tests look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Hello { incarnation: Incarnation, lowest: u64, highest: u64, last_id: u64 },
    Send { device_no: u16, counter: u64, span: u8, body: String },
    Ephemeral(String),
    Ack(u64),
    Ping,
    Logout(bool),
}

pub(crate) fn name(text: &str) -> Name<'_> {
    Name::parse(text.as_bytes()).unwrap()
}

pub(crate) fn config() -> Config {
    Config {
        credit: Credit { entries: 8, bytes: 4096 },
        backoff: Backoff { first_ms: 100, max_ms: 10_000 },
        ..Config::new(name("alice").into(), Device::parse(b"phone").unwrap().into(), Credential::Token("token".into()))
    }
}

pub(crate) struct Pair<S = MemoryStore> {
    pub(crate) client: Client<S>,
    pub(crate) now_us: u64,
}

impl Pair<MemoryStore> {
    pub(crate) fn new() -> Pair<MemoryStore> {
        Pair::on(MemoryStore::default())
    }

    /// A pair that is welcomed in boot 1 as device 1, what was said and told so far forgotten.
    pub(crate) fn welcomed() -> Pair<MemoryStore> {
        let mut pair = Pair::new();
        pair.login(1);
        pair.events();
        pair.said();
        pair
    }

    /// The process ends and another begins on the same store.
    pub(crate) fn restarted(self, seed: u64) -> Pair<MemoryStore> {
        Pair { now_us: 0, client: Client::new(config(), self.client.into_store(), seed).unwrap() }
    }
}

impl<S: Store> Pair<S> {
    pub(crate) fn on(store: S) -> Pair<S> {
        Pair { client: Client::new(config(), store, 42).unwrap(), now_us: 1_000_000 }
    }

    /// Waits as long as the client wants to, and connects.
    pub(crate) fn connect(&mut self) {
        self.now_us = self.now_us.max(self.client.connect_at().expect("it wants to connect"));
        self.client.on_connecting();
        self.client.on_connected(self.now_us);
    }

    pub(crate) fn login(&mut self, boot: u64) {
        self.connect();
        self.welcome(boot, 1, Id(u64::MAX));
    }

    pub(crate) fn welcome(&mut self, boot: u64, device_no: u16, head: Id) {
        self.tell(&Frame::Welcome(Welcome {
            version: limits::VERSION,
            features: 0,
            device_no: DeviceNo(device_no),
            boot,
            head,
            oldest: Id::NONE,
            heartbeat_s: 60,
            payload_len_max: 64 * 1024,
            in_flight_max: 64,
            stored_is_synced: true,
            ticket: &[],
            server_time_us: 0,
            store: &[],
        }));
    }

    pub(crate) fn tell(&mut self, frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        wire::encode(frame, &mut bytes);
        self.client.on_bytes(self.now_us, &bytes);
    }

    pub(crate) fn deliver(&mut self, id: u64, device_no: u16, counter: u64, body: &str) {
        self.deliver_to("alice", id, device_no, counter, body);
    }

    /// From bob.
    pub(crate) fn deliver_to(&mut self, to: &str, id: u64, device_no: u16, counter: u64, body: &str) {
        self.tell(&Frame::Deliver(delivery("bob", to, id, device_no, counter, body)));
    }

    pub(crate) fn accept(&mut self, counter: u64) {
        let ack = SendAck { counter: Counter(counter), safe_by: SafeBy::Stored, self_id: Id::NONE };
        self.tell(&Frame::SendAck(SendAcks::List(&[ack])));
    }

    pub(crate) fn refuse(&mut self, counter: u64, code: Code) {
        self.tell(&Frame::SendNack(SendNack { counter: Counter(counter), code: code.number() }));
    }

    pub(crate) fn go_away(&mut self, code: Code) {
        self.tell(&Frame::GoAway(GoAway::of(code)));
    }

    pub(crate) fn lose_connection(&mut self) {
        self.client.on_disconnected(self.now_us);
    }

    /// To bob.
    pub(crate) fn send(&mut self, body: &str) -> u64 {
        self.client.send(self.now_us, name("bob"), 1, SendFlags(0), body.as_bytes()).unwrap().0
    }

    /// Moves the time to the client's next deadline and lets it act.
    pub(crate) fn tick(&mut self) {
        let deadline = self.client.next_deadline().expect("a deadline");
        self.now_us = self.now_us.max(deadline);
        self.client.on_tick(self.now_us);
    }

    /// What the client has said since this was last asked.
    pub(crate) fn said(&mut self) -> Vec<Said> {
        let bytes = std::mem::take(self.client.transmit());
        let mut rest = &bytes[..];
        let mut said = Vec::new();
        while let Ok(wire::Cut::Frame { frame_type, payload, len }) = wire::cut(rest, limits::PAYLOAD_LEN_MAX) {
            said.push(as_said(&wire::decode(frame_type, payload).unwrap().unwrap()));
            rest = &rest[len..];
        }
        assert!(rest.is_empty(), "half a frame");
        said
    }

    /// What the client has told since this was last asked.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.client.poll_event()).collect()
    }

    /// The bodies of the messages among [`Pair::events`].
    pub(crate) fn messages(&mut self) -> Vec<String> {
        let events = self.events().into_iter();
        events
            .filter_map(|event| match event {
                Event::Message(message) => Some(String::from_utf8(message.body().to_vec()).unwrap()),
                _ => None,
            })
            .collect()
    }
}

pub(crate) fn delivery<'a>(
    from: &'a str,
    to: &'a str,
    id: u64,
    device_no: u16,
    counter: u64,
    body: &'a str,
) -> Deliver<'a> {
    Deliver {
        id: Id(id),
        mid: Mid::new(DeviceNo(device_no), Counter(counter)),
        flags: SendFlags(if id == 0 { SendFlags::EPHEMERAL } else { 0 }),
        kind: 1,
        from: name(from),
        to: name(to),
        body: body.as_bytes(),
    }
}

/// SENDs of device 1 with these counters, bodies `m<counter>`.
pub(crate) fn sends(counters: impl IntoIterator<Item = u64>, lowest: u64) -> Vec<Said> {
    counters
        .into_iter()
        .map(|counter| Said::Send {
            device_no: 1,
            counter,
            span: (counter - lowest) as u8,
            body: format!("m{counter}"),
        })
        .collect()
}

fn as_said(frame: &Frame<'_>) -> Said {
    match frame {
        Frame::Hello(hello) => Said::Hello {
            incarnation: hello.incarnation,
            lowest: hello.lowest_unresolved.0,
            highest: hello.highest_sent.0,
            last_id: hello.last_id.0,
        },
        Frame::Send(send) => as_sent(send),
        Frame::DeliverAck(ack) => Said::Ack(ack.id.0),
        Frame::Ping(_) => Said::Ping,
        Frame::Logout(logout) => Said::Logout(logout.forget),
        frame => panic!("no client says {frame:?}"),
    }
}

fn as_sent(send: &frame::Send<'_>) -> Said {
    let body = String::from_utf8(send.body.to_vec()).unwrap();
    if send.flags.is_ephemeral() {
        return Said::Ephemeral(body);
    }
    Said::Send { device_no: send.mid.device_no().0, counter: send.mid.counter().0, span: send.span, body }
}
