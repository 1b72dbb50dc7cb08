//! Security contexts of Pods and containers.

use std::collections::BTreeSet;

use object::Value;

use super::super::at::{At, Errors};
use super::super::names;
use super::volumes::descending;

fn id(own: &At<'_>, errors: &mut Errors) {
    if own.some() {
        own.within(0, i64::from(i32::MAX), errors);
    }
}

/// The context of a container.
pub(super) fn of_container(own: &At<'_>, host_users: bool, errors: &mut Errors) {
    if !own.some() {
        return;
    }
    id(&own.get("runAsUser"), errors);
    id(&own.get("runAsGroup"), errors);
    let mount = own.get("procMount");
    mount.may_be_one_of(&["Default", "Unmasked"], errors);
    if host_users && mount.text() == "Unmasked" {
        mount.invalid("`hostUsers` must be false to use `Unmasked`", errors);
    }
    seccomp(&own.get("seccompProfile"), errors);
    if own.get("allowPrivilegeEscalation").value == &Value::Bool(false) {
        let shown = super::super::internal::shown("SecurityContext", own.value);
        let mut refuse = |why: &str| {
            errors.push(crate::FieldError::invalid_shown(&own.path, &shown, why));
        };
        if own.get("privileged").yes() {
            refuse("cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
        }
        for _ in own.get("capabilities").get("add").texts().iter().filter(|name| **name == "CAP_SYS_ADMIN") {
            refuse("cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
        }
    }
    windows(&own.get("windowsOptions"), errors);
    app_armor(&own.get("appArmorProfile"), errors);
}

/// The context of a Pod.
pub(super) fn of_pod(spec: &At<'_>, errors: &mut Errors) {
    let own = spec.get("securityContext");
    id(&own.get("fsGroup"), errors);
    id(&own.get("runAsUser"), errors);
    id(&own.get("runAsGroup"), errors);
    own.get("supplementalGroups").items().for_each(|group| id(&group, errors));
    if spec.get("shareProcessNamespace").yes() && spec.get("hostPID").yes() {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        own.get("shareProcessNamespace").invalid_as(true, detail, errors);
    }
    sysctls(spec, &own.get("sysctls"), errors);
    own.get("fsGroupChangePolicy").may_be_one_of(&["Always", "OnRootMismatch"], errors);
    seccomp(&own.get("seccompProfile"), errors);
    windows(&own.get("windowsOptions"), errors);
    app_armor(&own.get("appArmorProfile"), errors);
    own.get("supplementalGroupsPolicy").may_be_one_of(&["Merge", "Strict"], errors);
    own.get("seLinuxChangePolicy").may_be_one_of(&["MountOption", "Recursive"], errors);
}

fn sysctls(spec: &At<'_>, list: &At<'_>, errors: &mut Errors) {
    let segment = |part: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        edge(part.chars().next()) && edge(part.chars().next_back()) && part.chars().all(word)
    };
    let mut seen = BTreeSet::new();
    for entry in list.items() {
        let name = entry.get("name");
        let text = name.text();
        if text.is_empty() {
            name.required(errors);
        } else if text.len() > 253 || !text.split(['.', '/']).all(segment) {
            name.invalid("must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$", errors);
        } else if seen.contains(text) {
            name.duplicate(text, errors);
        }
        let dotted = text.replace('/', ".");
        if spec.get("hostNetwork").yes() && dotted.starts_with("net.") {
            name.invalid("may not be specified when 'hostNetwork' is true", errors);
        }
        let shared = ["kernel.shm_rmid_forced", "kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."];
        if spec.get("hostIPC").yes() && shared.iter().any(|prefix| dotted.starts_with(prefix)) {
            name.invalid("may not be specified when 'hostIPC' is true", errors);
        }
        seen.insert(text);
    }
}

fn seccomp(own: &At<'_>, errors: &mut Errors) {
    if !own.some() {
        return;
    }
    let (kind, profile) = (own.get("type"), own.get("localhostProfile"));
    match kind.text() {
        "" => kind.required_because("type is required when seccompProfile is set", errors),
        _ => kind.one_of(&["Localhost", "RuntimeDefault", "Unconfined"], errors),
    }
    if kind.text() == "Localhost" {
        if profile.some() {
            descending(&profile, errors);
        } else {
            profile.required_because("must be set when seccomp type is Localhost", errors);
        }
    } else if profile.some() {
        let shown = super::super::internal::shown("SeccompProfile", own.value);
        let detail = "can only be set when seccomp type is Localhost";
        errors.push(crate::FieldError::invalid_shown(&profile.path, &shown, detail));
    }
}

fn app_armor(own: &At<'_>, errors: &mut Errors) {
    const NEEDED: &str = "must be set when AppArmor type is Localhost";
    if !own.some() {
        return;
    }
    let (kind, profile) = (own.get("type"), own.get("localhostProfile"));
    match kind.text() {
        "Localhost" => {
            if !profile.some() {
                profile.required_because(NEEDED, errors);
                return;
            }
            let text = profile.text();
            if text.trim() != text {
                profile.invalid("must not be padded with whitespace", errors);
            } else if text.is_empty() {
                profile.required_because(NEEDED, errors);
            }
            if text.len() > 4095 {
                errors.push(crate::FieldError::too_long(&profile.path, 4095));
            }
        }
        "RuntimeDefault" | "Unconfined" => {
            if profile.some() {
                profile.invalid("can only be set when AppArmor type is Localhost", errors);
            }
        }
        "" => kind.required_because("type is required when appArmorProfile is set", errors),
        _ => kind.one_of(&["Localhost", "RuntimeDefault", "Unconfined"], errors),
    }
}

fn windows(own: &At<'_>, errors: &mut Errors) {
    let (name, credential) = (own.get("gmsaCredentialSpecName"), own.get("gmsaCredentialSpec"));
    if name.some() {
        name.subdomain(errors);
    }
    if credential.some() {
        match credential.text().len() {
            0 => credential.invalid("gmsaCredentialSpec cannot be an empty string", errors),
            65537.. => credential.invalid("gmsaCredentialSpec size must be under 64 KiB", errors),
            _ => {}
        }
    }
    if own.get("runAsUserName").some() {
        windows_user(&own.get("runAsUserName"), errors);
    }
}

fn windows_user(own: &At<'_>, errors: &mut Errors) {
    let text = own.text();
    let parts: Vec<&str> = text.split('\\').collect();
    let (domain, user) = match parts.as_slice() {
        _ if text.is_empty() => return own.invalid("runAsUserName cannot be an empty string", errors),
        _ if text.chars().any(char::is_control) => {
            return own.invalid("runAsUserName cannot contain control characters", errors);
        }
        [user] => (None, *user),
        [domain, user] => (Some(*domain), *user),
        _ => return own.invalid("runAsUserName cannot contain more than one backslash", errors),
    };
    if let Some(domain) = domain {
        if domain.len() >= 256 {
            own.invalid("runAsUserName's Domain length must be under 256 characters", errors);
        }
        let bios = (1..=15).contains(&domain.chars().count())
            && !domain.starts_with('.')
            && !domain.contains(['\\', '/', ':', '*', '?', '"', '<', '>', '|']);
        if !bios && !names::dns_subdomains(&domain.to_lowercase()).is_empty() {
            own.invalid("runAsUserName's Domain doesn't match the NetBios nor the DNS format", errors);
        }
    }
    match user.len() {
        0 => own.invalid("runAsUserName's User cannot be empty", errors),
        105.. => own.invalid("runAsUserName's User length must not be longer than 104 characters", errors),
        _ => {}
    }
    if !user.is_empty() && user.chars().all(|c| matches!(c, '.' | ' ')) {
        own.invalid("runAsUserName's User cannot contain only periods or spaces", errors);
    }
    if user.contains(['"', '/', '\\', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@', '[', ']']) {
        let detail = "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]";
        own.invalid(detail, errors);
    }
}
