//! What must hold between settings, and how they become a [`Config`].

use std::net::SocketAddr;
use std::time::Duration;

use gateway_core::UnknownRecipients;
use tracing::Level;

use super::key::{
    ADMIN_LISTEN, ADMIN_TOKEN_FILE, ALLOW_PLAIN_TCP, CERTIFICATE_FILE, DATA_DIR, DRAIN_DEADLINE_S, DRAIN_SLOT_LEN_S,
    DRAIN_SLOT_START_S, HASH_MEMORY_KIB, HASH_THREADS, HEARTBEAT_S, INBOX_COUNT_MAX, KEY_FILE, LISTEN_TCP, LISTEN_TLS,
    LOG_FORMAT, LOG_LEVEL, PASSWORDS, PAYLOAD_LEN_MAX_KEY, REGISTER, SHARDS, TICKET_HOURS, TOKEN_KEY_FILE,
    UNKNOWN_RECIPIENTS, Value,
};
use super::settings::{Mistakes, Settings, Source};
use super::{
    AdminConfig, Config, DrainConfig, ListenConfig, LogConfig, LogFormat, LoginConfig, MessagesConfig, SessionConfig,
    TlsFiles,
};

/// Sets what nobody has set and depends on something else.
pub(super) fn suppose(settings: &mut Settings, dev: bool) {
    if dev && settings.switch(&PASSWORDS) {
        // Where things are tried out, making an account is one of them.
        settings.suppose(&REGISTER, Value::Switch(true), Source::Flag("--dev"));
    }
    // Hashing must leave the shards the most of each CPU.
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() / 4);
    let threads = u32::try_from(cpus.clamp(1, 64)).expect("64 fits");
    settings.suppose(&HASH_THREADS, Value::Whole(threads), Source::Default);
}

/// The configuration, or everything that is wrong with it.
pub(super) fn check(settings: &Settings, dev: bool) -> Result<Config, Mistakes> {
    let mut mistakes = Mistakes::default();
    check_listeners(settings, dev, &mut mistakes);
    check_tls(settings, dev, &mut mistakes);
    check_login(settings, dev, &mut mistakes);
    check_admin(settings, &mut mistakes);
    check_collisions(settings, &mut mistakes);
    if mistakes.0.is_empty() { Ok(build(settings, dev)) } else { Err(mistakes) }
}

fn check_listeners(settings: &Settings, dev: bool, mistakes: &mut Mistakes) {
    let (tcp, tls) = (settings.address(&LISTEN_TCP), settings.address(&LISTEN_TLS));
    if tcp.is_none() && tls.is_none() {
        mistakes
            .push(settings.source(&LISTEN_TCP), "nobody could connect: set an address at listen.tcp or at listen.tls");
    }
    for (key, address) in [(&LISTEN_TCP, tcp), (&LISTEN_TLS, tls)] {
        if let Some(address) = address.filter(|address| dev && !address.ip().is_loopback()) {
            mistakes.push(
                settings.source(key),
                format!(
                    "--dev is for this machine only, and {address} can be reached from others: \
                     listen on 127.0.0.1, or leave out --dev"
                ),
            );
        }
    }
    if let Some(address) = tcp.filter(|address| !dev && !address.ip().is_loopback())
        && !settings.switch(&ALLOW_PLAIN_TCP)
    {
        mistakes.push(
            settings.source(&LISTEN_TCP),
            format!(
                "{address} can be reached from other machines, and plain TCP shows tokens and messages to every one on the way: \
                 use TLS (listen.tls), or accept that with --allow-plain-tcp"
            ),
        );
    }
}

fn check_tls(settings: &Settings, dev: bool, mistakes: &mut Mistakes) {
    let files = (settings.path(&CERTIFICATE_FILE), settings.path(&KEY_FILE));
    match files {
        (Some(_), None) => {
            mistakes.push(settings.source(&CERTIFICATE_FILE), "a certificate without its key: set tls.key_file too");
        }
        (None, Some(_)) => {
            mistakes.push(settings.source(&KEY_FILE), "a key without its certificate: set tls.certificate_file too");
        }
        (None, None) if settings.address(&LISTEN_TLS).is_some() && !dev => mistakes.push(
            settings.source(&LISTEN_TLS),
            "TLS needs a certificate: set tls.certificate_file and tls.key_file, or try things out with --dev",
        ),
        _ => {}
    }
}

