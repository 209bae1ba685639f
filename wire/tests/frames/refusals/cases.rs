//! How a payload with one fault is made.

use wire::Code;

use crate::{payload, samples};

pub(crate) struct Refusal {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) frame_type: u8,
    pub(crate) payload: Vec<u8>,
    pub(crate) code: Code,
}

pub(super) fn refusal(
    name: &'static str,
    code: Code,
    frame_type: u8,
    payload: Vec<u8>,
    what: &'static str,
) -> Refusal {
    Refusal {
        name,
        what,
        frame_type,
        payload,
        code,
    }
}

/// The payload of a sample with the byte at `index` set to `value`.
pub(super) fn set(sample: &str, index: usize, value: u8) -> Vec<u8> {
    let mut bytes = sample_payload(sample);
    bytes[index] = value;
    bytes
}

/// The payload of a sample with `end` behind it.
pub(super) fn longer(sample: &str, end: &[u8]) -> Vec<u8> {
    let mut bytes = sample_payload(sample);
    bytes.extend_from_slice(end);
    bytes
}

/// The first `len` bytes of the payload of a sample.
pub(super) fn cut(sample: &str, len: usize) -> Vec<u8> {
    let mut bytes = sample_payload(sample);
    bytes.truncate(len);
    bytes
}

pub(super) fn sample_payload(name: &str) -> Vec<u8> {
    let sample = samples::all()
        .into_iter()
        .find(|sample| sample.name == name);
    payload(&sample.expect("a sample of that name").frame)
}
