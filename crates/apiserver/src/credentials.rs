//! The cluster's own authority, its signing key and the administrator's token.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};

use crate::OpenError;

/// Keys and tokens, kept in the state directory when there is one.
#[derive(Debug)]
pub struct Credentials {
    /// The authority's certificate.
    pub ca_pem: String,
    /// The authority's key.
    ca_key_pem: String,
    /// The administrator's bearer token.
    pub token: String,
    /// What tells this run of the server from others.
    pub identity: String,
    /// PKCS#8 of the key that signs service account tokens.
    pub signing_key: Vec<u8>,
}

const FILE: &str = "credentials.json";

impl Credentials {
    /// New credentials.
    pub fn generate(token: Option<&str>) -> Result<Credentials, OpenError> {
        let failed = |e: rcgen::Error| OpenError::Certificates(e.to_string());
        let key = KeyPair::generate().map_err(failed)?;
        let ca = ca_params().self_signed(&key).map_err(failed)?;
        let signing = KeyPair::generate().map_err(failed)?;
        Ok(Credentials {
            ca_pem: ca.pem(),
            ca_key_pem: key.serialize_pem(),
            token: token.map_or_else(random_token, str::to_owned),
            identity: uuid::Uuid::new_v4().to_string(),
            signing_key: signing.serialize_der(),
        })
    }

    /// The credentials of a state directory, made when they are not there.
    pub fn load(directory: &Path, token: Option<&str>) -> Result<Credentials, OpenError> {
        let path = directory.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let made = Credentials::generate(token)?;
                made.store(&path)?;
                return Ok(made);
            }
            Err(source) => return Err(OpenError::Io { path, source }),
        };
        let damaged = |detail: &str| OpenError::Damaged { path: path.clone(), detail: detail.into() };
        let value: Value = serde_json::from_str(&text).map_err(|e| damaged(&e.to_string()))?;
        let field = |name: &str| {
            value
                .get(name)
                .and_then(Value::as_str)
                .map(str::to_owned)
                .ok_or_else(|| damaged(&format!("{name} is missing")))
        };
        let signing_key =
            STANDARD.decode(field("signingKey")?).map_err(|e| damaged(&format!("signingKey: {e}")))?;
        Ok(Credentials {
            ca_pem: field("caCertificate")?,
            ca_key_pem: field("caKey")?,
            token: token.map_or_else(|| field("token"), |t| Ok(t.to_owned()))?,
            identity: uuid::Uuid::new_v4().to_string(),
            signing_key,
        })
    }

    fn store(&self, path: &Path) -> Result<(), OpenError> {
        use std::io::Write;
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        let value = json!({
            "caCertificate": self.ca_pem,
            "caKey": self.ca_key_pem,
            "token": self.token,
            "signingKey": STANDARD.encode(&self.signing_key),
        });
        // Written aside and renamed, so that a crash leaves either nothing or everything.
        let aside = path.with_extension("new");
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let mut file = options.open(&aside).map_err(io)?;
        file.write_all(value.to_string().as_bytes()).map_err(io)?;
        file.sync_all().map_err(io)?;
        std::fs::rename(&aside, path).map_err(io)
    }

    /// Signs a request; gives the certificate as PEM.
    pub fn sign(&self, request: &CertificateSigningRequestParams) -> Result<String, rcgen::Error> {
        let issuer = Issuer::new(ca_params(), KeyPair::from_pem(&self.ca_key_pem)?);
        Ok(request.signed_by(&issuer)?.pem())
    }

    /// A server certificate of the authority for loopback and the in-cluster names.
    pub fn server_certificate(
        &self,
        address: std::net::IpAddr,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), rcgen::Error> {
        let ca_key = KeyPair::from_pem(&self.ca_key_pem)?;
        let issuer = Issuer::new(ca_params(), ca_key);
        let names = [
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ];
        let mut params = CertificateParams::new(names.map(str::to_owned).to_vec())?;
        params.distinguished_name.push(DnType::CommonName, "landfall-apiserver");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let mut addresses = vec![std::net::Ipv4Addr::LOCALHOST.into(), std::net::Ipv6Addr::LOCALHOST.into()];
        if !addresses.contains(&address) {
            addresses.push(address);
        }
        params.subject_alt_names.extend(addresses.into_iter().map(SanType::IpAddress));
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok((vec![certificate.der().clone()], private))
    }
}

/// The authority is always described the same way, so that a loaded key fits its certificate.
fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "landfall-ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign];
    params
}

fn random_token() -> String {
    use rand::Rng;
    let mut bytes = [0u8; 32];
    rand::rng().fill(&mut bytes);
    hex::encode(bytes)
}
