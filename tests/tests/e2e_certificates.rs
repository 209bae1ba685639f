//! Certificates, keys and tickets of a gateway that runs: what it refuses to start with, what SIGHUP changes and what it does not, and
//! who comes back without proving again who he is.

#![forbid(unsafe_code)]

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use gateway_tests::e2e::{Conn, Gateway, HelloSpec, LIMIT, Process, Setup, shardwire_bin, until};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustix::process::Signal;
use shardwire_sdk::tls::TlsConfig;
use wire::{
    Code, Frame,
    frame::{Credential, Logout},
};

/// An authority of the test's own.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Authority { issuer: CertifiedIssuer::self_signed(params, key).expect("a certificate") }
    }

    fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// What trusts it, and remembers no session of anybody else.
    fn trust(&self) -> TlsConfig {
        TlsConfig::from_ca_pem(self.pem().as_bytes()).expect("a certificate to trust")
    }

    /// A certificate for localhost that is valid in these years, and its key, in PEM.
    fn pair_valid(&self, from: i32, until: i32) -> (String, String) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, "test gateway");
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.issuer).expect("a certificate").pem(), key.serialize_pem())
    }

    fn pair(&self) -> (String, String) {
        self.pair_valid(2020, 2090)
    }
}

/// Where the gateway's certificate and key are.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn with((certificate, key): (String, String)) -> Files {
        let files = Files { folder: tempfile::tempdir().expect("a temporary directory") };
        files.put(&certificate, &key);
        files
    }

    fn put(&self, certificate: &str, key: &str) {
        fs::write(self.certificate(), certificate).expect("the temporary directory can be written");
        fs::write(self.key(), key).expect("the temporary directory can be written");
        fs::set_permissions(self.key(), fs::Permissions::from_mode(0o600)).expect("it is ours");
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    fn setup(&self) -> Setup {
        let text = |path: &Path| path.to_str().expect("a temporary path").to_owned();
        let (certificate, key) = (text(&self.certificate()), text(&self.key()));
        tls_setup().arg("--tls-cert").arg(&certificate).arg("--tls-key").arg(&key)
    }
}

/// Listens for TLS too, with a certificate made by `--dev`.
fn tls_setup() -> Setup {
    Setup::new().arg("--tls-listen").arg("127.0.0.1:0")
}

fn dev_trust(gateway: &Gateway) -> TlsConfig {
    TlsConfig::from_ca_file(&gateway.data_dir().join("dev-ca.pem")).expect("--dev made it")
}

/// Over TLS, to where the certificate is trusted.
fn login_tls(addr: SocketAddr, trust: &TlsConfig, hello: &HelloSpec) -> Conn {
    let mut conn = Conn::open_tls(addr, trust).expect("the certificate is trusted");
    conn.write(&hello.bytes());
    conn.welcome();
    conn
}

/// Asks for a reload, and waits until what it said has `text`.
fn reload(gateway: &Gateway, text: &str) {
    gateway.process().signal(Signal::HUP);
    gateway.process().until_stderr_has(text);
}

#[test]
fn a_certificate_that_clients_would_refuse_keeps_the_gateway_from_starting() {
    let authority = Authority::new();
    let (certificate, key) = authority.pair();
    let files = Files::with((certificate.clone(), key.clone()));
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let unknown = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let reversed = format!("{certificate}{}{}", authority.pair().0, authority.pem());
    let (expired, expired_key) = authority.pair_valid(2001, 2002);
    let (future, future_key) = authority.pair_valid(2090, 2091);
    for (certificate, key, file, reason) in [
        ("", key.as_str(), "cert.pem", "empty"),
        ("a letter", &key, "cert.pem", "not PEM"),
        (&key, &key, "cert.pem", "no certificate"),
        (&certificate[..300], &key, "cert.pem", "was cut"),
        (&expired, &expired_key, "cert.pem", "expired on 2002-01-01"),
        (&future, &future_key, "cert.pem", "not valid before 2090-01-01"),
        (&reversed, &key, "cert.pem", "wrong order"),
        (&certificate, &certificate, "key.pem", "no private key"),
        (&certificate, &encrypted, "key.pem", "encrypted"),
        (&certificate, &authority.pair().1, "key.pem", "does not belong to the certificate"),
        (&certificate, unknown, "key.pem", "another kind than RSA"),
    ] {
        files.put(certificate, key);
        let message = files.setup().start_refused();
        assert!(message.contains(file) && message.contains(reason), "{reason}: {message}");
    }
}

