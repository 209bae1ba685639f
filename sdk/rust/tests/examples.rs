//! The examples do what they say, against a relay of a few lines that keeps nothing. (The end-to-end tests have the gateway.)

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use wire::frame::{Deliver, SafeBy, SendAck, SendAcks, Welcome};
use wire::{Deframer, DeviceNo, Frame, Id, limits};

#[path = "../examples/echo.rs"]
#[expect(dead_code, unreachable_pub, reason = "an example is a program of its own")]
mod echo;
#[path = "../examples/two_people.rs"]
#[expect(dead_code, unreachable_pub, reason = "an example is a program of its own")]
mod two_people;

/// What waits for each user, and the connections of those who are there.
#[derive(Default)]
struct Relay {
    waiting: BTreeMap<String, Vec<u8>>,
    connected: BTreeMap<String, TcpStream>,
    last_id: u64,
}

/// Starts a relay that lives as long as the process, and gives its address.
fn relay() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let relay = Arc::new(Mutex::new(Relay::default()));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let relay = Arc::clone(&relay);
            thread::spawn(move || serve(stream.unwrap(), &relay));
        }
    });
    address
}

fn serve(mut stream: TcpStream, relay: &Mutex<Relay>) {
    let mut deframer = Deframer::new(limits::PAYLOAD_LEN_MAX);
    let mut buffer = [0; 4096];
    let mut user = String::new();
    while let Ok(len @ 1..) = stream.read(&mut buffer) {
        deframer.push(&buffer[..len]);
        while let Some((frame_type, payload)) = deframer.next().unwrap() {
            let frame = wire::decode(frame_type, payload).unwrap().unwrap();
            relay.lock().unwrap().on_frame(&mut user, &stream, &frame);
        }
    }
}

impl Relay {
    fn on_frame(&mut self, user: &mut String, stream: &TcpStream, frame: &Frame<'_>) {
        let mut back = Vec::new();
        match frame {
            Frame::Hello(hello) => {
                *user = hello.user.to_string();
                wire::encode(&Frame::Welcome(welcome()), &mut back);
                back.extend(self.waiting.remove(user).unwrap_or_default());
                self.connected.insert(user.clone(), stream.try_clone().unwrap());
            }
            Frame::Send(send) => {
                self.last_id += 1;
                let (id, from) = (Id(self.last_id), wire::Name::parse(user.as_bytes()).unwrap());
                let (mid, flags, kind, to, body) = (send.mid, send.flags, send.kind, send.to, send.body);
                let mut deliver = Vec::new();
                wire::encode(&Frame::Deliver(Deliver { id, mid, flags, kind, from, to, body }), &mut deliver);
                match self.connected.get(to.as_str()) {
                    // One who has gone in this moment is gone for good here.
                    Some(mut stream) => drop(stream.write_all(&deliver)),
                    None => self.waiting.entry(to.to_string()).or_default().extend(deliver),
                }
                let ack = SendAck { counter: mid.counter(), safe_by: SafeBy::Received, self_id: Id::NONE };
                wire::encode(&Frame::SendAck(SendAcks::List(&[ack])), &mut back);
            }
            _ => {}
        }
        let mut stream = stream;
        // As above.
        drop(stream.write_all(&back));
    }
}

fn welcome() -> Welcome<'static> {
    Welcome {
        version: limits::VERSION,
        features: 0,
        device_no: DeviceNo(1),
        boot: 1,
        head: Id(0),
        oldest: Id::NONE,
        heartbeat_s: 60,
        payload_len_max: 64 * 1024,
        in_flight_max: 64,
        stored_is_synced: false,
        ticket: &[],
        server_time_us: 0,
        store: &[],
    }
}

#[test]
fn two_people_read_what_they_wrote_each_other() {
    let read = two_people::run(&relay(), "a".to_owned(), "b".to_owned()).unwrap();
    assert_eq!(read, ["bob read: Hello Bob", "alice read: Hello Alice"]);
}

#[test]
fn the_echo_answers_who_writes_to_it() {
    let address = relay();
    let answering = thread::spawn({
        let address = address.clone();
        move || echo::run(&address, "bob", "b".to_owned(), Some(1)).map_err(|error| error.to_string())
    });
    let mut alice = TcpStream::connect(address).unwrap();
    let mut bytes = Vec::new();
    wire::encode(&Frame::Hello(hello("alice")), &mut bytes);
    let name = |name: &'static str| wire::Name::parse(name.as_bytes()).unwrap();
    wire::encode(
        &Frame::Send(wire::frame::Send {
            mid: wire::Mid::new(DeviceNo(1), wire::Counter(1)),
            span: 0,
            flags: wire::frame::SendFlags(0),
            kind: 0,
            to: name("bob"),
            body: b"is anybody there?",
        }),
        &mut bytes,
    );
    alice.write_all(&bytes).unwrap();
    assert_eq!(answering.join().unwrap(), Ok(()));
    let mut deframer = Deframer::new(limits::PAYLOAD_LEN_MAX);
    let mut buffer = [0; 4096];
    loop {
        while let Some((frame_type, payload)) = deframer.next().unwrap() {
            if let Some(Frame::Deliver(deliver)) = wire::decode(frame_type, payload).unwrap() {
                assert_eq!((deliver.from, deliver.body), (name("bob"), &b"is anybody there?"[..]));
                return;
            }
        }
        let len = alice.read(&mut buffer).unwrap();
        assert_ne!(len, 0, "no answer");
        deframer.push(&buffer[..len]);
    }
}

fn hello(user: &'static str) -> wire::frame::Hello<'static> {
    wire::frame::Hello {
        version_min: limits::VERSION,
        version_max: limits::VERSION,
        features: 0,
        user: wire::Name::parse(user.as_bytes()).unwrap(),
        credential: wire::frame::Credential::Token("t"),
        device: wire::Device::parse(b"d").unwrap(),
        incarnation: wire::Incarnation(1),
        lowest_unresolved: wire::Counter(1),
        highest_sent: wire::Counter(0),
        last_id: Id::NONE,
        credit: wire::frame::Credit { entries: 8, bytes: 4096 },
        client_name: "test",
        client_version: "0",
        store: &[],
    }
}
