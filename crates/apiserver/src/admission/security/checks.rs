//! What the pod security standards look at, field by field, in the order in which violations are told.

use std::collections::BTreeSet;

use object::{get, get_bool, get_i64, get_str};
use serde_json::Value;

/// One thing that a standard does not allow.
pub struct Violation {
    /// In a few words.
    pub reason: String,
    /// Where, and what would be allowed.
    pub detail: String,
}

type Check = fn(&Value, u32) -> Option<Violation>;

/// The newest minor version that the standards know.
const NEWEST: u32 = 34;
/// From this version on, pods for Windows need not say what only Linux understands.
const KNOWS_WINDOWS: u32 = 25;

/// With the version that each came with.
const BASELINE: &[(u32, Check)] = &[
    (0, app_armor),
    (0, added_capabilities),
    (0, host_namespaces),
    (0, host_path),
    (0, host_ports),
    (34, probe_hosts),
    (0, privileged),
    (0, proc_mount),
    (0, se_linux),
    (0, seccomp_baseline),
    (0, sysctls),
    (0, windows_host_process),
];

const RESTRICTED: &[(u32, Check)] = &[
    (8, privilege_escalation),
    (22, dropped_capabilities),
    (0, volumes),
    (0, non_root),
    (23, run_as_user),
    (19, seccomp_restricted),
];

/// Violations of the baseline standard.
pub fn baseline(pod: &Value, minor: Option<u32>) -> Vec<Violation> {
    run(BASELINE, pod, minor.unwrap_or(NEWEST), |_| false)
}

/// Violations of the restricted standard: the baseline's first, but for those that its own say more strictly.
pub fn restricted(pod: &Value, minor: Option<u32>) -> Vec<Violation> {
    let minor = minor.unwrap_or(NEWEST);
    let stricter: &[(u32, Check)] = &[(22, added_capabilities), (0, host_path), (19, seccomp_baseline)];
    let mut all = run(BASELINE, pod, minor, |check| {
        stricter.iter().any(|(since, own)| *since <= minor && std::ptr::fn_addr_eq(*own, check))
    });
    all.extend(run(RESTRICTED, pod, minor, |_| false));
    all
}

fn run(checks: &[(u32, Check)], pod: &Value, minor: u32, skips: impl Fn(Check) -> bool) -> Vec<Violation> {
    let minor = minor.min(NEWEST);
    checks
        .iter()
        .filter(|(since, check)| *since <= minor && !skips(*check))
        .filter_map(|(_, check)| check(pod, minor))
        .collect()
}

/// All containers, in the order in which they start.
pub fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(move |field| get(pod, &["spec", field]).and_then(Value::as_array).into_iter().flatten())
}

fn name(container: &Value) -> String {
    get_str(container, &["name"]).unwrap_or_default().to_owned()
}

fn list<'a>(value: &'a Value, path: &[&str]) -> &'a [Value] {
    get(value, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn plural<'a>(one: &'a str, many: &'a str, count: usize) -> &'a str {
    if count == 1 { one } else { many }
}

fn quoted<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let all: Vec<String> = items.into_iter().map(|item| format!("\"{}\"", item.as_ref())).collect();
    all.join(", ")
}

/// `container "a"` or `containers "a", "b"`.
fn named(names: &[String]) -> String {
    format!("{} {}", plural("container", "containers", names.len()), quoted(names))
}

fn violation(reason: &str, detail: String) -> Option<Violation> {
    Some(Violation { reason: reason.to_owned(), detail })
}

/// The containers of which something is true.
fn those(pod: &Value, mut wrong: impl FnMut(&Value) -> bool) -> Vec<String> {
    containers(pod).filter(|own| wrong(own)).map(name).collect()
}

/// The pod and its containers, as far as their security contexts are wrong: `pod and container "a"`.
fn setters(pod: &Value, mut wrong: impl FnMut(&Value) -> bool) -> Option<String> {
    let mut all = Vec::new();
    if get(pod, &["spec", "securityContext"]).is_some_and(&mut wrong) {
        all.push("pod".to_owned());
    }
    let bad = those(pod, |own| get(own, &["securityContext"]).is_some_and(&mut wrong));
    if !bad.is_empty() {
        all.push(named(&bad));
    }
    (!all.is_empty()).then(|| all.join(" and "))
}

fn is_windows(pod: &Value) -> bool {
    get_str(pod, &["spec", "os", "name"]) == Some("windows")
}