#[test]
fn a_certificate_that_cannot_be_read_keeps_the_gateway_from_starting() {
    let files = Files::with(Authority::new().pair());
    fs::remove_file(files.key()).unwrap();
    let message = files.setup().start_refused();
    assert!(message.contains("key.pem") && message.contains("No such file"), "{message}");
    fs::remove_file(files.certificate()).unwrap();
    fs::create_dir(files.certificate()).unwrap();
    let message = files.setup().start_refused();
    assert!(message.contains("cert.pem") && message.contains("directory"), "{message}");
}

#[test]
fn a_mistake_is_found_before_a_reload_is_asked_for() {
    let files = Files::with(Authority::new().pair());
    let check = || {
        let mut command = Command::new(shardwire_bin());
        command.args(["check-config", "--dev", "--tls-listen", "127.0.0.1:0"]);
        command.arg("--tls-cert").arg(files.certificate()).arg("--tls-key").arg(files.key());
        command.arg("--data-dir").arg(files.folder.path().join("data"));
        Process::start(command)
    };
    let mut process = check();
    process.line_where(LIMIT, |line| line.contains("can be used"));
    assert!(process.wait(LIMIT).success());
    let (_, key) = Authority::new().pair();
    fs::write(files.key(), key).unwrap();
    let mut process = check();
    assert!(!process.wait(LIMIT).success());
    process.until_stderr_has("does not belong to the certificate");
}

#[test]
fn a_new_certificate_is_shown_to_newcomers_and_old_sessions_go_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let files = Files::with(old.pair());
    let gateway = files.setup().start();
    let token = |user| gateway.keys().token(user);
    let mut alice = login_tls(gateway.tls_addr(), &old.trust(), &HelloSpec::new("alice", &token("alice")));
    assert!(Conn::open_tls(gateway.tls_addr(), &new.trust()).is_err(), "not yet");
    let (certificate, key) = new.pair();
    files.put(&certificate, &key);
    reload(&gateway, "are read again");
    // Each shard takes it when it comes to its letters, and the system spreads connections over the shards.
    let sees_it = || Conn::open_tls(gateway.tls_addr(), &new.trust()).is_ok();
    until("newcomers see it, on each shard", || (0..16).all(|_| sees_it()));
    assert!(Conn::open_tls(gateway.tls_addr(), &old.trust()).is_err(), "the old one is not shown any more");
    let mut bob = login_tls(gateway.tls_addr(), &new.trust(), &HelloSpec::new("bob", &token("bob")));
    alice.write(&alice.send_bytes(1, 0, "bob", b"still here"));
    assert_eq!(bob.expect_deliver().2, b"still here");
    assert!(gateway.process().stderr().matches("fingerprint").count() == 2, "each certificate was told");
}

#[test]
fn a_broken_file_at_sighup_changes_nothing_and_is_told() {
    let authority = Authority::new();
    let files = Files::with(authority.pair());
    let gateway = files.setup().start();
    let token = gateway.keys().token("alice");
    let (certificate, _) = authority.pair();
    fs::write(files.certificate(), certificate).unwrap();
    // The key of another certificate now; and the token key, which is good, is another one too.
    fs::remove_file(gateway.data_dir().join("dev-key.pem")).unwrap();
    reload(&gateway, "SIGHUP changed nothing");
    let said = gateway.process().stderr();
    assert!(said.contains("WARN") && said.contains("key.pem") && said.contains("does not belong"), "{said}");
    for _ in 0..8 {
        login_tls(gateway.tls_addr(), &authority.trust(), &HelloSpec::new("alice", &token)).ping();
    }
}

