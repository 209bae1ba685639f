//! Why there is no TLS, in words for a person.

use std::fmt::Write as _;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

/// What went wrong with TLS. "It" is the other side.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// What should be trusted is no certificate.
    #[error("{what}")]
    Roots {
        /// Where, and what is wrong there.
        what: String,
    },
    /// The address names nothing that a certificate can be for.
    #[error("{name:?} is neither a host name nor an IP address")]
    Name {
        /// What it says.
        name: String,
    },
    /// Nobody who is trusted has signed its certificate.
    #[error("its certificate is not signed by anybody who is trusted here; is the CA file that of this gateway?")]
    UnknownIssuer,
    /// Its certificate is for somebody else.
    #[error("its certificate is not for {name} but for {}", list(presented))]
    WrongName {
        /// As the address has it.
        name: String,
        /// As the certificate has it.
        presented: Vec<String>,
    },
    /// Its certificate is over.
    #[error("its certificate expired {} ago, by the clock of this machine", span(*ago_s))]
    Expired {
        /// For how many seconds.
        ago_s: u64,
    },
    /// Its certificate has not begun.
    #[error("its certificate is not valid before {} from now, by the clock of this machine", span(*in_s))]
    NotYetValid {
        /// In how many seconds it will.
        in_s: u64,
    },
    /// There is something else about its certificate.
    #[error("its certificate is of no use: {what}")]
    Certificate {
        /// What.
        what: String,
    },
    /// It has agreed on TLS, and not on what goes through it.
    #[error("it speaks TLS but not shardwire/1: another service listens there")]
    Protocol,
    /// It does not speak this version of TLS.
    #[error("it does not speak TLS 1.3")]
    Version,
    /// What came is something else.
    #[error("it does not speak TLS; is that the port for plain TCP?")]
    NotTls,
    /// It closed the connection before the handshake was complete.
    #[error("it closed the connection in the middle of the TLS handshake")]
    Cut,
    /// It said no.
    #[error("it refused the TLS handshake: {alert}")]
    Refused {
        /// The alert.
        alert: String,
    },
    /// Anything else.
    #[error("TLS: {what}")]
    Broken {
        /// What.
        what: String,
    },
}

impl TlsError {
    /// Whether somebody has to change something before another attempt can go better: an address, a file, a certificate, a clock.
    pub fn is_lasting(&self) -> bool {
        match self {
            TlsError::Roots { .. }
            | TlsError::Name { .. }
            | TlsError::UnknownIssuer
            | TlsError::WrongName { .. }
            | TlsError::Expired { .. }
            | TlsError::NotYetValid { .. }
            | TlsError::Certificate { .. }
            | TlsError::Protocol
            | TlsError::Version
            | TlsError::NotTls => true,
            TlsError::Cut | TlsError::Refused { .. } | TlsError::Broken { .. } => false,
        }
    }

    pub(super) fn of(error: Error) -> TlsError {
        match error {
            Error::InvalidCertificate(error) => TlsError::of_certificate(error),
            Error::NoApplicationProtocol | Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
                TlsError::Protocol
            }
            Error::AlertReceived(AlertDescription::ProtocolVersion)
            | Error::PeerIncompatible(
                PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::ServerDoesNotSupportTls12Or13,
            ) => TlsError::Version,
            Error::AlertReceived(alert) => TlsError::Refused { alert: format!("{alert:?}") },
            error => TlsError::Broken { what: error.to_string() },
        }
    }

    fn of_certificate(error: CertificateError) -> TlsError {
        let since = |later: UnixTime, earlier: UnixTime| later.as_secs().saturating_sub(earlier.as_secs());
        match error {
            // The signature is not that of the authority which has the issuer's name: an authority that was made anew, mostly.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsError::UnknownIssuer,
            CertificateError::ExpiredContext { time, not_after } => TlsError::Expired { ago_s: since(time, not_after) },
            CertificateError::NotValidYetContext { time, not_before } => {
                TlsError::NotYetValid { in_s: since(not_before, time) }
            }
            CertificateError::NotValidForNameContext { expected, presented } => {
                let presented = presented.iter().map(|name| bare(name).to_owned()).collect();
                TlsError::WrongName { name: expected.to_str().into_owned(), presented }
            }
            error => TlsError::Certificate { what: error.to_string() },
        }
    }
}

/// The name in `DnsName("gateway.example")`, and the address in `IpAddress(127.0.0.1)`.
fn bare(name: &str) -> &str {
    let inner = name.strip_suffix(')').and_then(|name| name.split_once('('));
    inner.map_or(name, |(_kind, name)| name.trim_matches('"'))
}

/// Names, as many as fit a line.
fn list(names: &[String]) -> String {
    let mut text = String::new();
    for (index, name) in names.iter().take(NAMES_MAX).enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{}{}", if index == 0 { "" } else { ", " }, name.escape_default());
    }
    match names.len() {
        0 => text.push_str("nobody at all"),
        count if count > NAMES_MAX => text.push_str(" and others"),
        _ => {}
    }
    text
}

/// A length of time in its largest unit.
fn span(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// More names than these are not shown.
const NAMES_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_told_in_its_largest_unit() {
        let told = [0, 1, 119, 7_200, 86_400, 900_000].map(span);
        assert_eq!(told, ["0 seconds", "1 second", "1 minute", "2 hours", "1 day", "10 days"]);
    }

    #[test]
    fn names_of_a_certificate_are_shown_and_not_obeyed() {
        let names = ["a", "b\x1b[31m"].map(str::to_owned);
        assert_eq!(list(&names), "a, b\\u{1b}[31m");
        assert_eq!(list(&vec!["x".to_owned(); 9]), "x, x, x, x and others");
        assert_eq!(list(&[]), "nobody at all");
    }
}
