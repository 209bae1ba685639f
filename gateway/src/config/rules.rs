//! What must hold between settings, and how they become a [`Config`].

use std::time::Duration;

use gateway_core::UnknownRecipients;
use tracing::Level;

use super::key::{
    ADMIN_LISTEN, ADMIN_TOKEN_FILE, ALLOW_PLAIN_TCP, CERTIFICATE_FILE, DATA_DIR, DRAIN_DEADLINE_S, DRAIN_SLOT_LEN_S,
    DRAIN_SLOT_START_S, HASH_MEMORY_KIB, HASH_THREADS, HEARTBEAT_S, INBOX_COUNT_MAX, KEY_FILE, LISTEN_TCP, LISTEN_TLS,
    LOG_FORMAT, LOG_LEVEL, PASSWORDS, PAYLOAD_LEN_MAX_KEY, REGISTER, SHARDS, TICKET_HOURS, TOKEN_KEY_FILE,
    UNKNOWN_RECIPIENTS,
};
use super::settings::{Mistakes, Settings, Source};
use super::{
    AdminConfig, Config, DrainConfig, ListenConfig, LogConfig, LogFormat, LoginConfig, MessagesConfig, SessionConfig,
    TlsFiles,
};

/// The configuration, or everything that is wrong with it.
pub(super) fn check(settings: &Settings, dev: bool) -> Result<Config, Mistakes> {
    let mut mistakes = Mistakes::default();
    check_listeners(settings, dev, &mut mistakes);
    check_tls(settings, dev, &mut mistakes);
    check_login(settings, dev, &mut mistakes);
    check_admin(settings, &mut mistakes);
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
    if settings.switch(&REGISTER) && !settings.switch(&PASSWORDS) && settings.source(&REGISTER) != Source::Default {
        mistakes.push(
            settings.source(&REGISTER),
            "people who register choose a password, and login.passwords is false: set one of the two otherwise",
        );
    }
}

fn check_admin(settings: &Settings, mistakes: &mut Mistakes) {
    let Some(address) = settings.address(&ADMIN_LISTEN) else { return };
    if !address.ip().is_loopback() {
        mistakes.push(
            settings.source(&ADMIN_LISTEN),
            format!("{address} can be reached from other machines, and the admin listener is for this one only: use 127.0.0.1"),
        );
    }
    for key in [&LISTEN_TCP, &LISTEN_TLS] {
        if settings.address(key) == Some(address) && address.port() != 0 {
            mistakes.push(settings.source(&ADMIN_LISTEN), format!("{address} is that of {} already", key.name));
        }
    }
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
            register: register(settings, dev),
            ticket_ttl: Duration::from_secs(3600 * u64::from(settings.whole(&TICKET_HOURS))),
            hash_threads: settings.number(&HASH_THREADS).map_or_else(hash_threads, small),
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

/// Where things are tried out, making an account is one of them.
fn register(settings: &Settings, dev: bool) -> bool {
    let is_silent = settings.source(&REGISTER) == Source::Default;
    if is_silent { dev && settings.switch(&PASSWORDS) } else { settings.switch(&REGISTER) }
}

/// Hashing must leave the shards the most of each CPU.
fn hash_threads() -> u16 {
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() / 4);
    u16::try_from(cpus.clamp(1, 64)).expect("64 fits")
}