#[test]
fn a_new_token_key_counts_and_who_is_in_stays() {
    let gateway = tls_setup().start();
    let old = gateway.keys();
    let mut alice = Conn::login(gateway.addr(), &HelloSpec::new("alice", &old.token("alice")));
    fs::remove_file(gateway.data_dir().join("dev-key.pem")).unwrap();
    reload(&gateway, "are read again");
    let new = gateway.keys();
    until("a token of the old key is refused, on each shard", || {
        (0..16).all(|_| {
            let mut conn = Conn::open(gateway.addr());
            conn.write(&HelloSpec::new("bob", &old.token("bob")).bytes());
            let first = conn.next_frame().expect("an answer");
            matches!(first.frame(), Frame::GoAway(goaway) if goaway.code == Code::BadCredential.number())
        })
    });
    Conn::login(gateway.addr(), &HelloSpec::new("bob", &new.token("bob"))).ping();
    alice.ping();
}

#[test]
fn what_needs_a_restart_is_named_and_the_rest_counts_at_once() {
    let setup = Setup::new();
    let gateway = setup.start();
    let changed =
        setup.clone().config("[log]\nlevel = \"debug\"\n[session]\nheartbeat_s = 90\n[login]\nticket_hours = 5");
    // Writes the file where the running gateway has its own.
    drop(changed.command());
    reload(&gateway, "are read again");
    let said = gateway.process().stderr();
    assert!(said.contains("login.ticket_hours session.heartbeat_s"), "{said}");
    drop(Conn::open(gateway.addr()));
    Conn::login(gateway.addr(), &HelloSpec::new("alice", &gateway.keys().token("alice"))).ping();
    let mut refused = Conn::open(gateway.addr());
    refused.write(&HelloSpec::new("alice", "no token").bytes());
    assert_eq!(refused.expect_goaway(), Code::BadCredential);
    gateway.process().until_stderr_has("DEBUG");
}

#[test]
fn a_mistake_in_the_configuration_at_sighup_changes_nothing_and_is_told() {
    let setup = Setup::new();
    let gateway = setup.start();
    drop(setup.clone().config("[session]\nheartbeat = 90").command());
    reload(&gateway, "SIGHUP changed nothing");
    let said = gateway.process().stderr();
    assert!(said.contains(":2:") && said.contains("session.heartbeat_s"), "{said}");
    Conn::login(gateway.addr(), &HelloSpec::new("alice", &gateway.keys().token("alice"))).ping();
}

#[test]
fn sighup_reloads_also_where_it_was_ignored_before() {
    let gateway = tls_setup().under(&["nohup"]).start();
    reload(&gateway, "are read again");
    Conn::login(gateway.addr(), &HelloSpec::new("alice", &gateway.keys().token("alice"))).ping();
}

#[test]
fn a_tls_session_is_resumed_on_any_shard_and_after_a_restart() {
    let gateway = tls_setup().start();
    assert_eq!(gateway.shards(), 2);
    let trust = dev_trust(&gateway);
    let hello = HelloSpec::new("alice", &gateway.keys().token("alice"));
    assert!(!login_tls(gateway.tls_addr(), &trust, &hello).is_resumed(), "the first");
    // The system spreads them over both shards.
    for number in 0..16 {
        assert!(login_tls(gateway.tls_addr(), &trust, &hello).is_resumed(), "{number}");
    }
    let gateway = gateway.kill_and_restart();
    assert!(login_tls(gateway.tls_addr(), &trust, &hello).is_resumed(), "after a restart");
}

#[test]
fn a_ticket_brings_a_device_back_without_a_token_again_and_again() {
    let gateway = Gateway::start();
    let hello = HelloSpec::new("alice", &gateway.keys().token("alice"));
    let mut ticket = Conn::login(gateway.addr(), &hello).ticket();
    let login = |gateway: &Gateway, ticket: &[u8]| {
        let mut conn = Conn::open(gateway.addr());
        conn.write(&hello.bytes_with(Credential::Ticket(ticket)));
        conn.welcome();
        conn.ping();
        conn.ticket()
    };
    for _ in 0..8 {
        let next = login(&gateway, &ticket);
        assert!(!next.is_empty() && next != ticket, "a fresh one each time");
        ticket = next;
    }
    let gateway = gateway.kill_and_restart();
    login(&gateway, &ticket);
}

