//! What belongs to the adapter for monoio alone.

use std::ops::ControlFlow;

use shardwire_sdk::Event;
use shardwire_sdk::adapter::monoio::Session;
use wire::frame::SendFlags;

use crate::{client, name, on_monoio, peer};

#[test]
fn a_clone_sends_from_another_task_while_the_session_runs() {
    let (endpoint, end) = peer::plain(|door| {
        let mut peer = door.welcome();
        assert_eq!(peer.hear_body_len(), Some(5));
        peer.accept_message(1);
    });
    let session = Session::new(client(), endpoint);
    let sender = session.clone();
    let counter = on_monoio(session.run(move |_, event| {
        if let Event::Welcomed(_) = event {
            let sender = sender.clone();
            // Not from the callback itself: from another task, while the session waits.
            monoio::spawn(async move { sender.send(name("bob"), 0, SendFlags(0), b"hello").unwrap() });
        }
        match event {
            Event::Accepted { counter, .. } => ControlFlow::Break(counter.0),
            _ => ControlFlow::Continue(()),
        }
    }));
    assert_eq!(counter, 1);
    end.join().unwrap();
}
