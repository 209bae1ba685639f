//! The gateway's side of a connection.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, LazyLock};
use std::thread::{self, JoinHandle};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::{HandshakeKind, ServerConfig, ServerConnection, StreamOwned};
use shardwire_sdk::Endpoint;
use shardwire_sdk::tls::TlsConfig;
use wire::frame::{SafeBy, SendAck, SendAcks, Welcome};
use wire::{Counter, Deframer, DeviceNo, Frame, Id, limits};

use crate::LIMIT;

/// An authority.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// Of most tests.
pub(crate) static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// For whoever trusts it.
    pub(crate) fn trusted(&self) -> TlsConfig {
        TlsConfig::from_ca_pem(self.pem().as_bytes()).unwrap()
    }

    /// A server with a certificate of it.
    pub(crate) fn server(&self, params: &CertificateParams, protocol: &[u8]) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .unwrap();
        config.alpn_protocols = vec![protocol.to_vec()];
        config.ticketer = aws_lc_rs::Ticketer::new().unwrap();
        Arc::new(config)
    }
}

/// A certificate for this machine.
pub(crate) fn this_machine() -> CertificateParams {
    CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap()
}

/// Where a gateway waits for its clients.
pub(crate) struct Door {
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
}

impl Door {
    pub(crate) fn accept(&self) -> Peer {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let stream = match &self.tls {
            Some(config) => {
                let connection = ServerConnection::new(Arc::clone(config)).unwrap();
                Stream::Tls(Box::new(StreamOwned::new(connection, stream)))
            }
            None => Stream::Plain(stream),
        };
        Peer { stream, deframer: Deframer::new(limits::PAYLOAD_LEN_MAX) }
    }

    /// Up to and with WELCOME.
    pub(crate) fn welcome(&self) -> Peer {
        let mut peer = self.accept();
        assert_eq!(peer.hear(|frame| matches!(frame, Frame::Hello(_))), Some(true));
        peer.tell(&Frame::Welcome(Welcome {
            version: limits::VERSION,
            features: 0,
            device_no: DeviceNo(1),
            boot: 1,
            head: Id(0),
            oldest: Id::NONE,
            heartbeat_s: 60,
            payload_len_max: 64 * 1024,
            in_flight_max: 64,
            stored_is_synced: true,
            ticket: &[],
            server_time_us: 0,
            store: &[],
        }));
        peer
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

/// The gateway's side of one connection.
pub(crate) struct Peer {
    stream: Stream,
    deframer: Deframer,
}

impl Peer {
    pub(crate) fn tell(&mut self, frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        wire::encode(frame, &mut bytes);
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(&bytes).unwrap(),
            Stream::Tls(stream) => stream.write_all(&bytes).unwrap(),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }

    /// Looks at the next frame; none when the client has closed.
    ///
    /// # Panics
    /// When a client with TLS has closed without a farewell.
    pub(crate) fn hear<T>(&mut self, look: impl Fn(Frame<'_>) -> T) -> Option<T> {
        let mut buffer = [0; 4096];
        loop {
            if let Some((frame_type, payload)) = self.deframer.next().unwrap() {
                return Some(look(wire::decode(frame_type, payload).unwrap().unwrap()));
            }
            match self.read(&mut buffer).unwrap() {
                0 => return None,
                len => self.deframer.push(&buffer[..len]),
            }
        }
    }

    pub(crate) fn hear_body_len(&mut self) -> Option<usize> {
        self.hear(|frame| match frame {
            Frame::Send(send) => send.body.len(),
            frame => panic!("not a SEND: {frame:?}"),
        })
    }

    pub(crate) fn accept_message(&mut self, counter: u64) {
        let ack = SendAck { counter: Counter(counter), safe_by: SafeBy::Received, self_id: Id::NONE };
        self.tell(&Frame::SendAck(SendAcks::List(&[ack])));
    }

    /// What the client does wrong, if it does: the end of a handshake that fails.
    pub(crate) fn complaint(&mut self) -> String {
        self.read(&mut [0; 1]).unwrap_err().to_string()
    }

    /// Whether the client resumed an earlier session.
    pub(crate) fn is_resumed(&self) -> bool {
        match &self.stream {
            Stream::Tls(stream) => stream.conn.handshake_kind() == Some(HandshakeKind::Resumed),
            Stream::Plain(_) => false,
        }
    }
}

/// A gateway that does `act`, where it is, and its end.
pub(crate) fn gateway(
    tls: Option<Arc<ServerConfig>>,
    act: impl FnOnce(Door) + Send + 'static,
) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (address, thread::spawn(move || act(Door { listener, tls })))
}

/// A gateway of plain TCP that does `act`.
pub(crate) fn plain(act: impl FnOnce(Door) + Send + 'static) -> (Endpoint, JoinHandle<()>) {
    let (address, end) = gateway(None, act);
    (Endpoint::plain(address), end)
}

/// A gateway with TLS that does `act`.
pub(crate) fn secure(act: impl FnOnce(Door) + Send + 'static) -> (Endpoint, JoinHandle<()>) {
    let server = AUTHORITY.server(&this_machine(), b"shardwire/1");
    let (address, end) = gateway(Some(server), act);
    (Endpoint::tls(address, &AUTHORITY.trusted()), end)
}
