//! One comment on a change request, kept up to date.

use object::Value;
use serde_json::json;

use super::event::Event;
use super::provider::{Call, Target};
use super::{commit, payload};
use crate::common::str_at;

/// Does the type write comments?
pub(super) fn is_for(kind: &str) -> bool {
    matches!(kind, "githubpullrequestcomment" | "gitlabmergerequestcomment" | "giteapullrequestcomment")
}

/// Writes or renews the comment of this object on the change request that the event's metadata names.
pub(super) async fn post(target: &Target, event: &Event) -> Result<(), String> {
    if event.reason == "Progressing" {
        return Ok(());
    }
    let number = event.metadata.get("change_request").ok_or("missing change_request metadata")?;
    if number.is_empty() || !number.chars().all(|digit| digit.is_ascii_digit()) {
        return Err("change_request is no number".into());
    }
    if target.token.is_empty() {
        return Err("the token cannot be empty".into());
    }
    let mark = format!("<!-- flux: {} -->", target.status);
    let text = json!({"body": format!("{mark}\n{}", payload::markdown(event))});
    let (list, edit_with, edit): (String, reqwest::Method, String) = match target.kind.as_str() {
        "gitlabmergerequestcomment" => {
            let api = commit::gitlab_api(&target.address)?;
            let list = format!("{}/projects/{}/merge_requests/{number}/notes", api.base, api.id);
            (list.clone(), reqwest::Method::PUT, list)
        }
        kind => {
            let api = match kind {
                "githubpullrequestcomment" => commit::github_api(&target.address)?,
                _ => commit::gitea_api(&target.address)?,
            };
            let issues = format!("{}/repos/{}/issues", api.base, api.id);
            (format!("{issues}/{number}/comments"), reqwest::Method::PATCH, format!("{issues}/comments"))
        }
    };
    let call = |call: Call| match target.kind.as_str() {
        "gitlabmergerequestcomment" => call.header("PRIVATE-TOKEN", target.token.clone()),
        "giteapullrequestcomment" => call.header("Authorization", format!("token {}", target.token)),
        _ => call.bearer(&target.token),
    };
    let known = target.post(call(Call::get(format!("{list}?per_page=100")))).await?.json();
    let own = known.as_array().into_iter().flatten().find(|note| str_at(note, &["body"]).starts_with(&mark));
    match own.and_then(|own| own.get("id")).and_then(Value::as_i64) {
        Some(id) => target.post(call(Call::json(format!("{edit}/{id}"), &text).method(edit_with))).await,
        None => target.post(call(Call::json(list, &text))).await,
    }
    .map(|_| ())
}
