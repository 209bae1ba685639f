use wire::{Device, Name, name::NameError};

use crate::samples::{DEVICE_32, GROUP_64, NAME_64};

#[test]
fn each_byte_is_in_the_alphabet_or_refused() {
    for byte in 0..=u8::MAX {
        let is_fit = byte.is_ascii_alphanumeric() || b"._@+:=-".contains(&byte);
        let expected = if is_fit { Ok(()) } else { Err(NameError::Byte(byte)) };
        assert_eq!(Name::parse_user(&[b'a', byte, b'b']).map(drop), expected);
        assert_eq!(Device::parse(&[b'a', byte, b'b']).map(drop), expected);
        assert_eq!(Name::parse(&[b'#', b'a', byte]).map(drop), expected);
    }
}

#[test]
fn names_have_their_lengths() {
    let longer = |name: &str| [name.as_bytes(), b"x"].concat();
    assert_eq!(Name::parse(NAME_64.as_bytes()).map(Name::as_str), Ok(NAME_64));
    assert_eq!(Name::parse(GROUP_64.as_bytes()).map(Name::as_str), Ok(GROUP_64));
    assert_eq!(Device::parse(DEVICE_32.as_bytes()).map(Device::as_str), Ok(DEVICE_32));
    assert_eq!(Name::parse(&longer(NAME_64)), Err(NameError::Len(65)));
    assert_eq!(Name::parse(&longer(GROUP_64)), Err(NameError::Len(65)));
    assert_eq!(Device::parse(&longer(DEVICE_32)), Err(NameError::Len(33)));
    for empty in [&b""[..], b"#"] {
        assert_eq!(Name::parse(empty), Err(NameError::Len(0)));
    }
}

#[test]
fn a_group_begins_with_a_hash_and_is_no_user() {
    assert!(Name::parse(b"#team").is_ok_and(Name::is_group));
    assert!(Name::parse(b"team").is_ok_and(|name| !name.is_group()));
    assert_eq!(Name::parse_user(b"#team"), Err(NameError::Byte(b'#')));
}
