//! The same under TLS. The client is rustls with buffers, over a plain socket of the same thread.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, ClientConfig, ClientConnection, Error, HandshakeKind, RootCertStore, ServerConfig};

use super::super::conn::Conn;
use super::super::net::Peer;
use super::super::tls::Tls;
use super::*;
use crate::tls_config::ALPN;

/// A server's configuration, and those of clients that trust it.
struct Party {
    server: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
}

impl Party {
    fn new() -> Party {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = cert.der().clone();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let mut server =
            ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
        server.alpn_protocols = vec![ALPN.to_vec()];
        server.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
        Party { server: Arc::new(server), certificate }
    }

    fn client(&self, protocols: &[&[u8]]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let mut client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        client.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Arc::new(client)
    }
}

/// A TLS client: what it has heard and how it ended.
struct Client {
    socket: TcpStream,
    session: ClientConnection,
    heard: Vec<u8>,
    error: Option<Error>,
    is_at_end: bool,
}

impl Client {
    fn new(bench: &Bench, config: &Arc<ClientConfig>) -> Client {
        let socket = bench.connect();
        socket.set_nonblocking(true).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut session = ClientConnection::new(Arc::clone(config), name).unwrap();
        session.set_buffer_limit(None);
        Client { socket, session, heard: Vec::new(), error: None, is_at_end: false }
    }

    /// What it wants to send, encrypted.
    fn said(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.session.wants_write() {
            self.session.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    fn sealed(&mut self, frames: &[u8]) -> Vec<u8> {
        self.session.writer().write_all(frames).unwrap();
        self.said()
    }

    fn say(&mut self, frames: &[u8]) {
        let bytes = self.sealed(frames);
        self.socket.write_all(&bytes).unwrap();
    }

    /// Sends what it has to say and takes what has come.
    fn go_on(&mut self) {
        let bytes = self.said();
        self.write(&bytes);
        self.listen();
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Err(error) = self.socket.write_all(bytes) {
            assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "what it says is short");
            self.is_at_end = true;
        }
    }

    fn listen(&mut self) {
        let mut buffer = vec![0; 1 << 18];
        while self.error.is_none() {
            let len = match self.socket.read(&mut buffer) {
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => 0,
            };
            if len == 0 {
                self.is_at_end = true;
                break;
            }
            let mut bytes = &buffer[..len];
            while !bytes.is_empty() && self.error.is_none() {
                // After close_notify it takes nothing.
                if self.session.read_tls(&mut bytes).unwrap() == 0 {
                    break;
                }
                self.error = self.session.process_new_packets().err();
                let mut reader = self.session.reader();
                let mut part = [0; 4096];
                while let Ok(len) = reader.read(&mut part)
                    && len > 0
                {
                    self.heard.extend_from_slice(&part[..len]);
                }
            }
        }
    }

    fn was_told_goodbye(&mut self) -> bool {
        self.session.process_new_packets().is_ok_and(|state| state.peer_has_closed())
    }

    fn alert(&self) -> Option<AlertDescription> {
        match &self.error {
            Some(Error::AlertReceived(alert)) => Some(*alert),
            _ => None,
        }
    }
}

impl Bench {
    fn secure(party: &Party) -> Bench {
        let mut bench = Bench::with_descriptors(1000);
        let (mut listeners, address) = listen("127.0.0.1:0".parse().unwrap(), 1, Duration::ZERO).unwrap();
        bench.reactor.net().set_tls(Arc::clone(&party.server));
        bench.reactor.net().start_accepting(listeners.remove(0), true);
        bench.address = address;
        bench
    }

    /// A client that has shaken hands.
    fn secure_pair(&mut self, config: &Arc<ClientConfig>) -> (Client, ConnId) {
        let before = self.reactor.net.count();
        let mut client = Client::new(self, config);
        let id = self.accept(before + 1)[0];
        self.pump(&mut Vec::new(), ignore, |_, net| {
            client.go_on();
            !client.session.is_handshaking() && !net.conns.get(id).unwrap().is_handshaking()
        });
        self.settle(&mut Vec::new(), ignore);
        (client, id)
    }

    fn conn(&self, id: ConnId) -> &Conn {
        self.reactor.net.conns.get(id).unwrap()
    }
}

fn holds_no_buffer(conn: &Conn) -> bool {
    let tls = conn.tls.as_ref().unwrap();
    conn.unread.is_empty() && conn.unsent.is_empty() && !tls.is_in_mid_record() && tls.sealed.is_empty()
}

fn several_frames() -> Vec<u8> {
    [0, 1, 100, 5000, 0, 60_000].iter().flat_map(|len| frame(7, *len)).collect()
}

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
    assert!(sealed <= super::super::tls::SCRATCH_LEN, "{sealed} bytes wait encrypted");
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
fn a_connection_moves_in_mid_record_with_all_it_has_read_and_all_it_has_not_sent() {
    let party = Party::new();
    let config = party.client(&[ALPN]);
    let mut from = Bench::secure(&party);
    let mut to = Bench::new();
    let frames: Vec<u8> = (0..=9).flat_map(|n| frame(n, n.into())).collect();
    // Up to the whole of the second record.
    for cut in 1..=13 + 22 {
        let (mut client, _) = from.secure_pair(&config);
        let detached = RefCell::new(None);
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
        let give_up = Instant::now() + Duration::from_secs(10);
        while detached.borrow().is_none() {
            assert!(Instant::now() < give_up, "it was never released");
            let mut take = |_: &mut Net, event: Event<'_>| {
                if let Event::Released { detached: it, .. } = event {
                    *detached.borrow_mut() = Some(it);
                }
            };
            from.reactor.turn(64, &mut take).unwrap();
        }
        let detached = detached.take().unwrap();
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
    let detached = RefCell::new(None);
    let give_up = Instant::now() + Duration::from_secs(10);
    while detached.borrow().is_none() {
        assert!(Instant::now() < give_up, "it was never released");
        let mut take = |_: &mut Net, event: Event<'_>| {
            if let Event::Released { detached: it, .. } = event {
                *detached.borrow_mut() = Some(it);
            }
        };
        from.reactor.turn(64, &mut take).unwrap();
    }
    let id = to.reactor.net().adopt(*detached.take().unwrap(), PAYLOAD_LEN_MAX);
    to.reactor.net().write(id, b"end");
    to.pump(&mut Vec::new(), ignore, |_, _| {
        client.listen();
        client.heard.len() == bytes.len() + 3
    });
    assert!(client.heard.starts_with(&bytes) && client.heard.ends_with(b"end"));
    assert_eq!(client.error, None);
}

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

/// What a server answers to these bytes from a stranger.
fn answer_to(bytes: &[u8]) -> (Vec<String>, Vec<u8>) {
    let party = Party::new();
    let mut bench = Bench::secure(&party);
    let (mut client, id) = bench.pair();
    client.write_all(bytes).unwrap();
    let mut log = Vec::new();
    bench.pump(&mut log, ignore, |log, _| count(log, "closed") == 1);
    assert!(!bench.reactor.net.conns.get(id).is_some_and(|conn| conn.stage == super::super::conn::Stage::Open));
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
