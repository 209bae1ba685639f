//! The same under TLS. The client is rustls with buffers, over a plain socket of the same thread.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, ClientConfig, ClientConnection, Error, RootCertStore, ServerConfig};

use super::super::conn::Conn;
use super::*;
use crate::tls_config::ALPN;

mod ends;
mod frames;
mod moves;
mod refusals;
mod sessions;

/// A server's configuration, and those of clients that trust it.
struct Party {
    server: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
}

impl Party {
    fn new() -> Party {
        Party::with(default_provider())
    }

    fn with(provider: CryptoProvider) -> Party {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = cert.der().clone();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let mut server = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
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