/// What HELLO with this ticket is answered with.
fn refusal(gateway: &Gateway, hello: &HelloSpec, ticket: &[u8]) -> Code {
    let mut conn = Conn::open(gateway.addr());
    conn.write(&hello.bytes_with(Credential::Ticket(ticket)));
    conn.expect_goaway()
}

#[test]
fn a_ticket_is_refused_for_another_user_or_device_or_by_another_gateway_or_changed() {
    let (gateway, other) = (Gateway::start(), Gateway::start());
    let hello = HelloSpec::new("alice", &gateway.keys().token("alice"));
    let mut ticket = Conn::login(gateway.addr(), &hello).ticket();
    let bob = HelloSpec { user: "bob".to_owned(), ..hello.clone() };
    assert_eq!(refusal(&gateway, &bob, &ticket), Code::BadCredential);
    let tablet = HelloSpec { device: "tablet".to_owned(), ..hello.clone() };
    assert_eq!(refusal(&gateway, &tablet, &ticket), Code::BadCredential);
    assert_eq!(refusal(&other, &hello, &ticket), Code::CredentialExpired, "its keys are not known there");
    *ticket.last_mut().expect("a ticket") ^= 1;
    assert_eq!(refusal(&gateway, &hello, &ticket), Code::BadCredential);
}

#[test]
fn after_logout_the_tickets_of_that_device_are_void_and_those_of_others_are_not() {
    let gateway = Gateway::start();
    let phone = HelloSpec::new("alice", &gateway.keys().token("alice"));
    let tablet = HelloSpec { device: "tablet".to_owned(), ..phone.clone() };
    let other = Conn::login(gateway.addr(), &tablet).ticket();
    let mut conn = Conn::login(gateway.addr(), &phone);
    let ticket = conn.ticket();
    conn.send(&Frame::Logout(Logout { forget: false }));
    assert_eq!(conn.expect_goaway(), Code::LoggedOut);
    assert_eq!(refusal(&gateway, &phone, &ticket), Code::CredentialExpired);
    let mut conn = Conn::open(gateway.addr());
    conn.write(&tablet.bytes_with(Credential::Ticket(&other)));
    conn.welcome();
    // A token proves anew, and its ticket is good.
    let fresh = Conn::login(gateway.addr(), &phone).ticket();
    let mut conn = Conn::open(gateway.addr());
    conn.write(&phone.bytes_with(Credential::Ticket(&fresh)));
    conn.welcome();
}

#[test]
fn without_tickets_none_is_given_and_none_is_taken() {
    let setup = Setup::new();
    let gateway = setup.start();
    let hello = HelloSpec::new("alice", &gateway.keys().token("alice"));
    let ticket = Conn::login(gateway.addr(), &hello).ticket();
    gateway.ask_to_end();
    drop(gateway);
    let gateway = setup.config("[login]\nticket_hours = 0").start();
    assert!(Conn::login(gateway.addr(), &hello).ticket().is_empty());
    assert_eq!(refusal(&gateway, &hello, &ticket), Code::CredentialUnsupported);
}

#[test]
fn keys_that_are_damaged_or_were_open_to_others_keep_the_gateway_from_starting() {
    let setup = Setup::new();
    let mut gateway = setup.start();
    gateway.ask_to_end();
    assert!(gateway.wait(LIMIT).success());
    let path = setup.data_dir().join("keys/tickets");
    let good = fs::read(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let message = setup.start_refused();
    assert!(message.contains("keys/tickets") && message.contains("chmod 600"), "{message}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, &good[..good.len() - 1]).unwrap();
    let message = setup.start_refused();
    assert!(message.contains("keys/tickets") && message.contains("backup"), "{message}");
    // As the message proposes.
    fs::remove_file(&path).unwrap();
    setup.start();
}
