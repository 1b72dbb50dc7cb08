//! The addresses at which objects answer people: `status.summary.externalURLs`. Pure.

use delivery::fields::{list_at, str_at, strings_at};
use object::{Value, get, meta};

/// An annotation that gives an address; what follows is its name.
const LINK: &str = "link.argocd.argoproj.io/";
/// Says that the rules of an Ingress give none.
const NO_DEFAULTS: &str = "argocd.argoproj.io/ignore-default-links";

/// The addresses of a live object: what annotations give, and the rules of an Ingress.
pub fn of(live: &Value) -> Vec<String> {
    let annotations = get(live, &["metadata", "annotations"]).and_then(Value::as_object);
    let given = annotations.into_iter().flatten().filter(|(name, _)| name.starts_with(LINK));
    let given = given.filter_map(|(_, value)| value.as_str()).filter(|value| is_safe(value));
    let mut found: Vec<String> = given.map(str::to_owned).collect();
    let ingress = meta::kind(live) == "Ingress"
        && matches!(meta::api_version(live).split('/').next(), Some("networking.k8s.io" | "extensions"));
    if ingress && meta::annotation(live, NO_DEFAULTS) != Some("true") {
        found.extend(rules(live));
    }
    found
}

/// A title may stand in front of an address, and pages make links of it: nothing in it may run.
fn is_safe(value: &str) -> bool {
    let address = value.split_once('|').map_or(value, |(_, address)| address).trim().to_lowercase();
    !["javascript:", "data:", "vbscript:"].iter().any(|scheme| address.starts_with(scheme))
}

fn rules(ingress: &Value) -> Vec<String> {
    let balancers = list_at(ingress, &["status", "loadBalancer", "ingress"]);
    let answering = balancers.iter().find_map(|one| {
        ["hostname", "ip"].iter().map(|field| str_at(one, &[field])).find(|host| !host.is_empty())
    });
    let mut found = Vec::new();
    for rule in list_at(ingress, &["spec", "rules"]) {
        let host = match str_at(rule, &["host"]) {
            "" => answering.unwrap_or_default(),
            host => host,
        };
        if host.is_empty() {
            continue;
        }
        let secured = list_at(ingress, &["spec", "tls"]).iter().any(|tls| {
            get(tls, &["secretName"]).is_some() || strings_at(tls, &["hosts"]).iter().any(|one| one == host)
        });
        let scheme = if secured { "https" } else { "http" };
        for path in list_at(rule, &["http", "paths"]) {
            let path = str_at(path, &["path"]);
            found.push(format!("{scheme}://{host}{}", path.strip_suffix('*').unwrap_or(path)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rules_and_annotations_give_addresses() {
        let ingress = |spec: Value, annotations: Value| {
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                "metadata": {"name": "a", "annotations": annotations}, "spec": spec,
                "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}})
        };
        let rules = json!([
            {"host": "a.example.com", "http": {"paths": [{"path": "/"}, {"path": "/api/*"}]}},
            {"http": {"paths": [{}]}},
        ]);
        let plain = of(&ingress(json!({"rules": rules}), json!({})));
        assert_eq!(plain, ["http://a.example.com/", "http://a.example.com/api/", "http://192.0.2.7"]);
        let tls = json!([{"hosts": ["a.example.com"]}]);
        let secured = of(&ingress(json!({"rules": rules, "tls": tls}), json!({})));
        assert_eq!(secured.first().map(String::as_str), Some("https://a.example.com/"));
        let said = json!({
            "link.argocd.argoproj.io/external-link": "Home | https://home.example.com",
            "argocd.argoproj.io/ignore-default-links": "true",
        });
        assert_eq!(of(&ingress(json!({"rules": rules}), said)), ["Home | https://home.example.com"]);
        assert!(of(&json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}})).is_empty());
    }
}
