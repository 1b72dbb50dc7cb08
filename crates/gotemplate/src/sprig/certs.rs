//! Keys and certificates.

use std::net::IpAddr;
use std::time::Duration;

use aws_lc_rs::agreement;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber,
};

use super::der::{self, BIT_STRING, ED25519, OCTET_STRING, P256, SEQUENCE};
use super::{Res, arg, int, text};
use crate::env::Host;
use crate::func::{Context, FuncError, Function, Param};
use crate::value::{Elem, Kind, Object, Value};

const CERTIFICATE: &str = "sprig.certificate";
const BITS: u64 = 2048;
const LONG_BITS: u64 = 4096;
const DAY: u64 = 86_400;

pub(super) fn functions() -> Vec<Function> {
    use Param::{Int, List, String};
    const CA: Param = Param::Named(CERTIFICATE);
    let native = Function::native;
    vec![
        native("genPrivateKey", &[String], false, |context, args| {
            Ok(Value::from(private_key(context.host(), &text(args, 0))))
        }),
        native("buildCustomCert", &[String, String], false, build_custom),
        native("genCA", &[String, Int], false, |context, args| {
            let key = Key::rsa(context.host())?;
            authority(context, args, key)
        }),
        native("genCAWithKey", &[String, Int, String], false, |context, args| {
            authority(context, args, given_key(&text(args, 2))?)
        }),
        native("genSelfSignedCert", &[String, List, List, Int], false, |context, args| {
            let key = Key::rsa(context.host())?;
            self_signed(context, args, key)
        }),
        native("genSelfSignedCertWithKey", &[String, List, List, Int, String], false, |context, args| {
            self_signed(context, args, given_key(&text(args, 4))?)
        }),
        native("genSignedCert", &[String, List, List, Int, CA], false, |context, args| {
            let key = Key::rsa(context.host())?;
            signed(context, args, key)
        }),
        native("genSignedCertWithKey", &[String, List, List, Int, CA, String], false, |context, args| {
            signed(context, args, given_key(&text(args, 5))?)
        }),
    ]
}

/// What the functions return: `.Cert` and `.Key`.
struct Certificate {
    cert: String,
    key: String,
}

impl Object for Certificate {
    fn type_name(&self) -> &str {
        CERTIFICATE
    }

    fn kind(&self) -> Kind {
        Kind::Struct
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![("Cert", Value::from(self.cert.as_str())), ("Key", Value::from(self.key.as_str()))]
    }

    fn encoded(&self) -> Option<Value> {
        Some(Value::map(self.fields()))
    }
}

/// A private key: as it is shown, and as the signer takes it.
struct Key {
    label: &'static str,
    bytes: Vec<u8>,
    pkcs8: Vec<u8>,
}

impl Key {
    fn of_rsa(bytes: Vec<u8>) -> Self {
        let pkcs8 = der::pkcs8(&[der::RSA], true, &bytes);
        Key { label: "RSA PRIVATE KEY", bytes, pkcs8 }
    }

    fn rsa(host: &dyn Host) -> Result<Self, FuncError> {
        match super::rsa::generate(host, BITS) {
            Some(bytes) => Ok(Key::of_rsa(bytes)),
            None => Err("error generating rsa key: no inverse".into()),
        }
    }

    fn pem(&self) -> String {
        der::pem(self.label, &self.bytes)
    }

