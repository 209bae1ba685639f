//! Who does not speak TLS as this port wants it.

use super::*;
use crate::reactor::conn::Stage;

/// What a server answers to these bytes from a stranger.
fn answer_to(bytes: &[u8]) -> (Vec<String>, Vec<u8>) {
    let party = Party::new();
    let mut bench = Bench::secure(&party);
    let (mut client, id) = bench.pair();
    client.write_all(bytes).unwrap();
    let mut log = Vec::new();
    bench.pump(&mut log, ignore, |log, _| count(log, "closed") == 1);
    assert!(!bench.reactor.net.conns.get(id).is_some_and(|conn| conn.stage == Stage::Open));
    bench.settle(&mut log, ignore);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    (log, answer)
}

fn fatal(alert: AlertDescription) -> Vec<u8> {
    vec![21, 3, 3, 0, 2, 2, alert.into()]
}

#[test]
fn plain_bytes_at_the_tls_port_are_answered_by_an_alert() {
    let (log, answer) = answer_to(&frame(0x20, 100));
    assert_eq!(log, ["closed"]);
    assert_eq!(answer, fatal(AlertDescription::DecodeError));
}

#[test]
fn tls_at_the_plain_port_is_a_frame_that_is_too_large() {
    let party = Party::new();
    let mut bench = Bench::new();
    let mut client = Client::new(&bench, &party.client(&[ALPN]));
    let id = bench.accept(1)[0];
    let limit = u32::try_from(wire::limits::HELLO_PAYLOAD_LEN_MAX).unwrap();
    bench.reactor.net.conns.get_mut(id).unwrap().payload_len_max = limit;
    client.go_on();
    let mut log = Vec::new();
    bench.pump(&mut log, ignore, |log, _| !log.is_empty());
    assert_eq!(log[0], "broken FrameTooLarge");
}

#[test]
fn an_older_tls_is_refused() {
    // The ClientHello of a client that knows TLS 1.2 at most: one cipher suite, one curve, one kind of signature.
    let (curve, signature) = ([0, 10, 0, 4, 0, 2, 0, 23], [0, 13, 0, 4, 0, 2, 4, 3]);
    let body = [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0xc0, 0x2b], &[1, 0], &[0, 16], &curve, &signature].concat();
    let len = u8::try_from(body.len()).unwrap();
    for version in [1, 3] {
        let hello = [&[22, 3, version, 0, len + 4, 1, 0, 0, len][..], &body].concat();
        let (log, answer) = answer_to(&hello);
        assert_eq!(log, ["closed"]);
        assert_eq!(answer, fatal(AlertDescription::ProtocolVersion));
    }
    // SSL 2.0
    let (_, answer) = answer_to(&[0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10]);
    assert_eq!(answer, fatal(AlertDescription::DecodeError));
}

#[test]
fn a_handshake_message_that_is_too_large_is_refused_before_it_is_kept() {
    // Larger than a client's greeting may be, and one that says so only by coming on and on.
    let (_, answer) = answer_to(&[22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff]);
    assert_eq!(answer, fatal(AlertDescription::DecodeError));
    let part = [&[22, 3, 1, 0x40, 0][..], &vec![0; 1 << 14]].concat();
    let mut parts = part.repeat(3);
    parts[5..9].copy_from_slice(&[1, 0, 0xff, 0xf0]);
    let (_, answer) = answer_to(&parts);
    assert_eq!(answer, fatal(AlertDescription::DecodeError));
    // A record that is larger than records are.
    let (_, answer) = answer_to(&[22, 3, 1, 0xff, 0xff, 1]);
    assert_eq!(answer, fatal(AlertDescription::DecodeError));
}

#[test]
fn bytes_that_were_tampered_with_end_the_session_with_an_alert() {
    let party = Party::new();
    let mut bench = Bench::secure(&party);
    let (mut client, _) = bench.secure_pair(&party.client(&[ALPN]));
    let mut bytes = [client.sealed(&frame(1, 10)), client.sealed(&frame(2, 20))].concat();
    *bytes.last_mut().unwrap() ^= 1;
    client.write(&bytes);
    let mut log = Vec::new();
    bench.pump(&mut log, echo, |_, _| {
        client.listen();
        client.error.is_some()
    });
    assert_eq!(log, ["frame 1 10", "closed"], "what came before counts");
    assert_eq!(client.alert(), Some(AlertDescription::BadRecordMac));
}

#[test]
fn only_clients_that_name_the_protocol_are_served() {
    let party = Party::new();
    for (offered, is_served) in
        [(&[b"h2".as_slice()][..], false), (&[b"h2", b"shardwire/2"], false), (&[b"h2", ALPN], true)]
    {
        let mut bench = Bench::secure(&party);
        let mut client = Client::new(&bench, &party.client(offered));
        bench.accept(1);
        let mut log = Vec::new();
        bench.pump(&mut log, ignore, |_, _| {
            client.go_on();
            client.error.is_some() || !client.session.is_handshaking()
        });
        if is_served {
            assert_eq!(client.error, None);
            assert_eq!(client.session.alpn_protocol(), Some(ALPN));
        } else {
            assert_eq!(client.alert(), Some(AlertDescription::NoApplicationProtocol), "{offered:?}");
            assert_eq!(count(&log, "closed"), 1);
        }
    }
}

#[test]
fn who_names_no_protocol_is_sent_away_before_it_is_read() {
    let party = Party::new();
    let mut bench = Bench::secure(&party);
    let mut client = Client::new(&bench, &party.client(&[]));
    bench.accept(1);
    let mut log = Vec::new();
    bench.pump(&mut log, echo, |_, _| {
        let hello = client.said();
        client.write(&hello);
        client.listen();
        !client.session.is_handshaking()
    });
    client.say(&frame(1, 10));
    bench.pump(&mut log, echo, |_, _| {
        client.listen();
        client.is_at_end
    });
    assert!(client.was_told_goodbye());
    assert_eq!((count(&log, "frame"), count(&log, "closed"), client.heard.len()), (0, 1, 0));
}

#[test]
fn a_record_that_comes_byte_by_byte_has_an_absolute_deadline() {
    let party = Party::new();
    let mut bench = Bench::secure(&party);
    let (mut client, _) = bench.secure_pair(&party.client(&[ALPN]));
    let bytes = client.sealed(&frame(1, 100));
    client.write(&bytes[..20]);
    let mut log = Vec::new();
    bench.pump(&mut log, ignore, |log, _| log.len() == 1);
    let first = bench.reactor.deadline().unwrap();
    for byte in &bytes[20..] {
        let at = bench.reactor.deadline().unwrap();
        bench.reactor.net.look_after_slow_ones(at, &mut |_, event| log.extend(describe(&event)));
        if count(&log, "broken FrameTimeout") == 1 {
            assert_eq!(at - first, wire::limits::FRAME_TIMEOUT);
            return;
        }
        client.write(&[*byte]);
        let heard = log.len() + 1;
        bench.pump(&mut log, ignore, |log, _| log.len() == heard);
    }
    panic!("it was given all the time it wanted");
}