fn check_login(settings: &Settings, dev: bool, mistakes: &mut Mistakes) {
    let token_key = settings.path(&TOKEN_KEY_FILE);
    if let Some(path) = token_key.filter(|_| dev) {
        mistakes.push(
            settings.source(&TOKEN_KEY_FILE),
            format!(
                "--dev takes tokens of a key of its own, and {} is to be the key: leave one of them out",
                path.display()
            ),
        );
    }
    if token_key.is_none() && !dev && !settings.switch(&PASSWORDS) {
        mistakes.push(
            settings.source(&PASSWORDS),
            "nobody could log in: give --token-key FILE, the public key of whoever signs your tokens, allow passwords \
             (login.passwords), or try things out with --dev",
        );
    }
    if settings.switch(&REGISTER) && !settings.switch(&PASSWORDS) {
        mistakes.push(
            settings.source(&REGISTER),
            "people who register choose a password, and login.passwords is false: set one of the two otherwise",
        );
    }
}

fn check_admin(settings: &Settings, mistakes: &mut Mistakes) {
    if let Some(address) = settings.address(&ADMIN_LISTEN).filter(|address| !address.ip().is_loopback()) {
        mistakes.push(
            settings.source(&ADMIN_LISTEN),
            format!("{address} can be reached from other machines, and the admin listener is for this one only: use 127.0.0.1"),
        );
    }
}

fn check_collisions(settings: &Settings, mistakes: &mut Mistakes) {
    for (first, second) in [(&LISTEN_TCP, &LISTEN_TLS), (&LISTEN_TCP, &ADMIN_LISTEN), (&LISTEN_TLS, &ADMIN_LISTEN)] {
        if let (Some(a), Some(b)) = (settings.address(first), settings.address(second))
            && collide(a, b)
        {
            // The default of one is nobody's mistake.
            let key = if settings.source(second) == Source::Default { first } else { second };
            mistakes.push(
                settings.source(key),
                format!("{} ({b}) and {} ({a}) need the same port: give one of them another", second.name, first.name),
            );
        }
    }
}

/// Whether no two sockets can listen on these at once.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    // The system gives each listener a port of its own when it chooses; and all addresses are also each of them.
    let is_same_ip = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && is_same_ip
}

fn build(settings: &Settings, dev: bool) -> Config {
    let seconds = |key| Duration::from_secs(settings.whole(key).into());
    let small = |number| u16::try_from(number).expect("the range of the key is within 16 bits");
    Config {
        data_dir: settings.path(&DATA_DIR).expect("the key has a default").to_owned(),
        shards: settings.number(&SHARDS).map(small),
        listen: ListenConfig {
            tcp: settings.address(&LISTEN_TCP),
            tls: settings.address(&LISTEN_TLS),
            allow_plain_tcp: settings.switch(&ALLOW_PLAIN_TCP),
        },
        tls: settings
            .path(&CERTIFICATE_FILE)
            .zip(settings.path(&KEY_FILE))
            .map(|(certificate, key)| TlsFiles { certificate: certificate.to_owned(), key: key.to_owned() }),
        login: LoginConfig {
            dev,
            token_key: settings.path(&TOKEN_KEY_FILE).map(ToOwned::to_owned),
            passwords: settings.switch(&PASSWORDS),
            register: settings.switch(&REGISTER),
            ticket_ttl: Duration::from_secs(3600 * u64::from(settings.whole(&TICKET_HOURS))),
            hash_threads: small(settings.number(&HASH_THREADS).expect("it is supposed where it is not set")),
            hash_memory_kib: settings.whole(&HASH_MEMORY_KIB),
        },
        session: SessionConfig {
            heartbeat_s: settings.whole(&HEARTBEAT_S),
            payload_len_max: settings.whole(&PAYLOAD_LEN_MAX_KEY),
        },
        messages: MessagesConfig {
            unknown_recipients: match settings.word(&UNKNOWN_RECIPIENTS) {
                "refuse" => UnknownRecipients::Refuse,
                _ => UnknownRecipients::Store,
            },
            inbox_count_max: settings.whole(&INBOX_COUNT_MAX),
        },
        drain: DrainConfig {
            deadline: seconds(&DRAIN_DEADLINE_S),
            slot_start: seconds(&DRAIN_SLOT_START_S),
            slot_len: seconds(&DRAIN_SLOT_LEN_S),
        },
        admin: AdminConfig {
            listen: settings.address(&ADMIN_LISTEN),
            token_file: settings.path(&ADMIN_TOKEN_FILE).map(ToOwned::to_owned),
        },
        log: LogConfig {
            level: settings.word(&LOG_LEVEL).parse::<Level>().expect("the key takes the names of levels"),
            format: if settings.word(&LOG_FORMAT) == "json" { LogFormat::Json } else { LogFormat::Text },
        },
    }
}
