//! Who is trusted, what is said when nobody is, and sessions that are resumed.

use std::net::TcpListener;
use std::ops::ControlFlow;
use std::sync::Arc;

use rustls::ServerConfig;
use shardwire_sdk::adapter::Trouble;
use shardwire_sdk::adapter::monoio::Session;
use shardwire_sdk::tls::{Tls, TlsConfig, TlsError};
use shardwire_sdk::{Endpoint, Event};

use crate::peer::{AUTHORITY, Authority, gateway, this_machine};
use crate::{client, on_monoio};

/// What a client says about a server, and the server about the client.
fn trouble(server: Arc<ServerConfig>, host: &str, trusted: &TlsConfig) -> (TlsError, String) {
    let (sender, complaint) = std::sync::mpsc::channel();
    let (address, end) = gateway(Some(server), move |door| sender.send(door.accept().complaint()).unwrap());
    let address = address.replace("127.0.0.1", host);
    let trouble =
        on_monoio(Session::new(client(), Endpoint::tls(address, trusted)).run(|session, event| match event {
            Event::Lost => ControlFlow::Break(session.trouble()),
            _ => ControlFlow::Continue(()),
        }));
    end.join().unwrap();
    match trouble {
        Some(Trouble::Tls(error)) => (error, complaint.recv().unwrap()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_gateway_of_another_authority_is_not_trusted_and_is_told() {
    let stranger = Authority::new().server(&this_machine(), b"shardwire/1");
    let (error, complaint) = trouble(stranger, "127.0.0.1", &AUTHORITY.trusted());
    assert_eq!(error, TlsError::UnknownIssuer);
    assert!(error.is_lasting() && error.to_string().contains("CA file"), "{error}");
    assert!(complaint.contains("received fatal alert"), "{complaint}");
}

#[test]
fn a_certificate_for_another_name_is_not_taken() {
    let params = rcgen::CertificateParams::new(["gateway.example".to_owned()]).unwrap();
    let (error, _) = trouble(AUTHORITY.server(&params, b"shardwire/1"), "localhost", &AUTHORITY.trusted());
    assert_eq!(error.to_string(), "its certificate is not for localhost but for gateway.example");
}

#[test]
fn a_certificate_out_of_its_time_is_not_taken() {
    let mut params = this_machine();
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    let (error, _) = trouble(AUTHORITY.server(&params, b"shardwire/1"), "127.0.0.1", &AUTHORITY.trusted());
    let text = error.to_string();
    assert!(text.starts_with("its certificate expired ") && text.contains(" days ago"), "{text}");
    params.not_before = rcgen::date_time_ymd(2901, 1, 1);
    params.not_after = rcgen::date_time_ymd(2902, 1, 1);
    let (error, _) = trouble(AUTHORITY.server(&params, b"shardwire/1"), "127.0.0.1", &AUTHORITY.trusted());
    assert!(error.to_string().contains("not valid before "), "{error}");
}

#[test]
fn another_service_behind_tls_is_told_from_a_gateway() {
    let (error, _) = trouble(AUTHORITY.server(&this_machine(), b"h2"), "127.0.0.1", &AUTHORITY.trusted());
    assert_eq!(error, TlsError::Protocol);
    // One that does not choose among protocols agrees to the handshake, and hears nothing of ours.
    let mut server = ServerConfig::clone(&AUTHORITY.server(&this_machine(), b""));
    server.alpn_protocols.clear();
    let (address, end) = gateway(Some(Arc::new(server)), |door| {
        let mut peer = door.accept();
        assert!(matches!(
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| peer.hear(|_| ()))),
            Ok(None) | Err(_)
        ));
    });
    let session = Session::new(client(), Endpoint::tls(address, &AUTHORITY.trusted()));
    let trouble = on_monoio(session.run(|session, event| match event {
        Event::Lost => ControlFlow::Break(session.trouble()),
        _ => ControlFlow::Continue(()),
    }));
    assert_eq!(trouble, Some(Trouble::Tls(TlsError::Protocol)));
    end.join().unwrap();
}

#[test]
fn a_peer_without_tls_is_told_from_one_that_closes() {
    for (answer, error) in [(&b"220 mail.example ESMTP\r\n"[..], TlsError::NotTls), (b"", TlsError::Cut)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let end = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // The whole ClientHello: what is left unread would turn the end into a reset.
            std::io::Read::read(&mut stream, &mut [0; 16_000]).unwrap();
            std::io::Write::write_all(&mut stream, answer).unwrap();
        });
        let session = Session::new(client(), Endpoint::tls(address, &AUTHORITY.trusted()));
        let trouble = on_monoio(session.run(|session, event| match event {
            Event::Lost => ControlFlow::Break(session.trouble()),
            _ => ControlFlow::Continue(()),
        }));
        assert_eq!(trouble, Some(Trouble::Tls(error)));
        end.join().unwrap();
    }
}

#[test]
fn what_should_be_trusted_must_be_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let said = |content: Option<&str>| {
        let path = folder.path().join("ca.pem");
        match content {
            Some(content) => std::fs::write(&path, content).unwrap(),
            None => drop(std::fs::remove_file(&path)),
        }
        let error = TlsConfig::from_ca_file(&path).unwrap_err().to_string();
        assert!(error.contains("ca.pem"), "{error}");
        error
    };
    assert!(said(None).contains("No such file"));
    assert!(said(Some("")).contains("no certificate"));
    assert!(said(Some(&rcgen::KeyPair::generate().unwrap().serialize_pem())).contains("it has a key"));
    assert!(said(Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")).contains("certificate 1"));
    assert!(said(Some("-----BEGIN CERTIFICATE-----\n%%%\n")).contains("not a PEM file"));
    std::fs::write(folder.path().join("good.pem"), AUTHORITY.pem()).unwrap();
    assert!(TlsConfig::from_ca_file(&folder.path().join("good.pem")).is_ok());
    assert!(matches!(Tls::new(&AUTHORITY.trusted(), "no host").unwrap_err(), TlsError::Name { .. }));
}

/// Whether the second of two connections resumed the first one's session.
fn is_second_resumed(trusted: [&TlsConfig; 2]) -> bool {
    let (sender, resumed) = std::sync::mpsc::channel();
    let server = AUTHORITY.server(&this_machine(), b"shardwire/1");
    let (address, end) = gateway(Some(server), move |door| {
        for _ in 0..2 {
            let mut peer = door.welcome();
            sender.send(peer.is_resumed()).unwrap();
            assert_eq!(peer.hear(|_| ()), None);
        }
    });
    for trusted in trusted {
        let session = Session::new(client(), Endpoint::tls(&*address, trusted));
        on_monoio(session.run(|_, event| match event {
            Event::Welcomed(_) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }));
    }
    end.join().unwrap();
    assert_eq!(resumed.recv(), Ok(false));
    resumed.recv().unwrap()
}

#[test]
fn the_next_connection_resumes_the_session() {
    let trusted = AUTHORITY.trusted();
    assert!(is_second_resumed([&trusted, &trusted]));
    assert!(is_second_resumed([&trusted.clone(), &trusted]), "clones share their sessions");
}

#[test]
fn one_client_does_not_resume_anothers_session_unless_they_share_it() {
    let trusted = AUTHORITY.trusted();
    let own = trusted.with_own_session();
    assert!(is_second_resumed([&own, &own]));
    assert!(!is_second_resumed([&own, &trusted.with_own_session()]));
}
