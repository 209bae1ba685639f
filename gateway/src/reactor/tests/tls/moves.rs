//! Connections that move to another shard, with what they hold in either form.

use super::*;

#[test]
fn a_connection_moves_in_mid_record_with_all_it_has_read_and_all_it_has_not_sent() {
    let party = Party::new();
    let config = party.client(&[ALPN]);
    let mut from = Bench::secure(&party);
    let mut to = Bench::new();
    let frames: Vec<u8> = (0..=9).flat_map(|n| frame(n, n.into())).collect();
    // Up to the whole of the second record.
    for cut in 1..=13 + 22 {
        let (mut client, _) = from.secure_pair(&config);
        let release = |net: &mut Net, event: &Event<'_>| {
            if let Event::Frame { conn, .. } = event {
                net.write(*conn, b"before ");
                net.release(*conn);
                net.write(*conn, b"not this");
            }
        };
        let bytes = [client.sealed(&frames), client.sealed(&frame(9, 9))].concat();
        let (before, after) = bytes.split_at(bytes.len() - cut);
        client.write(before);
        from.pump(&mut Vec::new(), release, |log, _| count(log, "frame") == 1);
        let detached = released(&mut from);
        assert_eq!(from.reactor.net.count(), 0);
        // To another thread and back.
        let detached = std::thread::spawn(move || detached).join().unwrap();
        let id = to.reactor.net().adopt(*detached, PAYLOAD_LEN_MAX);
        to.reactor.net().write(id, b"after");
        client.write(after);
        let mut log = Vec::new();
        to.settle(&mut log, ignore);
        assert_eq!(log.len(), 0, "an adopted connection is paused");
        to.reactor.net().resume(id);
        to.pump(&mut log, ignore, |log, _| {
            client.listen();
            count(log, "frame") == 10 && client.heard.len() == 12
        });
        log.retain(|line| line.starts_with("frame"));
        let expected: Vec<_> = (1..=9).chain([9]).map(|n| format!("frame {n} {n}")).collect();
        assert_eq!(log, expected);
        assert_eq!(client.heard, b"before after");
        assert!(holds_no_buffer(to.conn(id)));
        drop(client);
        to.pump(&mut log, ignore, |_, net| net.count() == 0);
    }
}

#[test]
fn a_blocked_connection_moves_with_what_waits_in_both_forms() {
    let party = Party::new();
    let mut from = Bench::secure(&party);
    let mut to = Bench::new();
    let (mut client, id) = from.secure_pair(&party.client(&[ALPN]));
    let bytes: Vec<u8> = (0..=252).cycle().take(16_000_000).collect();
    from.reactor.net().write(id, &bytes);
    from.settle(&mut Vec::new(), ignore);
    assert!(!from.conn(id).tls.as_ref().unwrap().sealed.is_empty() && !from.conn(id).unsent.is_empty());
    from.reactor.net().release(id);
    let detached = released(&mut from);
    let id = to.reactor.net().adopt(*detached, PAYLOAD_LEN_MAX);
    to.reactor.net().write(id, b"end");
    to.pump(&mut Vec::new(), ignore, |_, _| {
        client.listen();
        client.heard.len() == bytes.len() + 3
    });
    assert!(client.heard.starts_with(&bytes) && client.heard.ends_with(b"end"));
    assert_eq!(client.error, None);
}

/// What was asked to leave.
fn released(from: &mut Bench) -> Box<Detached> {
    let give_up = Instant::now() + Duration::from_secs(10);
    let mut detached = None;
    while detached.is_none() {
        assert!(Instant::now() < give_up, "it was never released");
        let mut take = |_: &mut Net, event: Event<'_>| {
            if let Event::Released { detached: it, .. } = event {
                detached = Some(it);
            }
        };
        from.reactor.turn(64, &mut take).unwrap();
    }
    detached.unwrap()
}

#[test]
fn what_moved_in_part_has_a_deadline_where_it_came() {
    let party = Party::new();
    let (mut from, mut to) = (Bench::secure(&party), Bench::new());
    let (mut client, _) = from.secure_pair(&party.client(&[ALPN]));
    let bytes = [client.sealed(&frame(1, 1)), client.sealed(&frame(2, 2))].concat();
    client.write(&bytes[..bytes.len() - 1]);
    let release = |net: &mut Net, event: &Event<'_>| {
        if let Event::Frame { conn, .. } = event {
            net.release(*conn);
        }
    };
    from.pump(&mut Vec::new(), release, |log, _| count(log, "frame") == 1);
    let detached = released(&mut from);
    let id = to.reactor.net().adopt(*detached, PAYLOAD_LEN_MAX);
    to.reactor.net().resume(id);
    to.settle(&mut Vec::new(), ignore);
    assert!(to.conn(id).is_in_mid_frame() && to.conn(id).is_watched);
}
