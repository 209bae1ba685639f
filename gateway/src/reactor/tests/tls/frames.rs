//! Frames under TLS, however their bytes are cut.

use super::*;
use crate::reactor::buffers::READ_LEN;
use crate::reactor::tls::SCRATCH_LEN;

#[test]
fn frames_come_back_in_order_to_every_client() {
    let party = Party::new();
    let config = party.client(&[ALPN]);
    let mut bench = Bench::secure(&party);
    let mut pairs: Vec<_> = (0..5).map(|_| bench.secure_pair(&config)).collect();
    let sent = several_frames();
    for (client, _) in &mut pairs {
        client.say(&sent);
    }
    let mut log = Vec::new();
    bench.pump(&mut log, echo, |log, _| {
        pairs.iter_mut().for_each(|(client, _)| client.go_on());
        count(log, "frame 7") == 6 * 5 && pairs.iter().all(|(client, _)| client.heard.len() == sent.len())
    });
    for (client, id) in &pairs {
        assert!(client.heard == sent);
        assert!(holds_no_buffer(bench.conn(*id)));
    }
}

#[test]
fn a_handshake_and_records_may_come_byte_by_byte() {
    let party = Party::new();
    let mut bench = Bench::secure(&party);
    let mut client = Client::new(&bench, &party.client(&[ALPN]));
    let id = bench.accept(1)[0];
    let mut log = Vec::new();
    let mut trickle = |bench: &mut Bench, client: &mut Client, bytes: &[u8]| {
        for byte in bytes {
            client.write(&[*byte]);
            let heard = log.len() + 1;
            bench.pump(&mut log, echo, |log, _| log.len() >= heard);
        }
        bench.settle(&mut log, echo);
        client.listen();
    };
    let hello = client.said();
    trickle(&mut bench, &mut client, &hello);
    assert_eq!(client.error, None);
    let finished = client.said();
    trickle(&mut bench, &mut client, &finished);
    assert!(!bench.conn(id).is_handshaking());
    let frames = client.sealed(&[frame(1, 3), frame(2, 0)].concat());
    trickle(&mut bench, &mut client, &frames);
    assert_eq!(client.heard, [frame(1, 3), frame(2, 0)].concat());
    assert!(holds_no_buffer(bench.conn(id)));
    assert_eq!(count(&log, "closed"), 0);
}

#[test]
fn the_end_of_a_handshake_and_the_first_frames_may_be_cut_anywhere() {
    let party = Party::new();
    let config = party.client(&[ALPN]);
    let mut bench = Bench::secure(&party);
    let mut at = 0;
    loop {
        let mut client = Client::new(&bench, &config);
        bench.accept(1);
        let mut log = Vec::new();
        bench.pump(&mut log, echo, |_, _| {
            let hello = client.said();
            client.write(&hello);
            client.listen();
            !client.session.is_handshaking()
        });
        let bytes = client.sealed(&[frame(1, 3), frame(2, 0)].concat());
        let (first, rest) = bytes.split_at(at);
        client.write(first);
        bench.pump(&mut log, echo, |log, _| at == 0 || count(log, "heard") + count(log, "frame") > 1);
        client.write(rest);
        bench.pump(&mut log, echo, |_, _| {
            client.listen();
            client.heard.len() == 11
        });
        assert_eq!(client.heard, [frame(1, 3), frame(2, 0)].concat());
        drop(client);
        bench.pump(&mut log, echo, |_, net| net.count() == 0);
        at += 1;
        if at > bytes.len() {
            break;
        }
    }
    assert!(at > 100, "{at} places");
}

#[test]
fn a_frame_larger_than_the_shared_buffer_is_put_together_from_records() {
    let party = Party::new();
    let mut bench = Bench::secure(&party);
    let (mut client, id) = bench.secure_pair(&party.client(&[ALPN]));
    bench.reactor.net.conns.get_mut(id).unwrap().payload_len_max = 1 << 20;
    let wanted = [frame(9, 300_000), frame(8, 1)].concat();
    let bytes = client.sealed(&wanted);
    let (mut sent, mut log, mut came) = (0, Vec::new(), Vec::new());
    let keep = |_: &mut Net, event: &Event<'_>| {
        if let Event::Frame { payload, .. } = event {
            came.extend_from_slice(payload);
        }
    };
    bench.pump(&mut log, keep, |log, _| {
        if let Ok(len) = client.socket.write(&bytes[sent..]) {
            sent += len;
        }
        count(log, "frame 8") == 1
    });
    assert!(came == [&wanted[4..300_004], &[0]].concat());
    assert!(holds_no_buffer(bench.conn(id)));
}

