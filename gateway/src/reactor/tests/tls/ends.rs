//! How TLS sessions end, by either side.

use super::*;

#[test]
fn the_last_bytes_and_the_goodbye_reach_a_peer_that_is_still_sending() {
    let party = Party::new();
    let mut bench = Bench::secure(&party);
    let (mut client, id) = bench.secure_pair(&party.client(&[ALPN]));
    client.say(&frame(1, 10_000));
    bench.reactor.net().write(id, b"goodbye");
    bench.reactor.net().close(id);
    bench.reactor.net().write(id, b"not this");
    let mut log = Vec::new();
    bench.settle(&mut log, ignore);
    client.say(&frame(2, 10_000));
    bench.pump(&mut log, ignore, |_, _| {
        client.listen();
        client.is_at_end
    });
    assert_eq!(client.heard, b"goodbye");
    assert!(client.was_told_goodbye());
    assert_eq!(bench.reactor.net.count(), 1, "it waits for the peer to close");
    drop(client);
    bench.pump(&mut log, ignore, |_, net| net.count() == 0);
    assert_eq!(log.len(), 0, "nothing is told of a connection that was closed");
}

#[test]
fn a_peer_that_says_goodbye_gets_its_answers_and_a_goodbye() {
    let party = Party::new();
    let mut bench = Bench::secure(&party);
    let (mut client, _) = bench.secure_pair(&party.client(&[ALPN]));
    client.session.writer().write_all(&frame(1, 5)).unwrap();
    client.session.send_close_notify();
    let mut bytes = client.said();
    bytes.extend([23, 3, 3, 0, 1, 0]); // What follows a goodbye is ignored.
    client.write(&bytes);
    let mut log = Vec::new();
    bench.pump(&mut log, echo, |_, _| {
        client.listen();
        client.is_at_end
    });
    assert_eq!(log, ["frame 1 5", "closed"]);
    assert_eq!(client.heard, frame(1, 5));
    assert!(client.was_told_goodbye());
}

#[test]
fn a_peer_that_ends_without_goodbye_is_told_once_as_closed() {
    let party = Party::new();
    let mut bench = Bench::secure(&party);
    let (mut client, _) = bench.secure_pair(&party.client(&[ALPN]));
    client.say(&frame(1, 1));
    drop(client);
    let mut log = Vec::new();
    bench.pump(&mut log, ignore, |_, net| net.count() == 0);
    assert_eq!(log, ["frame 1 1", "closed"]);
}

#[test]
fn a_peer_that_ends_in_mid_handshake_is_told_as_closed() {
    let party = Party::new();
    let mut bench = Bench::secure(&party);
    let mut client = Client::new(&bench, &party.client(&[ALPN]));
    bench.accept(1);
    let hello = client.said();
    client.write(&hello[..hello.len() / 2]);
    drop(client);
    let mut log = Vec::new();
    bench.pump(&mut log, ignore, |_, net| net.count() == 0);
    assert_eq!(log, ["heard", "closed"]);
}

#[test]
fn a_connection_closed_in_mid_handshake_ends_without_its_last_words() {
    let party = Party::new();
    let mut bench = Bench::secure(&party);
    let mut client = Client::new(&bench, &party.client(&[ALPN]));
    let id = bench.accept(1)[0];
    let hello = client.said();
    client.write(&hello[..hello.len() / 2]);
    let mut log = Vec::new();
    bench.pump(&mut log, ignore, |log, _| log.len() == 1);
    bench.reactor.net().write(id, b"too slow");
    bench.reactor.net().close(id);
    bench.pump(&mut log, ignore, |_, _| {
        client.listen();
        client.is_at_end
    });
    assert_eq!((client.heard.len(), client.error), (0, None));
}
