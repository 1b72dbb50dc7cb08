//! Argo CD's names: kinds, annotations, labels, finalizers.

use object::{Gvk, Key};

/// The API group.
pub const GROUP: &str = "argoproj.io";
/// Its version.
pub const VERSION: &str = "v1alpha1";
/// The kind Application.
pub const APPLICATION: &str = "Application";
/// The kind ApplicationSet.
pub const APPLICATION_SET: &str = "ApplicationSet";
/// The kind AppProject.
pub const APP_PROJECT: &str = "AppProject";

/// The field manager of applied objects and of statuses.
pub const MANAGER: &str = "argocd-controller";

/// Whose an object is: `<application>:<group>/<kind>:<namespace>/<name>`.
pub const TRACKING_ID: &str = "argocd.argoproj.io/tracking-id";
/// The installation that tracks it, when there are several.
pub const INSTALLATION_ID: &str = "argocd.argoproj.io/installation-id";
/// The default label of an object's application.
pub const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";

/// Asks for a look at an Application: `normal` or `hard`.
pub const REFRESH: &str = "argocd.argoproj.io/refresh";
/// Asks for hydrating an Application anew.
pub const HYDRATE: &str = "argocd.argoproj.io/hydrate";
/// Asks for a look at an ApplicationSet.
pub const SET_REFRESH: &str = "argocd.argoproj.io/application-set-refresh";
/// Keeps the controller away from an Application.
pub const SKIP_RECONCILE: &str = "argocd.argoproj.io/skip-reconcile";
/// The paths of a repository that an Application reads.
pub const MANIFEST_GENERATE_PATHS: &str = "argocd.argoproj.io/manifest-generate-paths";
/// When somebody agreed to deletions that ask for it.
pub const DELETION_APPROVED: &str = "argocd.argoproj.io/deletion-approved";

/// The wave of an object.
pub const SYNC_WAVE: &str = "argocd.argoproj.io/sync-wave";
/// The phases of a hook.
pub const HOOK: &str = "argocd.argoproj.io/hook";
/// When a hook is deleted.
pub const HOOK_DELETE_POLICY: &str = "argocd.argoproj.io/hook-delete-policy";
/// Keeps a hook until its result was seen.
pub const HOOK_FINALIZER: &str = "argocd.argoproj.io/hook-finalizer";
/// Options of one object.
pub const SYNC_OPTIONS: &str = "argocd.argoproj.io/sync-options";
/// Options of the comparison of one object.
pub const COMPARE_OPTIONS: &str = "argocd.argoproj.io/compare-options";
/// The object does not count for its application's health.
pub const IGNORE_HEALTHCHECK: &str = "argocd.argoproj.io/ignore-healthcheck";

/// Helm's hook types.
pub const HELM_HOOK: &str = "helm.sh/hook";
/// Helm's order of hooks.
pub const HELM_HOOK_WEIGHT: &str = "helm.sh/hook-weight";
/// When Helm deletes a hook.
pub const HELM_HOOK_DELETE_POLICY: &str = "helm.sh/hook-delete-policy";
/// `keep` lets an object survive.
pub const HELM_RESOURCE_POLICY: &str = "helm.sh/resource-policy";

/// Deleting the Application deletes its objects, foreground.
pub const FINALIZER: &str = "resources-finalizer.argocd.argoproj.io";
/// The same, in its newer spelling.
pub const FINALIZER_FOREGROUND: &str = "resources-finalizer.argocd.argoproj.io/foreground";
/// Deleting the Application deletes its objects, in the background.
pub const FINALIZER_BACKGROUND: &str = "resources-finalizer.argocd.argoproj.io/background";
/// Hooks run before the objects go.
pub const PRE_DELETE_FINALIZER: &str = "pre-delete-finalizer.argocd.argoproj.io";
/// Hooks run after the objects are gone.
pub const POST_DELETE_FINALIZER: &str = "post-delete-finalizer.argocd.argoproj.io";

/// The label of Secrets that hold repositories, credentials and clusters.
pub const SECRET_TYPE: &str = "argocd.argoproj.io/secret-type";

/// A kind of the group.
pub fn gvk(kind: &str) -> Gvk {
    Gvk::new(GROUP, VERSION, kind)
}

/// The key of an object of the group.
pub fn key(kind: &str, namespace: &str, name: &str) -> Key {
    Key::new(GROUP, kind, namespace, name)
}