    /// Reads a PEM block as sprig does.
    fn parse(text: &str) -> Result<Self, String> {
        let (label, bytes) = der::unpem(text).ok_or("no PEM data in input")?;
        match label.as_str() {
            "PRIVATE KEY" => {
                let (algorithm, inner) =
                    der::unwrap_pkcs8(&bytes).ok_or("decoding PEM as PKCS#8: asn1: structure error")?;
                Ok(if algorithm == der::RSA {
                    Key { label: "RSA PRIVATE KEY", bytes: inner.to_vec(), pkcs8: bytes }
                } else if algorithm == der::EC {
                    Key { label: "EC PRIVATE KEY", bytes: inner.to_vec(), pkcs8: bytes }
                } else {
                    Key { label: "PRIVATE KEY", pkcs8: bytes.clone(), bytes }
                })
            }
            "RSA PRIVATE KEY" => Ok(Key::of_rsa(bytes)),
            "EC PRIVATE KEY" => {
                let curve = curve_of(&bytes)
                    .ok_or("parsing EC private key from PEM: x509: unknown elliptic curve")?;
                let pkcs8 = der::pkcs8(&[der::EC, &curve], false, &bytes);
                Ok(Key { label: "EC PRIVATE KEY", bytes, pkcs8 })
            }
            "DSA PRIVATE KEY" => Err("DSA keys cannot sign certificates".to_owned()),
            label => match label.strip_suffix(" PRIVATE KEY") {
                Some(kind) => Err(format!("invalid private key type {kind}")),
                None => Err(format!("no private key data in PEM block of type {label}")),
            },
        }
    }

    fn pair(&self) -> Result<KeyPair, FuncError> {
        KeyPair::try_from(self.pkcs8.as_slice())
            .map_err(|error| FuncError::new(format!("error creating certificate: {error}")))
    }
}

/// The curve that an EC key names.
fn curve_of(bytes: &[u8]) -> Option<Vec<u8>> {
    let (_, body, _) = der::read(bytes)?;
    let (_, _, rest) = der::read(body)?;
    let (_, _, rest) = der::read(rest)?;
    let (tag, parameters, _) = der::read(rest)?;
    let (_, name, _) = der::read(parameters)?;
    (tag == 0xa0).then(|| name.to_vec())
}

/// An EC key on P-256, from random bytes below the order of the curve.
fn ec_key(host: &dyn Host) -> Option<Vec<u8>> {
    // Nearly every choice will do; a few tries are beyond any doubt.
    for _ in 0..100 {
        let mut secret = [0; 32];
        host.random(&mut secret);
        let Ok(private) = agreement::PrivateKey::from_private_key(&agreement::ECDH_P256, &secret) else {
            continue;
        };
        let public = private.compute_public_key().ok()?;
        let curve = der::element(0xa0, &der::element(der::OID, P256));
        let bits = der::element(BIT_STRING, &[&[0], public.as_ref()].concat());
        let body =
            [der::unsigned(&[1]), der::element(OCTET_STRING, &secret), curve, der::element(0xa1, &bits)];
        return Some(der::element(SEQUENCE, &body.concat()));
    }
    None
}

fn private_key(host: &dyn Host, kind: &str) -> String {
    let failed = || "failed to generate private key: no key was found".to_owned();
    match kind {
        "" | "rsa" => {
            super::rsa::generate(host, LONG_BITS).map_or_else(failed, |key| der::pem("RSA PRIVATE KEY", &key))
        }
        "ecdsa" => ec_key(host).map_or_else(failed, |key| der::pem("EC PRIVATE KEY", &key)),
        "ed25519" => {
            let mut seed = [0; 32];
            host.random(&mut seed);
            let inner = der::element(OCTET_STRING, &seed);
            der::pem("PRIVATE KEY", &der::pkcs8(&[ED25519], false, &inner))
        }
        "dsa" => {
            "failed to generate private key: DSA keys are not supported, use ecdsa or ed25519".to_owned()
        }
        kind => format!("Unknown type {kind}"),
    }
}

fn given_key(pem: &str) -> Result<Key, FuncError> {
    Key::parse(pem).map_err(|error| FuncError::new(format!("parsing private key: {error}")))
}

/// The strings of a list argument; `what` begins the error for anything else.
fn strings(value: &Value, what: &str) -> Result<Vec<String>, FuncError> {
    let Value::List(list) = value else { return Ok(Vec::new()) };
    let string = |item: &Value| match item {
        Value::Str(text) => Ok(text.to_text().into_owned()),
        other => Err(FuncError::new(format!("{what}: {} is not a string", other.to_string_lossy()))),
    };
    debug_assert!(list.elem == Elem::Any);
    list.items.iter().map(string).collect()
}

