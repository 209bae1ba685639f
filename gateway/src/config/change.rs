//! What of a configuration can change while the gateway runs.

use super::key::{
    ADMIN_LISTEN, ADMIN_TOKEN_FILE, ALLOW_PLAIN_TCP, DATA_DIR, DRAIN_DEADLINE_S, DRAIN_SLOT_LEN_S, DRAIN_SLOT_START_S,
    HASH_MEMORY_KIB, HASH_THREADS, HEARTBEAT_S, INBOX_COUNT_MAX, Key, LISTEN_TCP, LISTEN_TLS, LOG_FORMAT, PASSWORDS,
    PAYLOAD_LEN_MAX_KEY, REGISTER, SHARDS, TICKET_HOURS, UNKNOWN_RECIPIENTS,
};
use super::{AdminConfig, Config, DrainConfig, ListenConfig, LogConfig, LoginConfig, MessagesConfig, SessionConfig};

impl Config {
    /// The keys that are set otherwise in `new` and count from the next start on only. All others count at once: `[tls]`,
    /// `login.token_key_file`, `log.level`.
    pub(crate) fn fixed_changes(&self, new: &Config) -> Vec<&'static str> {
        let Config { data_dir, shards, listen, tls: _, login, session, messages, drain, admin, log } = self;
        let ListenConfig { tcp, tls, allow_plain_tcp } = listen;
        let LoginConfig { dev: _, token_key: _, passwords, register, ticket_ttl, hash_threads, hash_memory_kib } =
            login;
        let SessionConfig { heartbeat_s, payload_len_max } = session;
        let MessagesConfig { unknown_recipients, inbox_count_max } = messages;
        let DrainConfig { deadline, slot_start, slot_len } = drain;
        let AdminConfig { listen: admin_listen, token_file } = admin;
        let LogConfig { level: _, format } = log;
        let is_changed: [(&Key, bool); 20] = [
            (&DATA_DIR, *data_dir != new.data_dir),
            (&SHARDS, *shards != new.shards),
            (&LISTEN_TCP, *tcp != new.listen.tcp),
            (&LISTEN_TLS, *tls != new.listen.tls),
            (&ALLOW_PLAIN_TCP, *allow_plain_tcp != new.listen.allow_plain_tcp),
            (&PASSWORDS, *passwords != new.login.passwords),
            (&REGISTER, *register != new.login.register),
            (&TICKET_HOURS, *ticket_ttl != new.login.ticket_ttl),
            (&HASH_THREADS, *hash_threads != new.login.hash_threads),
            (&HASH_MEMORY_KIB, *hash_memory_kib != new.login.hash_memory_kib),
            (&HEARTBEAT_S, *heartbeat_s != new.session.heartbeat_s),
            (&PAYLOAD_LEN_MAX_KEY, *payload_len_max != new.session.payload_len_max),
            (&UNKNOWN_RECIPIENTS, *unknown_recipients != new.messages.unknown_recipients),
            (&INBOX_COUNT_MAX, *inbox_count_max != new.messages.inbox_count_max),
            (&DRAIN_DEADLINE_S, *deadline != new.drain.deadline),
            (&DRAIN_SLOT_START_S, *slot_start != new.drain.slot_start),
            (&DRAIN_SLOT_LEN_S, *slot_len != new.drain.slot_len),
            (&ADMIN_LISTEN, *admin_listen != new.admin.listen),
            (&ADMIN_TOKEN_FILE, *token_file != new.admin.token_file),
            (&LOG_FORMAT, *format != new.log.format),
        ];
        is_changed.into_iter().filter(|(_, is_changed)| *is_changed).map(|(key, _)| key.name).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tracing::Level;

    use super::super::{Flags, TlsFiles};
    use super::*;

    #[test]
    fn what_needs_a_restart_is_named_and_what_does_not_is_not() {
        let old = Config::load(Flags { dev: true, ..Flags::default() }).unwrap();
        assert!(old.fixed_changes(&old).is_empty());
        let mut new = old.clone();
        new.tls = Some(TlsFiles { certificate: "a".into(), key: "b".into() });
        new.login.token_key = Some("c".into());
        new.log.level = Level::TRACE;
        assert!(old.fixed_changes(&new).is_empty());
        new.listen.tls = Some("127.0.0.1:1".parse().unwrap());
        new.login.ticket_ttl = Duration::from_secs(1);
        new.data_dir = "elsewhere".into();
        assert_eq!(old.fixed_changes(&new), ["data_dir", "listen.tls", "login.ticket_hours"]);
    }
}
