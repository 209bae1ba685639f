//! Both adapters of the SDK over TLS against the real gateway, with an account of their own, across a kill.

#![forbid(unsafe_code)]

use std::ops::ControlFlow;

use gateway_tests::e2e::{Gateway, LIMIT, Setup, quiet_address};
use shardwire_sdk::{
    Backoff, Client, Config, Credential, Endpoint, Event, MemoryStore,
    adapter::{monoio, tokio as on_tokio},
    tls::TlsConfig,
};
use wire::{Device, Name, frame::SendFlags};

const PASSWORD: &str = "correct horse battery";

fn name(user: &str) -> Name<'_> {
    Name::parse_user(user.as_bytes()).expect("a name")
}

fn client(user: &str, credential: Credential, store: MemoryStore) -> Client<MemoryStore> {
    let device = Device::parse(b"test").expect("a name");
    let config = Config {
        backoff: Backoff { first_ms: 20, max_ms: 200 },
        ..Config::new(name(user).into(), device.into(), credential)
    };
    Client::new(config, store, getrandom::u64().expect("randomness")).expect("memory does not fail")
}

fn gateway() -> (Gateway, TlsConfig) {
    let gateway = Setup::new().arg("--tls-listen").arg(&quiet_address()).start();
    let trusted = TlsConfig::from_ca_file(&gateway.data_dir().join("dev-ca.pem")).expect("--dev makes it");
    (gateway, trusted)
}

fn until_accepted(event: &Event) -> ControlFlow<()> {
    match event {
        Event::Accepted { .. } => ControlFlow::Break(()),
        Event::Ended { code } => panic!("ended with {code}"),
        _ => ControlFlow::Continue(()),
    }
}

fn until_message(event: &Event) -> ControlFlow<String> {
    match event {
        Event::Message(message) => ControlFlow::Break(String::from_utf8_lossy(message.body()).into_owned()),
        Event::Ended { code } => panic!("ended with {code}"),
        _ => ControlFlow::Continue(()),
    }
}

#[test]
fn two_runtimes_talk_over_tls_and_a_ticket_logs_in_after_a_kill() {
    let (mut gateway, trusted) = gateway();
    let endpoint = || Endpoint::tls(gateway.tls_addr().to_string(), &trusted);
    let mut alice = client("alice", Credential::None, MemoryStore::default());
    alice.register(PASSWORD).expect("a good password");
    let alice = monoio::Session::new(alice, endpoint());
    alice.send(name("bob"), 0, SendFlags(0), b"from one runtime").expect("there is room");
    on_monoio(alice.run(|_, event| until_accepted(&event)));
    let mut bob = client("bob", Credential::None, MemoryStore::default());
    bob.register(PASSWORD).expect("a good password");
    let bob = on_tokio::Session::new(bob, endpoint());
    assert_eq!(block_on_tokio(bob.run(|_, event| until_message(&event))), "from one runtime");

    gateway = gateway.kill_and_restart();
    let endpoint = Endpoint::tls(gateway.tls_addr().to_string(), &trusted);
    // Their stores are all that they bring.
    let store = |session: &on_tokio::Session<MemoryStore>| session.with(|client, _| client.store().clone());
    let bob = on_tokio::Session::new(client("bob", Credential::None, store(&bob)), endpoint.clone());
    bob.send(name("alice"), 0, SendFlags(0), b"from the other").expect("there is room");
    block_on_tokio(bob.run(|_, event| until_accepted(&event)));
    let store = alice.with(|client, _| client.store().clone());
    let alice = monoio::Session::new(client("alice", Credential::None, store), endpoint);
    assert_eq!(on_monoio(alice.run(|_, event| until_message(&event))), "from the other");
}

#[test]
fn a_session_on_tokio_outlives_a_kill_and_sends_from_other_threads() {
    let (mut gateway, trusted) = gateway();
    let token = Credential::Token(gateway.keys().token("alice").into());
    let endpoint = Endpoint::tls(gateway.tls_addr().to_string(), &trusted);
    let session = on_tokio::Session::new(client("alice", token, MemoryStore::default()), endpoint);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let (sender, events) = std::sync::mpsc::channel();
    let running = session.clone();
    let run = runtime.spawn(async move {
        running
            .run(move |_, event| match sender.send(event) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            })
            .await;
    });
    let wait_for = |is_wanted: fn(&Event) -> bool| {
        while !is_wanted(&events.recv_timeout(LIMIT).expect("an event in time")) {}
    };
    session.send(name("bob"), 0, SendFlags(0), b"before").expect("there is room");
    wait_for(|event| matches!(event, Event::Accepted { .. }));
    gateway.kill();
    wait_for(|event| matches!(event, Event::Lost | Event::Disconnect { .. }));
    session.send(name("bob"), 0, SendFlags(0), b"meanwhile").expect("there is room");
    gateway = gateway.start_again();
    wait_for(|event| matches!(event, Event::Accepted { .. }));
    assert_eq!(session.with(|client, _| client.unresolved_count()), 0);
    drop(events);
    session.with(|client, _| client.logout(false));
    runtime.block_on(async { tokio::time::timeout(LIMIT, run).await }).expect("in time").expect("it ends well");
    drop(gateway);
}

fn on_monoio<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = ::monoio::RuntimeBuilder::<::monoio::IoUringDriver>::new()
        .enable_timer()
        .build()
        .expect("this kernel has io_uring");
    runtime.block_on(async { ::monoio::time::timeout(LIMIT, future).await }).expect("in time")
}

fn block_on_tokio<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(LIMIT, future).await }).expect("in time")
}