/// What all certificates share: name, names and addresses, days from now, a random number.
fn params(
    context: &Context<'_, '_>,
    name: &str,
    ips: &Value,
    dns: &Value,
    days: i64,
) -> Result<CertificateParams, FuncError> {
    let failed = |error: rcgen::Error| FuncError::new(format!("error creating certificate: {error}"));
    let mut params = CertificateParams::default();
    for ip in strings(ips, "error parsing ip")? {
        let address: IpAddr = ip.parse().map_err(|_| FuncError::new(format!("error parsing ip: {ip}")))?;
        params.subject_alt_names.push(SanType::IpAddress(address));
    }
    for name in strings(dns, "error processing alternate dns name")? {
        params.subject_alt_names.push(SanType::DnsName(name.try_into().map_err(failed)?));
    }
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let mut serial = [0; 16];
    context.host().random(&mut serial);
    // A serial number is positive.
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from(serial.to_vec()));
    let (now, _) = context.host().now();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let end = days.saturating_mul(DAY as i64).saturating_add(now);
    // Year 9999 is the last that a certificate can name.
    const LAST: i64 = 253_402_300_799;
    params.not_before = epoch + Duration::from_secs(now.clamp(0, LAST) as u64);
    params.not_after = epoch + Duration::from_secs(end.clamp(0, LAST) as u64);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.is_ca = IsCa::ExplicitNoCa;
    Ok(params)
}

fn finish(result: Result<rcgen::Certificate, rcgen::Error>, key: &Key) -> Res {
    let certificate =
        result.map_err(|error| FuncError::new(format!("error creating certificate: {error}")))?;
    Ok(Value::object(Certificate { cert: der::pem("CERTIFICATE", certificate.der()), key: key.pem() }))
}

fn authority(context: &mut Context<'_, '_>, args: &[Value], key: Key) -> Res {
    let mut params = params(context, &text(args, 0), &Value::Nil, &Value::Nil, int(args, 1))?;
    params.key_usages.push(KeyUsagePurpose::KeyCertSign);
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    finish(params.self_signed(&key.pair()?), &key)
}

fn self_signed(context: &mut Context<'_, '_>, args: &[Value], key: Key) -> Res {
    let params = params(context, &text(args, 0), arg(args, 1), arg(args, 2), int(args, 3))?;
    finish(params.self_signed(&key.pair()?), &key)
}

fn signed(context: &mut Context<'_, '_>, args: &[Value], key: Key) -> Res {
    let field = |name: &str| match arg(args, 4) {
        Value::Object(object) => object.field(name).map(|value| value.to_string_lossy()).unwrap_or_default(),
        _ => String::new(),
    };
    let Some((_, certificate)) = der::unpem(&field("Cert")) else {
        return Err("unable to decode certificate".into());
    };
    let signer = Key::parse(&field("Key"))
        .map_err(|error| FuncError::new(format!("error parsing private key: {error}")))?;
    let issuer = Issuer::from_ca_cert_der(&certificate.into(), signer.pair()?).map_err(|error| {
        FuncError::new(format!("error parsing certificate: decodedSignerCert.Bytes: {error}"))
    })?;
    let mut params = params(context, &text(args, 0), arg(args, 1), arg(args, 2), int(args, 3))?;
    params.use_authority_key_identifier_extension = true;
    finish(params.signed_by(&key.pair()?, &issuer), &key)
}

fn build_custom(_: &mut Context<'_, '_>, args: &[Value]) -> Res {
    let decode = |index: usize, what: &str| {
        super::crypto::base64(super::bytes(args, index))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .map_err(|_| FuncError::new(format!("unable to decode base64 {what}")))
    };
    let cert = decode(0, "certificate")?;
    let key = decode(1, "private key")?;
    let Some((_, bytes)) = der::unpem(&cert) else {
        return Err("unable to decode certificate".into());
    };
    // Any certificate will do as an issuer's, so this reads it.
    let pair = Key::parse(&key).and_then(|key| key.pair().map_err(|error| error.to_string()));
    let pair = pair.map_err(|error| FuncError::new(format!("error parsing private key: {error}")))?;
    Issuer::from_ca_cert_der(&bytes.into(), pair)
        .map_err(|error| FuncError::new(format!("error parsing certificate: decodedCert.Bytes: {error}")))?;
    Ok(Value::object(Certificate { cert, key }))
}
