//! TLS at the real gateway: who speaks it is served as others are, who does not speak it well is refused, and nobody gains time by
//! speaking slowly.

#![forbid(unsafe_code)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use gateway_tests::e2e::{Conn, Gateway, HelloSpec, Keys, LIMIT, Setup, frame_bytes};
use shardwire_sdk::tls::{Tls, TlsConfig};
use wire::{Code, Frame, frame::Ping};

/// A gateway that listens for both, and what its clients need.
struct Scene {
    gateway: Gateway,
    keys: Keys,
    tls: TlsConfig,
}

impl Scene {
    fn new() -> Scene {
        let gateway = Setup::new().arg("--tls-listen").arg("127.0.0.1:0").start();
        let keys = gateway.keys();
        let tls = TlsConfig::from_ca_file(&gateway.data_dir().join("dev-ca.pem")).expect("--dev makes it");
        Scene { gateway, keys, tls }
    }

    fn hello(&self, user: &str) -> HelloSpec {
        HelloSpec::new(user, &self.keys.token(user))
    }

    /// A connection under TLS.
    fn open(&self) -> Conn {
        Conn::open_tls(self.gateway.tls_addr(), &self.tls).expect("the gateway is good")
    }

    /// A session of its own user, under TLS.
    fn session(&self, user: &str) -> Conn {
        let mut conn = self.open();
        conn.write(&self.hello(user).bytes());
        conn.welcome();
        conn
    }

    /// What the TLS port answers to these bytes.
    fn answer(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.gateway.tls_addr()).expect("it listens");
        stream.set_read_timeout(Some(LIMIT)).expect("a timeout above 0");
        stream.write_all(bytes).expect("the connection is open");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("it ends in order");
        answer
    }

    /// The end of each test: others are still served.
    fn assert_unharmed(&self) {
        self.session("newcomer").ping();
    }
}

/// A fatal alert that is not encrypted: RFC 8446, sections 5.1 and 6.
fn alert(number: u8) -> Vec<u8> {
    vec![21, 3, 3, 0, 2, 2, number]
}

#[test]
fn messages_pass_between_tls_and_plain_whole_and_in_order() {
    let scene = Scene::new();
    let mut alice = scene.session("alice");
    let mut bob = Conn::login(scene.gateway.addr(), &scene.hello("bob"));
    // Larger than a TLS record, and small ones behind each other in one.
    let bodies: Vec<Vec<u8>> = (1..=40u8).map(|n| vec![n; if n % 10 == 0 { 40_000 } else { 10 }]).collect();
    pass(&mut alice, &mut bob, "bob", &bodies);
    pass(&mut bob, &mut alice, "alice", &bodies);
}

fn pass(from: &mut Conn, into: &mut Conn, name: &str, bodies: &[Vec<u8>]) {
    let sends = (0..).zip(bodies).flat_map(|(span, body)| from.send_bytes(u64::from(span) + 1, span, name, body));
    from.write(&sends.collect::<Vec<u8>>());
    for body in bodies {
        let (id, _, came) = into.expect_deliver();
        assert!(came == *body);
        into.confirm(id);
    }
    from.expect_acks(1..=40);
}

#[test]
fn the_gateway_ends_a_tls_session_in_order() {
    let scene = Scene::new();
    let mut conn = scene.session("alice");
    conn.write(&frame_bytes(&Frame::Pong(Ping { token: 1 })));
    assert_eq!(conn.expect_goaway(), Code::OutOfState);
    assert!(conn.was_told_goodbye());
}

#[test]
fn older_tls_is_refused() {
    let scene = Scene::new();
    // The ClientHello of a client that knows TLS 1.2 at most: one cipher suite, one curve, one kind of signature.
    let extensions = [0, 10, 0, 4, 0, 2, 0, 23, 0, 13, 0, 4, 0, 2, 4, 3];
    let body = [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0xc0, 0x2b], &[1, 0], &[0, 16], &extensions].concat();
    let len = u8::try_from(body.len()).unwrap();
    let hello = [&[22, 3, 1, 0, len + 4, 1, 0, 0, len][..], &body].concat();
    assert_eq!(scene.answer(&hello), alert(70), "protocol_version");
    scene.assert_unharmed();
}

#[test]
fn what_is_no_tls_is_refused_at_the_tls_port_and_tls_at_the_plain_port() {
    let scene = Scene::new();
    assert_eq!(scene.answer(&scene.hello("alice").bytes()), alert(50), "decode_error");
    assert_eq!(scene.answer(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), alert(50), "decode_error");
    let mut conn = Conn::open(scene.gateway.addr());
    conn.write(&client_hello(&scene.tls));
    assert_eq!(conn.expect_goaway(), Code::FrameTooLarge);
    scene.assert_unharmed();
}

fn client_hello(config: &TlsConfig) -> Vec<u8> {
    let mut bytes = Vec::new();
    Tls::new(config, "localhost").expect("a name").take_ciphertext(&mut bytes);
    bytes
}

#[test]
fn a_client_hello_that_comes_byte_by_byte_has_ten_seconds() {
    let scene = Scene::new();
    let mut conn = Conn::open(scene.gateway.tls_addr());
    let (count, code) = conn.trickle(&client_hello(&scene.tls)[..20]);
    assert!(count >= 5, "{count} bytes");
    assert_eq!(code, None, "there are no keys to say it under");
    scene.assert_unharmed();
}

#[test]
fn a_hello_that_comes_byte_by_byte_has_ten_seconds_with_its_handshake() {
    let scene = Scene::new();
    let mut conn = scene.open();
    let (count, code) = conn.trickle(&scene.hello("alice").bytes()[..20]);
    assert!(count >= 5, "{count} bytes");
    assert_eq!(code, Some(Code::HelloTimeout));
    assert!(conn.was_told_goodbye());
    scene.assert_unharmed();
}

#[test]
fn a_frame_that_comes_byte_by_byte_has_thirty_seconds() {
    let scene = Scene::new();
    let plain = Conn::login(scene.gateway.addr(), &scene.hello("alice"));
    let secure = scene.session("bob");
    std::thread::scope(|scope| {
        for mut conn in [plain, secure] {
            scope.spawn(move || {
                let frame = conn.send_bytes(1, 0, "carol", &[7; 100]);
                let (count, code) = conn.trickle(&frame[..50]);
                assert!(count >= 20, "{count} bytes");
                assert_eq!(code, Some(Code::FrameTimeout));
            });
        }
    });
    scene.assert_unharmed();
}
