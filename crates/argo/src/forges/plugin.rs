//! Generators that are services of the user's own: `POST …/api/v1/getparams.execute`.

use std::time::Duration;

use object::{Value, get_str};
use serde_json::json;

use super::MAX_ENTRIES;
use super::door::{Secrets, post};

/// How long a plugin may take unless its ConfigMap says otherwise.
const TIMEOUT: u64 = 30;

/// The sets that a plugin makes for the ApplicationSet `name`.
///
/// # Errors
/// When the plugin is not described, does not answer or answers with something else.
pub async fn plugin(spec: &Value, name: &str, secrets: &dyn Secrets) -> Result<Vec<Value>, String> {
    let described = get_str(spec, &["configMapRef", "name"]).unwrap_or_default();
    let of_plugin = |key: &'static str| secrets.get("ConfigMap", described, key);
    let base = of_plugin("baseUrl").await?;
    let reference = of_plugin("token").await?;
    let token = match reference.trim().strip_prefix('$') {
        None => reference.clone(),
        Some(reference) => {
            let (secret, key) = reference.split_once(':').unwrap_or(("argocd-secret", reference));
            secrets.get("Secret", secret, key).await?
        }
    };
    let timeout = match of_plugin("requestTimeout").await {
        Ok(text) if !text.trim().is_empty() => {
            text.trim().parse().map_err(|_| format!("requestTimeout {text:?} is no number of seconds"))?
        }
        _ => TIMEOUT,
    };
    let input = spec.get("input").cloned().unwrap_or_else(|| json!({}));
    let url = format!("{}/api/v1/getparams.execute", base.trim().trim_end_matches('/'));
    let body = json!({ "applicationSetName": name, "input": input });
    let answer = post(&url, token.trim(), &body, Duration::from_secs(timeout)).await?;
    let sets = object::get(&answer, &["output", "parameters"]);
    let sets = sets.and_then(Value::as_array).ok_or("the plugin's answer holds no output.parameters")?;
    if sets.len() > MAX_ENTRIES {
        return Err(format!("the plugin answers with more than {MAX_ENTRIES} sets"));
    }
    Ok(sets.clone())
}
