//! Handshakes, resumed sessions, new configurations.

use rustls::HandshakeKind;
use rustls::crypto::aws_lc_rs::kx_group;

use super::*;
use crate::reactor::net::Peer;
use crate::reactor::tls::Tls;

#[test]
fn a_client_that_was_here_comes_back_by_its_ticket() {
    let party = Party::new();
    let config = party.client(&[ALPN]);
    let mut bench = Bench::secure(&party);
    let (mut client, _) = bench.secure_pair(&config);
    assert_eq!(client.session.handshake_kind(), Some(HandshakeKind::Full));
    // Its tickets came behind the handshake.
    client.listen();
    let (again, _) = bench.secure_pair(&config);
    assert_eq!(again.session.handshake_kind(), Some(HandshakeKind::Resumed));
}

#[test]
fn a_client_that_guessed_another_key_exchange_is_asked_again() {
    let mut provider = default_provider();
    provider.kx_groups = vec![kx_group::X25519];
    let party = Party::with(provider);
    let mut provider = default_provider();
    // It sends a key for the first only.
    provider.kx_groups = vec![kx_group::SECP384R1, kx_group::X25519];
    let mut roots = RootCertStore::empty();
    roots.add(party.certificate.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    let mut bench = Bench::secure(&party);
    let (client, _) = bench.secure_pair(&Arc::new(config));
    assert_eq!(client.session.handshake_kind(), Some(HandshakeKind::FullWithHelloRetryRequest));
}

#[test]
fn a_new_configuration_counts_for_new_connections() {
    let (old, new) = (Party::new(), Party::new());
    let mut bench = Bench::secure(&old);
    let (mut before, _) = bench.secure_pair(&old.client(&[ALPN]));
    bench.reactor.net().set_tls(Arc::clone(&new.server));
    let (after, _) = bench.secure_pair(&new.client(&[ALPN]));
    assert_eq!(after.session.peer_certificates().unwrap(), [new.certificate]);
    before.say(&frame(1, 1));
    bench.pump(&mut Vec::new(), echo, |_, _| {
        before.listen();
        before.heard == frame(1, 1)
    });
}

#[test]
fn handshakes_wait_their_turn_and_frames_do_not_wait_for_them() {
    let party = Party::new();
    let config = party.client(&[ALPN]);
    let mut bench = Bench::secure(&party);
    let (mut user, _) = bench.secure_pair(&config);
    let mut crowd: Vec<_> = (0..8).map(|_| Client::new(&bench, &config)).collect();
    let mut ids = bench.accept(9);
    ids.sort();
    bench.settle(&mut Vec::new(), ignore);
    for client in &mut crowd {
        client.go_on();
    }
    // Time for one handshake a turn, whatever the machine.
    bench.reactor.net.handshake_time_per_turn = Duration::from_nanos(1);
    user.say(&frame(1, 1));
    let mut log = Vec::new();
    let shaken =
        |net: &Net| ids.iter().filter(|id| !net.conns.get(**id).unwrap().tls.as_ref().unwrap().is_greeted()).count();
    for turn in 0..=8 {
        assert_eq!(8 - shaken(&bench.reactor.net), turn);
        let is_busy = bench.reactor.turn(64, &mut |_, event| log.extend(describe(&event))).unwrap();
        assert!(is_busy || turn == 8);
        assert_eq!(count(&log, "frame 1 1"), 1, "it came in the first turn");
    }
    bench.reactor.net.handshake_time_per_turn = Duration::from_millis(2);
    bench.pump(&mut log, ignore, |_, net| {
        crowd.iter_mut().for_each(Client::go_on);
        ids.iter().all(|id| !net.conns.get(*id).unwrap().is_handshaking())
    });
}

#[test]
fn it_is_told_who_is_at_the_other_end() {
    let party = Party::new();
    let mut bench = Bench::secure(&party);
    let (client, id) = bench.secure_pair(&party.client(&[ALPN]));
    let address = client.socket.local_addr().unwrap();
    assert_eq!(bench.reactor.net().peer(id), Some(Peer { address, is_tls: true }));
    let mut plain = Bench::new();
    let (client, id) = plain.pair();
    let address = client.local_addr().unwrap();
    assert_eq!(plain.reactor.net().peer(id), Some(Peer { address, is_tls: false }));
}

#[test]
fn an_idle_session_is_its_state_and_no_buffer() {
    let party = Party::new();
    let mut bench = Bench::secure(&party);
    let (_client, id) = bench.secure_pair(&party.client(&[ALPN]));
    assert!(holds_no_buffer(bench.conn(id)));
    // And 1,066 bytes of rustls behind it, counted once by an allocator.
    assert!(size_of::<Tls>() <= 1_200, "{} bytes", size_of::<Tls>());
}
