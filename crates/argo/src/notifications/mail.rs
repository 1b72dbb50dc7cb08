//! Notifications by e-mail: one message for all recipients, over SMTP.

use std::time::Duration;

use delivery::fields::{bool_at, str_at};
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use object::{Value, get};

use super::Due;

/// The longest time for one answer of the server.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The port on which TLS begins at once.
const TLS_PORT: u16 = 465;

/// Sends a notification as the service is configured.
///
/// # Errors
/// Without the password, for people.
pub(super) async fn send(service: &Value, due: &Due) -> Result<(), String> {
    let message = message(service, due)?;
    let transport = transport(service)?;
    transport.send(message).await.map(|_| ()).map_err(|error| format!("the mail server: {error}"))
}

fn message(service: &Value, due: &Due) -> Result<Message, String> {
    let mailbox = |text: &str| -> Result<Mailbox, String> {
        text.trim().parse().map_err(|error| format!("{text:?} is no address: {error}"))
    };
    let said = |field: &str| str_at(&due.notification, &["email", field]);
    let body = match said("body") {
        "" => str_at(&due.notification, &["message"]),
        own => own,
    };
    let html = bool_at(service, &["html"]);
    let mut builder = Message::builder()
        .from(mailbox(str_at(service, &["from"]))?)
        .subject(said("subject"))
        .header(if html { ContentType::TEXT_HTML } else { ContentType::TEXT_PLAIN });
    for recipient in due.recipient.split(',').filter(|one| !one.trim().is_empty()) {
        builder = builder.to(mailbox(recipient)?);
    }
    builder.body(body.to_owned()).map_err(|error| format!("the message: {error}"))
}

fn transport(service: &Value) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
    let host = match str_at(service, &["host"]) {
        "" => return Err("host is missing".into()),
        host => host,
    };
    let port = get(service, &["port"]);
    let port = port.and_then(|port| port.as_u64().or_else(|| port.as_str()?.parse().ok()));
    let port = port.and_then(|port| u16::try_from(port).ok()).unwrap_or(587);
    let trusting = bool_at(service, &["insecure_skip_verify"]);
    let parameters = TlsParameters::builder(host.to_owned())
        .dangerous_accept_invalid_certs(trusting)
        .dangerous_accept_invalid_hostnames(trusting)
        .build_rustls()
        .map_err(|error| error.to_string())?;
    let user = str_at(service, &["username"]);
    let tls = match port {
        TLS_PORT => Tls::Wrapper(parameters),
        // A password goes over nothing but TLS, except to this machine.
        _ if !user.is_empty() && !is_here(host) => Tls::Required(parameters),
        _ => Tls::Opportunistic(parameters),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
        .port(port)
        .tls(tls)
        .timeout(Some(TIMEOUT));
    if !user.is_empty() {
        builder =
            builder.credentials(Credentials::new(user.to_owned(), str_at(service, &["password"]).to_owned()));
    }
    Ok(builder.build())
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
