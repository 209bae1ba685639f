//! The adapter over real sockets: the other end is a thread of the test that speaks frames.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::task::{Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use shardwire_sdk::adapter::monoio::Session;
use shardwire_sdk::{Backoff, Client, Config, Credential, Event, MemoryStore};
use wire::frame::{Deliver, SafeBy, SendAck, SendAcks, SendFlags, Welcome};
use wire::{Counter, Deframer, Device, DeviceNo, Frame, Id, Mid, Name, limits};

fn name(text: &str) -> Name<'_> {
    Name::parse(text.as_bytes()).unwrap()
}

fn session(address: &str) -> Session<MemoryStore> {
    let config = Config {
        backoff: Backoff { first_ms: 1, max_ms: 1 },
        ..Config::new(name("alice").into(), Device::parse(b"phone").unwrap().into(), Credential::Token("t".into()))
    };
    Session::new(Client::new(config, MemoryStore::default(), 1).unwrap(), address)
}

/// The whole test fails if the client has not come to an end by then.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().enable_timer().build().unwrap();
    runtime.block_on(async { monoio::time::timeout(Duration::from_secs(60), future).await.unwrap() })
}

/// The gateway's side of one connection.
struct Peer {
    stream: TcpStream,
    deframer: Deframer,
}

impl Peer {
    fn accept(listener: &TcpListener) -> Peer {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Peer { stream, deframer: Deframer::new(limits::PAYLOAD_LEN_MAX) }
    }

    fn welcomed(listener: &TcpListener) -> Peer {
        let mut peer = Peer::accept(listener);
        assert_eq!(peer.hear(|frame| matches!(frame, Frame::Hello(_))), Some(true));
        peer.tell(&Frame::Welcome(Welcome {
            version: limits::VERSION,
            features: 0,
            device_no: DeviceNo(1),
            boot: 1,
            head: Id(0),
            oldest: Id::NONE,
            heartbeat_s: 60,
            payload_len_max: 64 * 1024,
            in_flight_max: 64,
            stored_is_synced: true,
            ticket: &[],
            server_time_us: 0,
            store: &[],
        }));
        peer
    }

    fn tell(&mut self, frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        wire::encode(frame, &mut bytes);
        self.stream.write_all(&bytes).unwrap();
    }

