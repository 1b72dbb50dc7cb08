//! Notifications to a subject of a NATS server.

use delivery::fields::str_at;
use delivery::nats::{Login, Message, publish};
use object::{Value, get};

use super::Due;

/// Publishes the message of a notification to the subject that the recipient names.
///
/// # Errors
/// Without what signs in, for people.
pub(super) async fn send(service: &Value, due: &Due) -> Result<(), String> {
    if !str_at(service, &["nkey"]).is_empty() {
        return Err("signing in with an nkey is not done here: use user and password".into());
    }
    let given = get(service, &["headers"]).and_then(Value::as_object).into_iter().flatten();
    let headers: Vec<(String, String)> =
        given.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
    let login = Login {
        client: "argocd-notifications",
        user: str_at(service, &["user"]),
        password: str_at(service, &["password"]),
    };
    let payload = str_at(&due.notification, &["message"]);
    let message = Message { subject: &due.recipient, headers: &headers, payload };
    publish(str_at(service, &["url"]), login, message).await
}
