//! QUIC's first packets, made by hand: with the keys that everybody can derive, and contents no client would send.

use std::sync::Arc;

use rustls::Side;
use rustls::crypto::aws_lc_rs;
use rustls::quic::{ClientConnection, Keys, Version};

/// A CRYPTO frame.
pub struct Crypto {
    pub offset: u32,
    pub bytes: Vec<u8>,
}

fn varint(number: u32) -> [u8; 4] {
    ((2 << 30) | number).to_be_bytes()
}

/// An Initial packet of a client to this destination id, filled up to more than 1,200 bytes.
pub fn initial(destination: [u8; 8], number: u32, frames: Vec<Crypto>) -> Vec<u8> {
    let suite = aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13().unwrap();
    let keys = Keys::initial(Version::V1, suite, suite.quic.unwrap(), &destination, Side::Client);
    let mut payload = Vec::new();
    for Crypto { offset, bytes } in frames {
        payload.push(6);
        payload.extend(varint(offset));
        payload.extend(varint(bytes.len() as u32));
        payload.extend(bytes);
    }
    payload.resize(payload.len().max(1_200), 0);
    // Long header, Initial, a packet number of four bytes; version 1; both ids; no token; length.
    let mut packet = vec![0xc3, 0, 0, 0, 1, 8];
    packet.extend(destination);
    packet.extend([4, 1, 2, 3, 4, 0]);
    packet.extend(varint(4 + payload.len() as u32 + 16));
    let at = packet.len();
    packet.extend(number.to_be_bytes());
    let tag = keys.local.packet.encrypt_in_place(u64::from(number), &packet, &mut payload).unwrap();
    packet.extend(payload);
    packet.extend(tag.as_ref());
    let sample = packet[at + 4..at + 20].to_vec();
    let (first, rest) = packet.split_at_mut(1);
    keys.local.header.encrypt_in_place(&sample, &mut first[0], &mut rest[at - 1..at + 3]).unwrap();
    packet
}

/// The transport parameter that names the source id of [`initial`], as it has to.
pub const SOURCE: [u8; 6] = [15, 4, 1, 2, 3, 4];

/// A client's first flight with these transport parameters.
pub fn client_hello(parameters: Vec<u8>) -> Vec<u8> {
    let roots = Arc::new(rustls::RootCertStore::empty());
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"quorate/1".to_vec()];
    let name = "x".try_into().unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), Version::V1, name, parameters).unwrap();
    let mut hello = Vec::new();
    connection.write_hs(&mut hello);
    hello
}

/// Transport parameters: id, length, value; each of these is wrong in another way.
pub fn malformed() -> Vec<Vec<u8>> {
    let largest = [0xff; 8];
    let integer = |id: u8, value: &[u8]| [&[id, value.len() as u8], value].concat();
    let mut all = vec![
        vec![],
        vec![1],
        vec![0xff; 200],
        // Lengths beyond the end.
        vec![1, 0x40],
        [&[1][..], &largest].concat(),
        [vec![4, 63], vec![0; 10]].concat(),
        // A parameter twice.
        [integer(1, &[1]), integer(1, &[1])].concat(),
        // Those of a server alone: original id, reset token, preferred address, retry id.
        integer(0, &[1; 8]),
        integer(2, &[1; 16]),
        integer(13, &[1; 41]),
        integer(16, &[1; 8]),
        // Ids longer than ids may be.
        integer(15, &[1; 21]),
        integer(15, &[1; 60]),
    ];
    // Integers: empty, cut off, of the greatest value, with a byte too many.
    for id in [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 32] {
        all.extend([integer(id, &[]), integer(id, &[0xc0]), integer(id, &largest), integer(id, &[0, 0])]);
    }
    all
}
