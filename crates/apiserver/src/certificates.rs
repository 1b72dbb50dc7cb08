//! Client certificates: whom they stand for, and the built-in signers of `CertificateSigningRequest`s.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use object::{get, get_i64, get_str, meta};
use rcgen::{CertificateSigningRequestParams, ExtendedKeyUsagePurpose, KeyUsagePurpose};
use rustls_pki_types::CertificateDer;
use serde_json::Value;

use crate::api::write::{self, Context, Proposal};
use crate::app::App;
use crate::auth::{AUTHENTICATED, User};
use crate::status::Cause;
use crate::store::Object;

/// The table of signing requests.
pub const TABLE: &str = "certificatesigningrequests.certificates.k8s.io";
/// Who signs on a real cluster.
const MANAGER: &str = "kube-controller-manager";
const YEAR: i64 = 365 * 24 * 3600;

/// The user of a certificate that the cluster's authority signed: its common name, in the groups that its
/// organizations name.
pub fn user_of(certificate: &CertificateDer<'_>) -> Option<User> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let subject = parsed.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let mut groups: Vec<String> =
        subject.iter_organization().filter_map(|group| group.as_str().ok().map(str::to_owned)).collect();
    if name.is_empty() {
        return None;
    }
    groups.push(AUTHENTICATED.to_owned());
    Some(User { name, groups, ..User::default() })
}

/// Every use that can be asked for.
const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// What is wrong with a new signing request.
pub fn check(request: &Value, causes: &mut Vec<Cause>) {
    let text = |field: &str| get_str(request, &["spec", field]).unwrap_or_default();
    let decoded = STANDARD.decode(text("request")).unwrap_or_default();
    if !decoded.starts_with(b"-----BEGIN CERTIFICATE REQUEST-----") {
        let why = "PEM block type must be CERTIFICATE REQUEST";
        causes.push(Cause::invalid("spec.request", &text("request").into(), why));
    }
    let usages = get(request, &["spec", "usages"]).and_then(Value::as_array);
    if usages.is_none_or(Vec::is_empty) {
        causes.push(Cause::required("spec.usages", ""));
    }
    for (index, usage) in usages.into_iter().flatten().enumerate() {
        if !usage.as_str().is_some_and(|own| USAGES.contains(&own)) {
            causes.push(Cause::unsupported(format!("spec.usages[{index}]"), usage, USAGES));
        }
    }
    let signer = text("signerName");
    let fits = signer.split_once('/').is_some_and(|(domain, path)| domain.contains('.') && !path.is_empty());
    if signer.is_empty() {
        causes.push(Cause::required("spec.signerName", ""));
    } else if !fits {
        let why = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        causes.push(Cause::invalid("spec.signerName", &signer.into(), why));
    }
    if let Some(seconds) = get_i64(request, &["spec", "expirationSeconds"]).filter(|seconds| *seconds < 600) {
        let why = "may not specify a duration less than 600 seconds (10 minutes)";
        causes.push(Cause::invalid("spec.expirationSeconds", &seconds.into(), why));
    }
}

/// Signs a request that was approved, as the controllers of a real cluster do.
pub fn sign(app: &Arc<App>, request: &Object) {
    let value = request.value();
    if get_str(&value, &["status", "certificate"]).is_some_and(|text| !text.is_empty()) {
        return;
    }
    let said = |kind: &str| {
        meta::condition(&value, kind).is_some_and(|c| get_str(c, &["status"]).unwrap_or("True") == "True")
    };
    let signer = get_str(&value, &["spec", "signerName"]).unwrap_or_default();
    let known = matches!(
        signer,
        "kubernetes.io/kube-apiserver-client"
            | "kubernetes.io/kube-apiserver-client-kubelet"
            | "kubernetes.io/kubelet-serving"
    );
    if !said("Approved") || said("Denied") || said("Failed") || !known {
        return;
    }
    let Some(resource) =
        app.catalog().find("certificates.k8s.io", "v1", "certificatesigningrequests").cloned()
    else {
        return;
    };
    let outcome = issue(app, &value);
    let context = Context { subresource: "status".to_owned(), ..Context::system(MANAGER) };
    let result = write::modify_now(app, &resource, "", request.name(), &context, |live| {
        let mut next = live.clone();
        match &outcome {
            Ok(pem) => object::set(&mut next, &["status", "certificate"], STANDARD.encode(pem).into()),
            Err(why) => {
                let now = crate::app::now();
                let failed = serde_json::json!({
                    "type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": why,
                    "lastTransitionTime": now, "lastUpdateTime": now,
                });
                let list = get(&next, &["status", "conditions"]).and_then(Value::as_array).cloned();
                let mut list = list.unwrap_or_default();
                list.push(failed);
                object::set(&mut next, &["status", "conditions"], list.into());
            }
        }
        Ok(Proposal::update(next))
    });
    if let Err(failure) = result {
        tracing::warn!(name = request.name(), error = failure.message(), "a certificate cannot be stored");
    }
}

fn issue(app: &App, request: &Value) -> Result<String, String> {
    let text = get_str(request, &["spec", "request"]).unwrap_or_default();
    let pem = STANDARD.decode(text).map_err(|error| error.to_string())?;
    let pem = String::from_utf8(pem).map_err(|error| error.to_string())?;
    let mut asked = CertificateSigningRequestParams::from_pem(&pem).map_err(|error| error.to_string())?;
    let seconds = get_i64(request, &["spec", "expirationSeconds"]).unwrap_or(YEAR).clamp(600, YEAR);
    let now = std::time::SystemTime::now();
    let span = |seconds: i64| std::time::Duration::from_secs(seconds.unsigned_abs());
    asked.params.not_before = now.checked_sub(span(300)).unwrap_or(now).into();
    asked.params.not_after = now.checked_add(span(seconds)).unwrap_or(now).into();
    asked.params.is_ca = rcgen::IsCa::ExplicitNoCa;
    asked.params.key_usages.clear();
    asked.params.extended_key_usages.clear();
    for usage in get(request, &["spec", "usages"]).and_then(Value::as_array).into_iter().flatten() {
        match usage.as_str().unwrap_or_default() {
            "client auth" => asked.params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth),
            "server auth" => asked.params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth),
            "digital signature" => asked.params.key_usages.push(KeyUsagePurpose::DigitalSignature),
            "key encipherment" => asked.params.key_usages.push(KeyUsagePurpose::KeyEncipherment),
            other => return Err(format!("the usage {other:?} is not signed for")),
        }
    }
    app.credentials.sign(&asked).map_err(|error| error.to_string())
}
