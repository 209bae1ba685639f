//! Where a gateway is.

use crate::tls::TlsConfig;

/// Where a gateway is, and how to speak with it there. A plain `host:port` becomes one without TLS.
#[derive(Debug, Clone)]
pub struct Endpoint {
    address: String,
    tls: Option<TlsConfig>,
}

impl Endpoint {
    /// Plain TCP at `host:port`: nobody's secrets should go there but over loopback or a network of one's own.
    pub fn plain(address: impl Into<String>) -> Endpoint {
        Endpoint { address: address.into(), tls: None }
    }

    /// TLS at `host:port`. The gateway's certificate must be for that host, a name or an IP address (`[::1]:7443` is one, too).
    pub fn tls(address: impl Into<String>, config: &TlsConfig) -> Endpoint {
        Endpoint { address: address.into(), tls: Some(config.clone()) }
    }

    /// `host:port`, as given.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How it does TLS, if it does.
    pub fn tls_config(&self) -> Option<&TlsConfig> {
        self.tls.as_ref()
    }

    /// The host alone: what a certificate is for.
    pub fn host(&self) -> &str {
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _port)| host);
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }
}

impl From<&str> for Endpoint {
    fn from(address: &str) -> Endpoint {
        Endpoint::plain(address)
    }
}

impl From<&String> for Endpoint {
    fn from(address: &String) -> Endpoint {
        Endpoint::plain(address)
    }
}

impl From<String> for Endpoint {
    fn from(address: String) -> Endpoint {
        Endpoint::plain(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_what_stands_before_the_port() {
        for (address, host) in [
            ("gateway.example:7443", "gateway.example"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("[::1]:7443", "::1"),
            ("x", "x"),
        ] {
            assert_eq!(Endpoint::plain(address).host(), host);
        }
    }
}
