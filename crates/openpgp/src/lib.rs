//! The door to OpenPGP: key rings, cleartext signatures, detached signatures, encrypted messages.
//!
//! Bytes go in, a verdict or a signature comes out; files and the clock are the caller's. Helm's provenance
//! files, signed commits and tags, and SOPS files use it.
//!
//! What is accepted, and the words of a refusal, are those of the OpenPGP library that Helm and Flux are built
//! on. RSA signatures are made, and RSA messages opened, by aws-lc, since the `rsa` crate does not take the same time for every key
//! (RUSTSEC-2023-0071); checking a signature involves no secret.

mod cleartext;
mod decrypt;
mod packets;
mod ring;
mod rsa;
mod sign;
mod verify;

pub use cleartext::Cleartext;
pub use ring::{Key, KeyRing};
pub use sign::Signer;
pub use verify::Verified;

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a signature does not hold, or cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are no OpenPGP data, or not what was asked for.
    #[error("openpgp: invalid data: {0}")]
    Malformed(String),
    /// The signature does not fit the data.
    #[error("openpgp: invalid signature: {0}")]
    Wrong(String),
    /// No key of the ring made the signature.
    #[error("openpgp: signature made by unknown entity")]
    UnknownIssuer,
    /// The signature is from the future or its time is over.
    #[error("openpgp: signature expired")]
    SignatureExpired,
    /// The key is from the future or its time is over.
    #[error("openpgp: key expired")]
    KeyExpired,
    /// The key, or the name that goes with it, was revoked.
    #[error("openpgp: signature made by revoked key")]
    Revoked,
    /// A hash or a key that is too weak to prove anything.
    #[error("openpgp: weak algorithms are rejected: {0}")]
    Weak(String),
    /// Several keys have the text in their names.
    #[error("more than one key contain the id {0:?}")]
    Ambiguous(String),
    /// The ring has no such key.
    #[error("private key not found")]
    NoKey,
    /// The ring has only its public half.
    #[error("provided key is not a private key. Try providing a keyring with secret keys")]
    NotSecret,
    /// No key of the ring opens the message.
    #[error("openpgp: cannot decrypt: {0}")]
    CannotDecrypt(String),
    /// The key cannot sign.
    #[error("openpgp: cannot sign: {0}")]
    CannotSign(String),
}