#[test]
fn a_paused_connection_keeps_what_it_read_and_goes_on_where_it_stopped() {
    let party = Party::new();
    let mut bench = Bench::secure(&party);
    let (mut client, id) = bench.secure_pair(&party.client(&[ALPN]));
    for n in 1..=64 {
        client.say(&frame(n, n.into()));
    }
    let pause = |net: &mut Net, event: &Event<'_>| {
        if let Event::Frame { conn, .. } = event {
            net.pause(*conn);
        }
    };
    let mut log = Vec::new();
    bench.pump(&mut log, pause, |log, _| count(log, "frame") == 1);
    client.say(&frame(65, 65));
    client.session.send_close_notify();
    client.go_on();
    // It can be written to meanwhile.
    bench.reactor.net().write(id, b"meanwhile");
    bench.pump(&mut log, pause, |_, _| {
        client.listen();
        client.heard == b"meanwhile"
    });
    assert_eq!(count(&log, "frame"), 1, "no second frame without resuming");
    for n in 2..=65 {
        bench.reactor.net().resume(id);
        bench.pump(&mut log, pause, |log, _| count(log, "frame") == n);
    }
    assert_eq!(count(&log, "closed"), 0);
    bench.reactor.net().resume(id);
    bench.pump(&mut log, pause, |log, _| count(log, "closed") == 1);
    let expected: Vec<_> = (1..=65).map(|n| format!("frame {n} {n}")).collect();
    log.retain(|line| line.starts_with("frame"));
    assert_eq!(log, expected);
}

#[test]
fn a_peer_that_does_not_read_blocks_and_gets_everything_later() {
    let party = Party::new();
    let mut bench = Bench::secure(&party);
    let (mut client, id) = bench.secure_pair(&party.client(&[ALPN]));
    let bytes: Vec<u8> = (0..=252).cycle().take(16_000_000).collect();
    bench.reactor.net().write(id, &bytes);
    let mut log = Vec::new();
    bench.settle(&mut log, ignore);
    assert_eq!(log, ["blocked"]);
    let sealed = bench.conn(id).tls.as_ref().unwrap().sealed.len();
    assert!(sealed <= SCRATCH_LEN, "{sealed} bytes wait encrypted");
    bench.reactor.net().write(id, b"end");
    bench.pump(&mut log, ignore, |log, _| {
        client.listen();
        log.last().is_some_and(|line| line == "sent, 0 left")
    });
    bench.pump(&mut log, ignore, |_, _| {
        client.listen();
        client.heard.len() == bytes.len() + 3
    });
    assert!(client.heard.starts_with(&bytes) && client.heard.ends_with(b"end"));
    assert!(holds_no_buffer(bench.conn(id)));
    assert_eq!(count(&log, "blocked"), 1);
}

#[test]
fn keys_may_be_renewed_while_frames_pass() {
    let party = Party::new();
    let mut bench = Bench::secure(&party);
    let (mut client, id) = bench.secure_pair(&party.client(&[ALPN]));
    let mut log = Vec::new();
    for n in 1..=20 {
        client.session.refresh_traffic_keys().unwrap();
        client.say(&frame(3, n * 10));
        bench.pump(&mut log, echo, |_, _| {
            client.go_on();
            client.heard.len() == n * 10 + 4
        });
        assert_eq!(client.heard, frame(3, n * 10));
        client.heard.clear();
    }
    assert_eq!(client.error, None);
    assert!(holds_no_buffer(bench.conn(id)));
}

fn several_frames() -> Vec<u8> {
    [0, 1, 100, 5000, 0, 60_000].iter().flat_map(|len| frame(7, *len)).collect()
}

#[test]
fn a_turn_is_bounded_in_records_too() {
    let party = Party::new();
    let config = party.client(&[ALPN]);
    let mut bench = Bench::secure(&party);
    let mut clients: Vec<_> = (0..4).map(|_| bench.secure_pair(&config).0).collect();
    // A read full of records of a byte each, without a whole frame in them.
    let begun = &frame(1, 60_000)[..READ_LEN / 23];
    for client in &mut clients {
        let bytes: Vec<u8> = begun.chunks(1).flat_map(|byte| client.sealed(byte)).collect();
        client.write(&bytes);
    }
    let mut heard = 0;
    let give_up = Instant::now() + Duration::from_secs(10);
    while heard < 4 {
        assert!(Instant::now() < give_up, "{heard} heard");
        let mut in_turn = 0;
        let mut counted = |_: &mut Net, event: Event<'_>| in_turn += usize::from(matches!(event, Event::Heard { .. }));
        bench.reactor.turn(64, &mut counted).unwrap();
        assert!(in_turn <= 1, "each costs far more than a turn may take");
        heard += in_turn;
    }
}
