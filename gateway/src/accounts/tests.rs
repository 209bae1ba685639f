use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::*;

fn peer(address: IpAddr, is_tls: bool) -> Option<Peer> {
    Some(Peer { address: SocketAddr::new(address, 4_711), is_tls })
}

#[test]
fn a_password_is_taken_in_clear_from_this_machine_only() {
    let far = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
    let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
    for near in [IpAddr::V4(Ipv4Addr::new(127, 3, 2, 1)), IpAddr::V6(Ipv6Addr::LOCALHOST), mapped] {
        assert_eq!(address_of(peer(near, false)), Ok(near.to_canonical()));
    }
    assert_eq!(address_of(peer(far, false)), Err(Code::PasswordInClear.into()));
    assert_eq!(address_of(peer(far, true)), Ok(far));
    assert_eq!(address_of(None), Err(busy()));
}