    /// Looks at the next frame; none when the client has closed.
    fn hear<T>(&mut self, look: impl Fn(Frame<'_>) -> T) -> Option<T> {
        let mut buffer = [0; 4096];
        loop {
            if let Some((frame_type, payload)) = self.deframer.next().unwrap() {
                return Some(look(wire::decode(frame_type, payload).unwrap().unwrap()));
            }
            match self.stream.read(&mut buffer).unwrap() {
                0 => return None,
                len => self.deframer.push(&buffer[..len]),
            }
        }
    }

    fn hear_body_len(&mut self) -> Option<usize> {
        self.hear(|frame| match frame {
            Frame::Send(send) => send.body.len(),
            frame => panic!("not a SEND: {frame:?}"),
        })
    }

    fn accept_message(&mut self, counter: u64) {
        let ack = SendAck { counter: Counter(counter), safe_by: SafeBy::Received, self_id: Id::NONE };
        self.tell(&Frame::SendAck(SendAcks::List(&[ack])));
    }
}

/// A gateway that does `act`, its address, and its end.
fn gateway(act: impl FnOnce(TcpListener) + Send + 'static) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (address, thread::spawn(move || act(listener)))
}

fn until_accepted(event: &Event) -> ControlFlow<u64> {
    match event {
        Event::Accepted { counter, .. } => ControlFlow::Break(counter.0),
        _ => ControlFlow::Continue(()),
    }
}

#[test]
fn a_message_goes_out_again_on_the_next_connection_until_it_is_accepted() {
    let (address, gateway) = gateway(|listener| {
        drop(Peer::accept(&listener));
        let mut peer = Peer::welcomed(&listener);
        assert_eq!(peer.hear_body_len(), Some(5));
        drop(peer);
        let mut peer = Peer::welcomed(&listener);
        assert_eq!(peer.hear_body_len(), Some(5));
        peer.accept_message(1);
        assert_eq!(peer.hear(|_| ()), None, "the client closes when its run is over");
    });
    let session = session(&address);
    session.send(name("bob"), 0, SendFlags(0), b"hello").unwrap();
    assert_eq!(block_on(session.run(|_, event| until_accepted(&event))), 1);
    gateway.join().unwrap();
}

#[test]
fn a_clone_sends_while_the_session_runs() {
    let (address, gateway) = gateway(|listener| {
        let mut peer = Peer::welcomed(&listener);
        assert_eq!(peer.hear_body_len(), Some(5));
        peer.accept_message(1);
    });
    let session = session(&address);
    let sender = session.clone();
    let counter = block_on(session.run(move |_, event| {
        if let Event::Welcomed(_) = event {
            let sender = sender.clone();
            // Not from the callback itself: from another task, while the session waits.
            monoio::spawn(async move { sender.send(name("bob"), 0, SendFlags(0), b"hello").unwrap() });
        }
        until_accepted(&event)
    }));
    assert_eq!(counter, 1);
    gateway.join().unwrap();
}

#[test]
fn more_than_the_socket_takes_at_once_arrives_whole() {
    const BODY_LEN: usize = 60_000;
    let (address, gateway) = gateway(|listener| {
        let mut peer = Peer::welcomed(&listener);
        for counter in 1..=200 {
            assert_eq!(peer.hear_body_len(), Some(BODY_LEN));
            peer.accept_message(counter);
        }
    });
    let session = session(&address);
    for _ in 0..200 {
        session.send(name("bob"), 0, SendFlags(0), &[7; BODY_LEN]).unwrap();
    }
    let mut accepted_count = 0;
    block_on(session.run(|_, event| {
        accepted_count += u32::from(matches!(event, Event::Accepted { .. }));
        if accepted_count == 200 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }));
    gateway.join().unwrap();
}

#[test]
fn what_was_received_is_confirmed_before_a_run_ends() {
    let (address, gateway) = gateway(|listener| {
        let mut peer = Peer::welcomed(&listener);
        peer.tell(&Frame::Deliver(Deliver {
            id: Id(9),
            mid: Mid::new(DeviceNo(1), Counter(1)),
            flags: SendFlags(0),
            kind: 0,
            from: name("bob"),
            to: name("alice"),
            body: b"hi",
        }));
        let confirmed = peer.hear(|frame| match frame {
            Frame::DeliverAck(ack) => ack.id,
            frame => panic!("not a DELIVER_ACK: {frame:?}"),
        });
        assert_eq!(confirmed, Some(Id(9)));
    });
    let session = session(&address);
    block_on(session.run(|_, event| match event {
        Event::Message(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    }));
    gateway.join().unwrap();
    assert_eq!(session.with(|client, _| client.poll_event()), Some(Event::Lost), "the message counts as read");
}

#[test]
fn where_nobody_listens_the_session_says_so_and_goes_on_trying() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let mut lost_count = 0;
    let trouble = block_on(session(&address).run(|session, event| {
        lost_count += u32::from(event == Event::Lost);
        if lost_count == 3 { ControlFlow::Break(session.trouble()) } else { ControlFlow::Continue(()) }
    }));
    assert!(trouble.unwrap().contains("refused"));
}

#[test]
fn a_run_ends_although_the_gateway_reads_nothing() {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let (address, gateway) = gateway(move |listener| {
        let peer = Peer::welcomed(&listener);
        // Until the client has gone: nothing is read.
        let _ = stopped.recv();
        drop(peer);
    });
    let session = session(&address);
    for _ in 0..200 {
        session.send(name("bob"), 0, SendFlags(0), &[7; 60_000]).unwrap();
    }
    block_on(session.run(|_, event| match event {
        Event::Welcomed(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    }));
    assert_eq!(session.with(|client, _| client.unresolved_count()), 200);
    drop(stop);
    gateway.join().unwrap();
}

#[test]
fn a_session_can_be_run_again_and_goes_on() {
    let (address, gateway) = gateway(|listener| {
        drop(Peer::welcomed(&listener));
        let mut peer = Peer::welcomed(&listener);
        assert_eq!(peer.hear_body_len(), Some(5));
        peer.accept_message(1);
    });
    let session = session(&address);
    block_on(async {
        session
            .run(|_, event| match event {
                Event::Welcomed(_) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            })
            .await;
        session.send(name("bob"), 0, SendFlags(0), b"hello").unwrap();
        assert_eq!(session.run(|_, event| until_accepted(&event)).await, 1);
    });
    gateway.join().unwrap();
}

#[test]
fn a_run_ends_with_whatever_else_the_application_waits_for() {
    let (address, gateway) = gateway(|listener| {
        let mut peer = Peer::welcomed(&listener);
        assert_eq!(peer.hear_body_len(), Some(5));
        peer.accept_message(1);
    });
    let session = session(&address);
    session.send(name("bob"), 0, SendFlags(0), b"hello").unwrap();
    let (is_accepted, waker) = (Cell::new(false), Cell::new(Waker::noop().clone()));
    let until = std::future::poll_fn(|context| {
        waker.set(context.waker().clone());
        if is_accepted.get() { Poll::Ready("done") } else { Poll::Pending }
    });
    let ended = block_on(session.run_until(until, |_, event| {
        if matches!(event, Event::Accepted { .. }) {
            is_accepted.set(true);
            waker.replace(Waker::noop().clone()).wake();
        }
        ControlFlow::Continue(())
    }));
    assert_eq!(ended, "done");
    gateway.join().unwrap();
}
