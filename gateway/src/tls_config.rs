//! How the gateway speaks TLS: version 1.3 and nothing older, by rustls over aws-lc-rs; `shardwire/1` in ALPN; no early data, which
//! could be replayed; sessions resumed by tickets that the gateway keeps nothing for.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls::sign::SingleCertAndKey;
use storage::StoreId;

use crate::certificate::Certificate;
use crate::key_ring::KeyRing;

/// What a client names as the protocol above TLS.
pub(crate) const ALPN: &[u8] = b"shardwire/1";

/// For so long a TLS session can be resumed; its key ring has this period. Whoever resumes is not shown the certificate again: so
/// this is also how long a certificate that was replaced goes on to be trusted by those who saw it.
pub(crate) const SESSION_TTL: Duration = Duration::from_secs(12 * 3600);

/// The cryptography in use, here and wherever a certificate is made or read.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// For the listeners: this certificate, and sessions of this store sealed by `ring`.
pub(crate) fn server_config(
    provider: Arc<CryptoProvider>,
    certificate: &Certificate,
    ring: Arc<KeyRing>,
    store: StoreId,
) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has suites of TLS 1.3")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&certificate.key))));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = Arc::new(SessionTickets { ring, aad: [PURPOSE, &store.0].concat() });
    // A client that comes back gets the next one: one at a time is enough, and each costs a seal and 200 bytes.
    config.send_tls13_tickets = 1;
    config.max_early_data_size = 0;
    Arc::new(config)
}

/// Seals a session's secrets, and the client carries them.
#[derive(Debug)]
struct SessionTickets {
    ring: Arc<KeyRing>,
    aad: Vec<u8>,
}

impl ProducesTickets for SessionTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(SESSION_TTL.as_secs()).expect("12 hours")
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.ring.seal(&self.aad, plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.ring.open(&self.aad, cipher).ok().map(|plain| plain.to_vec())
    }
}

const PURPOSE: &[u8] = b"shardwire tls session";

#[cfg(test)]
mod tests {
    use rustls::client::Resumption;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConnection};

    use super::*;
    use crate::dev_certificate;

    const NOW_S: u64 = 1_800_000_000;
    const HERE: StoreId = StoreId([1; 16]);

    struct Fixture {
        _dir: tempfile::TempDir,
        certificate: Certificate,
        client: Arc<ClientConfig>,
    }

    impl Fixture {
        fn new() -> Fixture {
            let dir = tempfile::tempdir().unwrap();
            // Clients look at the clock of the machine.
            let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
            let files = dev_certificate::ensure(dir.path(), &provider(), now_s).unwrap();
            let certificate = Certificate::load(&files, &provider(), now_s).unwrap();
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(dir.path().join("dev-ca.pem")).unwrap()).unwrap();
            let mut client = ClientConfig::builder_with_provider(provider())
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            client.alpn_protocols = vec![ALPN.to_vec()];
            client.resumption = Resumption::in_memory_sessions(8);
            Fixture { _dir: dir, certificate, client: Arc::new(client) }
        }

        fn server(&self, ring: &Arc<KeyRing>, store: StoreId) -> Arc<ServerConfig> {
            server_config(provider(), &self.certificate, Arc::clone(ring), store)
        }

        /// How the handshake of this client with that server went.
        fn shake(&self, server: &Arc<ServerConfig>) -> HandshakeKind {
            let name = ServerName::try_from("localhost").unwrap();
            let mut client = ClientConnection::new(Arc::clone(&self.client), name).unwrap();
            let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
            // The server's tickets come after its part of the handshake.
            for _ in 0..4 {
                let mut bytes = Vec::new();
                while client.wants_write() {
                    client.write_tls(&mut bytes).unwrap();
                }
                server.read_tls(&mut bytes.as_slice()).unwrap();
                server.process_new_packets().unwrap();
                bytes.clear();
                while server.wants_write() {
                    server.write_tls(&mut bytes).unwrap();
                }
                client.read_tls(&mut bytes.as_slice()).unwrap();
                client.process_new_packets().unwrap();
            }
            assert!(!client.is_handshaking() && !server.is_handshaking());
            assert_eq!(server.alpn_protocol(), Some(ALPN));
            client.handshake_kind().unwrap()
        }
    }

    #[test]
    fn a_session_is_resumed_wherever_the_keys_are() {
        let fixture = Fixture::new();
        let ring = Arc::new(KeyRing::fresh(NOW_S).unwrap());
        assert_eq!(fixture.shake(&fixture.server(&ring, HERE)), HandshakeKind::Full);
        // Another configuration of the same keys: another shard, or the gateway after a restart.
        assert_eq!(fixture.shake(&fixture.server(&ring, HERE)), HandshakeKind::Resumed);
        let rotated = Arc::new(ring.rotated(NOW_S).unwrap());
        assert_eq!(fixture.shake(&fixture.server(&rotated, HERE)), HandshakeKind::Resumed);
    }

    #[test]
    fn a_session_of_other_keys_or_another_store_is_not_resumed() {
        let fixture = Fixture::new();
        let ring = Arc::new(KeyRing::fresh(NOW_S).unwrap());
        fixture.shake(&fixture.server(&ring, HERE));
        assert_eq!(fixture.shake(&fixture.server(&ring, StoreId([2; 16]))), HandshakeKind::Full);
        let other = Arc::new(KeyRing::fresh(NOW_S).unwrap());
        assert_eq!(fixture.shake(&fixture.server(&other, HERE)), HandshakeKind::Full);
    }

    #[test]
    fn a_resume_ticket_is_no_tls_session_even_of_the_same_keys() {
        let ring = Arc::new(KeyRing::fresh(NOW_S).unwrap());
        let sessions = SessionTickets { ring: Arc::clone(&ring), aad: [PURPOSE, &HERE.0].concat() };
        let tickets = crate::ticket::Tickets::new(ring, HERE, SESSION_TTL);
        assert_eq!(sessions.decrypt(&tickets.seal("alice", "phone", 0, 0)), None);
        let sealed = sessions.encrypt(b"x").unwrap();
        assert_eq!(sessions.decrypt(&sealed), Some(b"x".to_vec()));
        assert!(tickets.open(&sealed, "alice", "phone", 0).is_err());
    }

    #[test]
    fn early_data_and_old_versions_are_off() {
        let fixture = Fixture::new();
        let config = fixture.server(&Arc::new(KeyRing::fresh(NOW_S).unwrap()), HERE);
        assert_eq!(config.max_early_data_size, 0);
        assert!(config.crypto_provider().cipher_suites.iter().all(|suite| suite.tls13().is_some()));
    }
}