fn annotations(pod: &Value) -> impl Iterator<Item = (&str, &str)> {
    let map = get(pod, &["metadata", "annotations"]).and_then(Value::as_object);
    map.into_iter().flatten().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

fn app_armor(pod: &Value, _: u32) -> Option<Violation> {
    const ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";
    let mut bad = BTreeSet::new();
    let by_fields = setters(pod, |context| match get_str(context, &["appArmorProfile", "type"]) {
        None | Some("RuntimeDefault" | "Localhost") => false,
        Some(other) => {
            bad.insert(other.to_owned());
            true
        }
    });
    let allowed =
        |value: &str| value.is_empty() || value == "runtime/default" || value.starts_with("localhost/");
    let marked: Vec<String> = annotations(pod)
        .filter(|(key, value)| key.starts_with(ANNOTATION) && !allowed(value))
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect();
    let mut who: Vec<String> = by_fields.into_iter().collect();
    if !marked.is_empty() {
        who.push(plural("annotation", "annotations", marked.len()).to_owned());
    }
    if who.is_empty() {
        return None;
    }
    let values: Vec<String> = bad.into_iter().chain(marked).collect();
    let reason = plural("forbidden AppArmor profile", "forbidden AppArmor profiles", values.len());
    let detail = format!("{} must not set AppArmor profile type to {}", who.join(" and "), quoted(&values));
    violation(reason, detail)
}

const DEFAULT_CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// The containers that add a capability which is not among the allowed ones, and those capabilities.
fn adding(pod: &Value, allowed: &[&str]) -> (Vec<String>, BTreeSet<String>) {
    let mut found = BTreeSet::new();
    let bad = those(pod, |own| {
        let added = list(own, &["securityContext", "capabilities", "add"]).iter().filter_map(Value::as_str);
        let before =
            added.filter(|one| !allowed.contains(one)).map(|one| found.insert(one.to_owned())).count();
        before > 0
    });
    (bad, found)
}

fn added_capabilities(pod: &Value, _: u32) -> Option<Violation> {
    let (bad, found) = adding(pod, DEFAULT_CAPABILITIES);
    let said =
        || format!("{} must not include {} in securityContext.capabilities.add", named(&bad), quoted(&found));
    if bad.is_empty() { None } else { violation("non-default capabilities", said()) }
}

fn host_namespaces(pod: &Value, _: u32) -> Option<Violation> {
    let set: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .into_iter()
        .filter(|field| get_bool(pod, &["spec", field]) == Some(true))
        .map(|field| format!("{field}=true"))
        .collect();
    if set.is_empty() { None } else { violation("host namespaces", set.join(", ")) }
}

fn host_path(pod: &Value, _: u32) -> Option<Violation> {
    let bad: Vec<String> = list(pod, &["spec", "volumes"])
        .iter()
        .filter(|volume| get(volume, &["hostPath"]).is_some_and(Value::is_object))
        .map(name)
        .collect();
    if bad.is_empty() {
        return None;
    }
    violation("hostPath volumes", format!("{} {}", plural("volume", "volumes", bad.len()), quoted(&bad)))
}

fn host_ports(pod: &Value, _: u32) -> Option<Violation> {
    let mut ports = BTreeSet::new();
    let bad = those(pod, |own| {
        let used: Vec<i64> = list(own, &["ports"])
            .iter()
            .filter_map(|p| get_i64(p, &["hostPort"]))
            .filter(|p| *p != 0)
            .collect();
        ports.extend(used.iter().map(i64::to_string));
        !used.is_empty()
    });
    if bad.is_empty() {
        return None;
    }
    let shown: Vec<String> = ports.iter().cloned().collect();
    let detail = format!(
        "{} {} {} {}",
        named(&bad),
        plural("uses", "use", bad.len()),
        plural("hostPort", "hostPorts", shown.len()),
        shown.join(", ")
    );
    violation("hostPort", detail)
}

fn probe_hosts(pod: &Value, _: u32) -> Option<Violation> {
    const HANDLERS: &[&[&str]] = &[
        &["livenessProbe"],
        &["readinessProbe"],
        &["startupProbe"],
        &["lifecycle", "postStart"],
        &["lifecycle", "preStop"],
    ];
    let mut hosts = BTreeSet::new();
    let bad: BTreeSet<String> = those(pod, |own| {
        let found: Vec<String> = HANDLERS
            .iter()
            .filter_map(|path| get(own, path))
            .flat_map(|handler| ["httpGet", "tcpSocket"].map(|kind| get_str(handler, &[kind, "host"])))
            .flatten()
            .filter(|host| !host.is_empty())
            .map(str::to_owned)
            .collect();
        let any = !found.is_empty();
        hosts.extend(found);
        any
    })
    .into_iter()
    .collect();
    if bad.is_empty() {
        return None;
    }
    let bad: Vec<String> = bad.into_iter().collect();
    let detail = format!(
        "{} {} {} {}",
        named(&bad),
        plural("uses", "use", bad.len()),
        plural("probe or lifecycle host", "probe or lifecycle hosts", hosts.len()),
        quoted(&hosts)
    );
    violation("probe or lifecycle host", detail)
}

fn privileged(pod: &Value, _: u32) -> Option<Violation> {
    let bad = those(pod, |own| get_bool(own, &["securityContext", "privileged"]) == Some(true));
    if bad.is_empty() {
        return None;
    }
    violation("privileged", format!("{} must not set securityContext.privileged=true", named(&bad)))
}

fn proc_mount(pod: &Value, _: u32) -> Option<Violation> {
    let mut found = BTreeSet::new();
    let bad = those(pod, |own| match get_str(own, &["securityContext", "procMount"]) {
        None | Some("Default") => false,
        Some(other) => {
            found.insert(other.to_owned());
            true
        }
    });
    let said = || format!("{} must not set securityContext.procMount to {}", named(&bad), quoted(&found));
    if bad.is_empty() { None } else { violation("procMount", said()) }
}

fn se_linux(pod: &Value, minor: u32) -> Option<Violation> {
    let (mut types, mut user, mut role) = (BTreeSet::new(), false, false);
    let who = setters(pod, |context| {
        let text = |field: &str| get_str(context, &["seLinuxOptions", field]).unwrap_or_default();
        let kind = text("type");
        let fits = matches!(kind, "" | "container_t" | "container_init_t" | "container_kvm_t")
            || minor >= 31 && kind == "container_engine_t";
        if !fits {
            types.insert(kind.to_owned());
        }
        user |= !text("user").is_empty();
        role |= !text("role").is_empty();
        !fits || !text("user").is_empty() || !text("role").is_empty()
    })?;
    let mut what = Vec::new();
    if !types.is_empty() {
        what.push(format!("{} {}", plural("type", "types", types.len()), quoted(&types)));
    }
    if user {
        what.push("user may not be set".to_owned());
    }
    if role {
        what.push("role may not be set".to_owned());
    }
    violation(
        "seLinuxOptions",
        format!("{who} set forbidden securityContext.seLinuxOptions: {}", what.join("; ")),
    )
}

fn seccomp_type(context: &Value) -> Option<&str> {
    get(context, &["seccompProfile"])
        .filter(|own| own.is_object())
        .map(|own| get_str(own, &["type"]).unwrap_or_default())
}

fn seccomp_allowed(kind: &str) -> bool {
    matches!(kind, "RuntimeDefault" | "Localhost")
}

/// Those that name a profile which is not allowed.
fn seccomp_named(pod: &Value) -> Option<Violation> {
    let mut found = BTreeSet::new();
    let who = setters(pod, |context| match seccomp_type(context).filter(|kind| !seccomp_allowed(kind)) {
        None => false,
        Some(kind) => {
            found.insert(kind.to_owned());
            true
        }
    })?;
    let detail = format!("{who} must not set securityContext.seccompProfile.type to {}", quoted(&found));
    violation("seccompProfile", detail)
}

fn seccomp_baseline(pod: &Value, minor: u32) -> Option<Violation> {
    if minor >= 19 {
        return seccomp_named(pod);
    }
    const POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
    const CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
    let names: Vec<String> = containers(pod).map(name).collect();
    let allowed = |value: &str| {
        matches!(value, "runtime/default" | "docker/default") || value.starts_with("localhost/")
    };
    let bad: BTreeSet<String> = annotations(pod)
        .filter(|(key, value)| {
            let meant = *key == POD
                || key.strip_prefix(CONTAINER).is_some_and(|name| names.iter().any(|own| own == name));
            meant && !allowed(value)
        })
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect();
    if bad.is_empty() {
        return None;
    }
    let shown: Vec<String> = bad.iter().cloned().collect();
    let word = plural("annotation", "annotations", shown.len());
    violation("seccompProfile", format!("forbidden {word} {}", shown.join(", ")))
}

fn seccomp_restricted(pod: &Value, minor: u32) -> Option<Violation> {
    if minor >= KNOWS_WINDOWS && is_windows(pod) {
        return None;
    }
    if let Some(named) = seccomp_named(pod) {
        return Some(named);
    }
    if get(pod, &["spec", "securityContext"]).and_then(seccomp_type).is_some() {
        return None;
    }
    let bad = those(pod, |own| get(own, &["securityContext"]).and_then(seccomp_type).is_none());
    if bad.is_empty() {
        return None;
    }
    let detail = format!(
        "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
        named(&bad)
    );
    violation("seccompProfile", detail)
}

/// Those that are allowed, and since when.
const SYSCTLS: &[(u32, &str)] = &[
    (0, "kernel.shm_rmid_forced"),
    (0, "net.ipv4.ip_local_port_range"),
    (0, "net.ipv4.tcp_syncookies"),
    (0, "net.ipv4.ping_group_range"),
    (0, "net.ipv4.ip_unprivileged_port_start"),
    (27, "net.ipv4.ip_local_reserved_ports"),
    (29, "net.ipv4.tcp_keepalive_time"),
    (29, "net.ipv4.tcp_fin_timeout"),
    (29, "net.ipv4.tcp_keepalive_intvl"),
    (29, "net.ipv4.tcp_keepalive_probes"),
    (32, "net.ipv4.tcp_rmem"),
    (32, "net.ipv4.tcp_wmem"),
];

fn sysctls(pod: &Value, minor: u32) -> Option<Violation> {
    let allowed = |name: &str| SYSCTLS.iter().any(|(since, own)| *since <= minor && *own == name);
    let bad: Vec<String> = list(pod, &["spec", "securityContext", "sysctls"])
        .iter()
        .map(name)
        .filter(|name| !allowed(name))
        .collect();
    if bad.is_empty() { None } else { violation("forbidden sysctls", bad.join(", ")) }
}

fn windows_host_process(pod: &Value, _: u32) -> Option<Violation> {
    let who = setters(pod, |context| get_bool(context, &["windowsOptions", "hostProcess"]) == Some(true))?;
    violation("hostProcess", format!("{who} must not set securityContext.windowsOptions.hostProcess=true"))
}

fn privilege_escalation(pod: &Value, minor: u32) -> Option<Violation> {
    if minor >= KNOWS_WINDOWS && is_windows(pod) {
        return None;
    }
    let bad =
        those(pod, |own| get_bool(own, &["securityContext", "allowPrivilegeEscalation"]) != Some(false));
    if bad.is_empty() {
        return None;
    }
    let detail = format!("{} must set securityContext.allowPrivilegeEscalation=false", named(&bad));
    violation("allowPrivilegeEscalation != false", detail)
}

fn dropped_capabilities(pod: &Value, minor: u32) -> Option<Violation> {
    if minor >= KNOWS_WINDOWS && is_windows(pod) {
        return None;
    }
    let keeping = those(pod, |own| {
        !list(own, &["securityContext", "capabilities", "drop"]).iter().any(|one| one == "ALL")
    });
    let (adding, found) = adding(pod, &["NET_BIND_SERVICE"]);
    let mut details = Vec::new();
    if !keeping.is_empty() {
        details.push(format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", named(&keeping)));
    }
    if !adding.is_empty() {
        details.push(format!(
            "{} must not include {} in securityContext.capabilities.add",
            named(&adding),
            quoted(&found)
        ));
    }
    if details.is_empty() { None } else { violation("unrestricted capabilities", details.join("; ")) }
}

fn volumes(pod: &Value, _: u32) -> Option<Violation> {
    const ALLOWED: &[&str] = &[
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    let sources = |volume: &Value| -> Vec<String> {
        let map = volume.as_object();
        let set = map.into_iter().flatten().filter(|(key, value)| *key != "name" && value.is_object());
        set.map(|(key, _)| key.clone()).collect()
    };
    let mut kinds = BTreeSet::new();
    let mut bad = Vec::new();
    for volume in list(pod, &["spec", "volumes"]) {
        let sources = sources(volume);
        if sources.iter().any(|kind| ALLOWED.contains(&kind.as_str())) {
            continue;
        }
        bad.push(name(volume));
        kinds.insert(sources.into_iter().next().unwrap_or_else(|| "unknown".to_owned()));
    }
    if bad.is_empty() {
        return None;
    }
    let detail = format!(
        "{} {} {} {} {}",
        plural("volume", "volumes", bad.len()),
        quoted(&bad),
        plural("uses", "use", bad.len()),
        plural("restricted volume type", "restricted volume types", kinds.len()),
        quoted(&kinds)
    );
    violation("restricted volume types", detail)
}

fn non_root(pod: &Value, _: u32) -> Option<Violation> {
    const REASON: &str = "runAsNonRoot != true";
    let said = |context: &Value| get_bool(context, &["runAsNonRoot"]);
    if let Some(who) = setters(pod, |context| said(context) == Some(false)) {
        return violation(REASON, format!("{who} must not set securityContext.runAsNonRoot=false"));
    }
    if get(pod, &["spec", "securityContext"]).and_then(said) == Some(true) {
        return None;
    }
    let bad = those(pod, |own| get(own, &["securityContext"]).and_then(said).is_none());
    if bad.is_empty() {
        return None;
    }
    violation(REASON, format!("pod or {} must set securityContext.runAsNonRoot=true", named(&bad)))
}

fn run_as_user(pod: &Value, _: u32) -> Option<Violation> {
    let who = setters(pod, |context| get_i64(context, &["runAsUser"]) == Some(0))?;
    violation("runAsUser=0", format!("{who} must not set runAsUser=0"))
}
