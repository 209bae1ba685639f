//! A gateway that fits a page: one thread a connection, no log, no groups, every token good. It keeps the promises the load
//! generator checks, unless it is told to break one.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use wire::frame::{Deliver, Hello, SafeBy, Send, SendAck, SendAcks, Welcome};
use wire::limits::CLIENT_PAYLOAD_LEN_MAX;
use wire::{Deframer, DeviceNo, Frame, Id, Mid, NameBuf};

/// Which promise is broken, for one message in seven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Acknowledged and forgotten.
    Lose,
    /// Kept until the next message for the same user has left.
    Overtake,
    /// Delivered with another byte in it.
    Change,
    /// Delivered to the wrong user.
    Mislead,
    /// Neither acknowledged nor delivered.
    Swallow,
    /// The connection it came from is cut; it is not acknowledged.
    Cut,
}

/// Serves until the process ends. Tells where.
pub(crate) fn serve(fault: Fault) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let world = Arc::new(Mutex::new(World { fault, users: BTreeMap::new(), clock: 0, met: 0 }));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let world = Arc::clone(&world);
            stream.set_nodelay(true).unwrap();
            thread::spawn(move || converse(&world, stream));
        }
    });
    address
}

struct World {
    fault: Fault,
    users: BTreeMap<NameBuf, User>,
    /// Gives ids.
    clock: u64,
    /// Messages met so far.
    met: u64,
}

#[derive(Default)]
struct User {
    stream: Option<TcpStream>,
    inbox: VecDeque<Entry>,
    /// An entry that is to be overtaken.
    held: Option<Entry>,
    /// The highest counter that was taken.
    taken: u64,
}

struct Entry {
    id: Id,
    mid: Mid,
    from: NameBuf,
    body: Vec<u8>,
}

fn converse(world: &Mutex<World>, mut stream: TcpStream) -> Option<()> {
    let mut deframer = Deframer::new(CLIENT_PAYLOAD_LEN_MAX);
    let mut buffer = [0; 16 << 10];
    let mut user = None;
    loop {
        let len = stream.read(&mut buffer).ok().filter(|len| *len > 0)?;
        deframer.push(&buffer[..len]);
        while let Some((frame_type, payload)) = deframer.next().unwrap() {
            let mut world = world.lock().unwrap();
            match (wire::decode(frame_type, payload).unwrap().unwrap(), &user) {
                (Frame::Hello(hello), None) => {
                    user = Some(NameBuf::from(hello.user));
                    world.welcome(&hello, stream.try_clone().ok()?);
                }
                (Frame::Send(send), Some(user)) => world.take(user, &send)?,
                (Frame::DeliverAck(ack), Some(user)) => {
                    let user = world.users.get_mut(user).unwrap();
                    user.inbox.retain(|entry| entry.id > ack.id);
                }
                (Frame::Ping(ping), Some(_)) => write(&stream, &Frame::Pong(ping)),
                (frame, _) => panic!("{frame:?}"),
            }
        }
    }
}

impl World {
    fn welcome(&mut self, hello: &Hello<'_>, stream: TcpStream) {
        let head = Id(self.clock);
        let name = NameBuf::from(hello.user);
        let user = self.users.entry(name.clone()).or_default();
        let welcome = Welcome {
            version: 1,
            features: 0,
            device_no: DeviceNo(1),
            boot: 1,
            head,
            oldest: Id::NONE,
            heartbeat_s: 60,
            payload_len_max: 64 << 10,
            in_flight_max: 64,
            stored_is_synced: true,
            ticket: &[],
            server_time_us: 0,
            store: &[],
        };
        write(&stream, &Frame::Welcome(welcome));
        for entry in &user.inbox {
            deliver(&stream, &name, entry);
        }
        user.stream = Some(stream);
    }

    /// None: the connection is to be cut.
    fn take(&mut self, from: &NameBuf, send: &Send<'_>) -> Option<()> {
        self.met += 1;
        let fault = if self.met.is_multiple_of(7) { self.fault } else { Fault::None };
        match fault {
            Fault::Cut => {
                let stream = self.users.get(from).and_then(|user| user.stream.as_ref());
                return stream?.shutdown(Shutdown::Both).err().map(drop);
            }
            Fault::Swallow => return Some(()),
            _ => {}
        }
        let sender = self.users.get_mut(from).unwrap();
        let counter = send.mid.counter();
        if let Some(stream) = &sender.stream {
            let ack = SendAck { counter, safe_by: SafeBy::Stored, self_id: Id::NONE };
            write(stream, &Frame::SendAck(SendAcks::List(&[ack])));
        }
        let is_new = counter.0 > sender.taken;
        sender.taken = sender.taken.max(counter.0);
        if is_new && fault != Fault::Lose {
            self.file(from, send, fault);
        }
        Some(())
    }

    fn file(&mut self, from: &NameBuf, send: &Send<'_>, fault: Fault) {
        self.clock += 1;
        let mut entry = Entry { id: Id(self.clock), mid: send.mid, from: from.clone(), body: send.body.to_vec() };
        let mut to = NameBuf::from(send.to);
        match fault {
            Fault::Change => entry.body[20] ^= 1,
            Fault::Mislead => {
                let other = self.users.keys().find(|user| **user != to && *user != from);
                to = other.unwrap().clone();
            }
            _ => {}
        }
        let user = self.users.entry(to.clone()).or_default();
        if fault == Fault::Overtake && user.held.is_none() {
            user.held = Some(entry);
            return;
        }
        let held = user.held.take().map(|held| {
            self.clock += 1;
            Entry { id: Id(self.clock), ..held }
        });
        for entry in [Some(entry), held].into_iter().flatten() {
            if let Some(stream) = &user.stream {
                deliver(stream, &to, &entry);
            }
            user.inbox.push_back(entry);
        }
    }
}

fn deliver(stream: &TcpStream, to: &NameBuf, entry: &Entry) {
    let deliver = Deliver {
        id: entry.id,
        mid: entry.mid,
        flags: wire::frame::SendFlags::default(),
        kind: 0,
        from: entry.from.as_name(),
        to: to.as_name(),
        body: &entry.body,
    };
    write(stream, &Frame::Deliver(deliver));
}

fn write(mut stream: &TcpStream, frame: &Frame<'_>) {
    let mut bytes = Vec::new();
    wire::encode(frame, &mut bytes);
    // A peer that is gone is noticed by its reader.
    let _ = stream.write_all(&bytes);
}
