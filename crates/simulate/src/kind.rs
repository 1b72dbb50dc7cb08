//! The kinds that are kept whole, and where the API serves them.

/// A built-in kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Kind {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) namespaced: bool,
}

macro_rules! kinds {
    ($($name:ident = $group:literal, $version:literal, $kind:literal, $plural:literal, $namespaced:literal;)*) => {
        $(
            #[doc = concat!("`", $kind, "`.")]
            pub(crate) const $name: Kind =
                Kind { group: $group, version: $version, kind: $kind, plural: $plural, namespaced: $namespaced };
        )*
        /// All of them.
        const ALL: &[Kind] = &[$($name),*];
    };
}

kinds! {
    DEPLOYMENT = "apps", "v1", "Deployment", "deployments", true;
    REPLICA_SET = "apps", "v1", "ReplicaSet", "replicasets", true;
    REPLICATION_CONTROLLER = "", "v1", "ReplicationController", "replicationcontrollers", true;
    STATEFUL_SET = "apps", "v1", "StatefulSet", "statefulsets", true;
    DAEMON_SET = "apps", "v1", "DaemonSet", "daemonsets", true;
    CONTROLLER_REVISION = "apps", "v1", "ControllerRevision", "controllerrevisions", true;
    JOB = "batch", "v1", "Job", "jobs", true;
    CRON_JOB = "batch", "v1", "CronJob", "cronjobs", true;
    POD = "", "v1", "Pod", "pods", true;
    NODE = "", "v1", "Node", "nodes", false;
    CLAIM = "", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", true;
    VOLUME = "", "v1", "PersistentVolume", "persistentvolumes", false;
    STORAGE_CLASS = "storage.k8s.io", "v1", "StorageClass", "storageclasses", false;
    SERVICE = "", "v1", "Service", "services", true;
    ENDPOINTS = "", "v1", "Endpoints", "endpoints", true;
    ENDPOINT_SLICE = "discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", true;
    INGRESS = "networking.k8s.io", "v1", "Ingress", "ingresses", true;
    NAMESPACE = "", "v1", "Namespace", "namespaces", false;
    SERVICE_ACCOUNT = "", "v1", "ServiceAccount", "serviceaccounts", true;
    API_SERVICE = "apiregistration.k8s.io", "v1", "APIService", "apiservices", false;
    AUTOSCALER = "autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true;
    BUDGET = "policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", true;
    QUOTA = "", "v1", "ResourceQuota", "resourcequotas", true;
}

/// `kube-root-ca.crt` is written, never kept.
pub(crate) const CONFIG_MAP: Kind =
    Kind { group: "", version: "v1", kind: "ConfigMap", plural: "configmaps", namespaced: true };

/// What happened to an object, for people; written, never kept.
pub(crate) const EVENT: Kind =
    Kind { group: "", version: "v1", kind: "Event", plural: "events", namespaced: true };

impl Kind {
    /// The kept kind of this group and name.
    pub(crate) fn of(group: &str, kind: &str) -> Option<Kind> {
        ALL.iter().find(|own| own.kind == kind && own.group == group).copied()
    }

    /// `apps/v1` or `v1`.
    pub(crate) fn api_version(self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The path of the collection or, with a name, of one object.
    pub(crate) fn path(self, namespace: &str, name: &str) -> String {
        path(self.group, self.version, self.plural, if self.namespaced { namespace } else { "" }, name)
    }
}

/// The path of any resource.
pub(crate) fn path(group: &str, version: &str, plural: &str, namespace: &str, name: &str) -> String {
    let mut path =
        if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    if !namespace.is_empty() {
        path.push_str("/namespaces/");
        path.push_str(namespace);
    }
    path.push('/');
    path.push_str(plural);
    if !name.is_empty() {
        path.push('/');
        path.push_str(name);
    }
    path
}
