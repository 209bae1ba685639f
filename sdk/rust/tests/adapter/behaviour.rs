//! What every adapter does, with every kind of connection.

/// The tests of one adapter with one kind of connection.
macro_rules! behaviour {
    ($module:ident, $session:path, $block_on:path, $gateway:path) => {
        mod $module {
            use std::cell::Cell;
            use std::ops::ControlFlow;
            use std::task::{Poll, Waker};

            use shardwire_sdk::Event;
            use wire::frame::{Deliver, SendFlags};
            use wire::{Counter, DeviceNo, Frame, Id, Mid};
            use $block_on as block_on;
            use $gateway as gateway;
            use $session as Session;

            use crate::{client, name};

            fn until_accepted(event: &Event) -> ControlFlow<u64> {
                match event {
                    Event::Accepted { counter, .. } => ControlFlow::Break(counter.0),
                    _ => ControlFlow::Continue(()),
                }
            }

            fn until_welcomed(event: &Event) -> ControlFlow<()> {
                match event {
                    Event::Welcomed(_) => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                }
            }

            #[test]
            fn a_message_goes_out_again_on_the_next_connection_until_it_is_accepted() {
                let (endpoint, end) = gateway(|door| {
                    drop(door.accept());
                    let mut peer = door.welcome();
                    assert_eq!(peer.hear_body_len(), Some(5));
                    drop(peer);
                    let mut peer = door.welcome();
                    assert_eq!(peer.hear_body_len(), Some(5));
                    peer.accept_message(1);
                    assert_eq!(peer.hear(|_| ()), None, "the client closes when its run is over");
                });
                let session = Session::new(client(), endpoint);
                session.send(name("bob"), 0, SendFlags(0), b"hello").unwrap();
                assert_eq!(block_on(session.run(|_, event| until_accepted(&event))), 1);
                end.join().unwrap();
            }

            #[test]
            fn more_than_the_socket_takes_at_once_arrives_whole() {
                const BODY_LEN: usize = 60_000;
                let (endpoint, end) = gateway(|door| {
                    let mut peer = door.welcome();
                    for counter in 1..=200 {
                        assert_eq!(peer.hear_body_len(), Some(BODY_LEN));
                        peer.accept_message(counter);
                    }
                });
                let session = Session::new(client(), endpoint);
                for _ in 0..200 {
                    session.send(name("bob"), 0, SendFlags(0), &[7; BODY_LEN]).unwrap();
                }
                let mut accepted_count = 0;
                block_on(session.run(|_, event| {
                    accepted_count += u32::from(matches!(event, Event::Accepted { .. }));
                    if accepted_count == 200 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                }));
                end.join().unwrap();
            }

            #[test]
            fn what_was_received_is_confirmed_before_a_run_ends() {
                let (endpoint, end) = gateway(|door| {
                    let mut peer = door.welcome();
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
                let session = Session::new(client(), endpoint);
                block_on(session.run(|_, event| match event {
                    Event::Message(_) => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                }));
                end.join().unwrap();
                let next = session.with(|client, _| client.poll_event());
                assert_eq!(next, Some(Event::Lost), "the message counts as read");
            }

            #[test]
            fn where_nobody_listens_the_session_says_so_and_goes_on_trying() {
                let (endpoint, end) = gateway(drop);
                end.join().unwrap();
                let mut lost_count = 0;
                let trouble = block_on(Session::new(client(), endpoint).run(|session, event| {
                    lost_count += u32::from(event == Event::Lost);
                    if lost_count == 3 { ControlFlow::Break(session.trouble()) } else { ControlFlow::Continue(()) }
                }));
                assert!(trouble.unwrap().to_string().contains("refused"));
            }

            #[test]
            fn a_run_ends_although_the_gateway_reads_nothing() {
                let (stop, stopped) = std::sync::mpsc::channel::<()>();
                let (endpoint, end) = gateway(move |door| {
                    let peer = door.welcome();
                    // Until the client has gone: nothing is read.
                    let _ = stopped.recv();
                    drop(peer);
                });
                let session = Session::new(client(), endpoint);
                for _ in 0..200 {
                    session.send(name("bob"), 0, SendFlags(0), &[7; 60_000]).unwrap();
                }
                block_on(session.run(|_, event| until_welcomed(&event)));
                assert_eq!(session.with(|client, _| client.unresolved_count()), 200);
                drop(stop);
                end.join().unwrap();
            }

            #[test]
            fn a_session_can_be_run_again_and_goes_on() {
                let (endpoint, end) = gateway(|door| {
                    drop(door.welcome());
                    let mut peer = door.welcome();
                    assert_eq!(peer.hear_body_len(), Some(5));
                    peer.accept_message(1);
                });
                let session = Session::new(client(), endpoint);
                block_on(async {
                    session.run(|_, event| until_welcomed(&event)).await;
                    session.send(name("bob"), 0, SendFlags(0), b"hello").unwrap();
                    assert_eq!(session.run(|_, event| until_accepted(&event)).await, 1);
                });
                end.join().unwrap();
            }

            #[test]
            fn a_run_ends_with_whatever_else_the_application_waits_for() {
                let (endpoint, end) = gateway(|door| {
                    let mut peer = door.welcome();
                    assert_eq!(peer.hear_body_len(), Some(5));
                    peer.accept_message(1);
                });
                let session = Session::new(client(), endpoint);
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
                end.join().unwrap();
            }
        }
    };
}

behaviour!(monoio_plain, shardwire_sdk::adapter::monoio::Session, crate::on_monoio, crate::peer::plain);
behaviour!(monoio_tls, shardwire_sdk::adapter::monoio::Session, crate::on_monoio, crate::peer::secure);
#[cfg(feature = "tokio")]
behaviour!(tokio_plain, shardwire_sdk::adapter::tokio::Session, crate::on_tokio, crate::peer::plain);
#[cfg(feature = "tokio")]
behaviour!(tokio_tls, shardwire_sdk::adapter::tokio::Session, crate::on_tokio, crate::peer::secure);
