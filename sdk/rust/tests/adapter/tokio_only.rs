//! What belongs to the adapter for tokio alone.

use std::ops::ControlFlow;
use std::sync::mpsc;
use std::thread;

use shardwire_sdk::Event;
use shardwire_sdk::adapter::tokio::Session;
use wire::frame::SendFlags;

use crate::{client, name, on_tokio, peer};

#[test]
fn a_clone_sends_from_another_thread_while_the_session_runs_on_a_pool() {
    let (endpoint, end) = peer::secure(|door| {
        let mut peer = door.welcome();
        assert_eq!(peer.hear_body_len(), Some(5));
        peer.accept_message(1);
    });
    let session = Session::new(client(), endpoint);
    let (welcomed, is_welcomed) = mpsc::channel();
    let sender = session.clone();
    let sending = thread::spawn(move || {
        is_welcomed.recv().unwrap();
        sender.send(name("bob"), 0, SendFlags(0), b"hello").unwrap()
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let run = runtime.spawn(async move {
        session
            .run(move |_, event| match event {
                Event::Welcomed(_) => {
                    welcomed.send(()).unwrap();
                    ControlFlow::Continue(())
                }
                Event::Accepted { counter, .. } => ControlFlow::Break(counter),
                _ => ControlFlow::Continue(()),
            })
            .await
    });
    assert_eq!(on_tokio(run).unwrap(), sending.join().unwrap());
    end.join().unwrap();
}

#[test]
fn a_run_that_is_dropped_closes_its_connection_and_another_can_follow() {
    let (gone, is_gone) = mpsc::channel();
    let (endpoint, end) = peer::plain(move |door| {
        let mut peer = door.welcome();
        assert_eq!(peer.hear(|_| ()), None, "its connection is closed");
        gone.send(()).unwrap();
        drop(door.welcome());
    });
    let session = Session::new(client(), endpoint);
    on_tokio(async {
        let until_welcomed = |event: &Event| match event {
            Event::Welcomed(_) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        let (sender, welcomed) = tokio::sync::oneshot::channel();
        let mut sender = Some(sender);
        let running = session.clone();
        let run = tokio::spawn(async move {
            running
                .run(|_, event| {
                    if until_welcomed(&event).is_break() {
                        sender.take().unwrap().send(()).unwrap();
                    }
                    ControlFlow::<()>::Continue(())
                })
                .await;
        });
        welcomed.await.unwrap();
        run.abort();
        assert!(run.await.unwrap_err().is_cancelled());
        is_gone.recv().unwrap();
        session.run(|_, event| until_welcomed(&event)).await;
    });
    end.join().unwrap();
}
