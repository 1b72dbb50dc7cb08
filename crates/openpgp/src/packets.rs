//! Bytes to packets: armour taken off, signatures picked out.

use crate::{Error, Result};
use pgp::armor::{Dearmor, DearmorOptions};
use pgp::packet::{Packet, PacketParser, Signature};
use std::io::Read as _;

/// The most bytes that a key ring or a signature may have.
pub(crate) const MAX_BYTES: usize = 64 << 20;

const BEGIN: &str = "-----BEGIN PGP ";

/// Binary data as it is; armoured blocks one by one, without their armour.
pub(crate) fn blocks(bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
    if bytes.len() > MAX_BYTES {
        return Err(Error::Malformed(format!("larger than {MAX_BYTES} bytes")));
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) if text.contains(BEGIN) => text,
        _ => return Ok(vec![bytes.to_vec()]),
    };
    let starts: Vec<usize> = text.match_indices(BEGIN).map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().zip(ends).map(|(start, end)| dearmored(text.get(*start..end).unwrap_or_default())).collect()
}

fn dearmored(block: &str) -> Result<Vec<u8>> {
    let options = DearmorOptions::new().set_limit(MAX_BYTES);
    let mut bytes = Vec::new();
    Dearmor::with_options(block.as_bytes(), options)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::Malformed(format!("armor: {error}")))?;
    Ok(bytes)
}

/// The signatures in detached signature data, binary or armoured.
pub(crate) fn signatures(bytes: &[u8]) -> Result<Vec<Signature>> {
    let mut found = Vec::new();
    for block in blocks(bytes)? {
        for packet in PacketParser::new(block.as_slice()) {
            match packet {
                Ok(Packet::Signature(signature)) => found.push(signature),
                Ok(_) => return Err(Error::Malformed("non signature packet found".into())),
                Err(error) => return Err(Error::Malformed(error.to_string())),
            }
        }
    }
    Ok(found)
}
