"""What Python's `kubernetes` client gets to see: typed and dynamic objects, every kind of patch, watches, errors."""
import json
import logging
import warnings

from kubernetes import client, config, dynamic, watch
from kubernetes.client.rest import ApiException
from kubernetes.stream import stream

logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
config.load_kube_config()
core, apps, custom = client.CoreV1Api(), client.AppsV1Api(), client.CustomObjectsApi()
SPACE = "from-python"


def said(name, call):
    """Prints what a call answers or how it fails."""
    try:
        print(name, call())
    except ApiException as error:
        try:
            body = json.loads(error.body)
            details = json.dumps(body.get("details"), sort_keys=True)
            print(name, error.status, error.reason, body.get("reason"), body.get("message"), details)
        except (TypeError, ValueError):
            print(name, error.status, error.reason)


def pod(name, **more):
    spec = client.V1PodSpec(containers=[client.V1Container(name="c", image="busybox")], **more)
    return client.V1Pod(metadata=client.V1ObjectMeta(name=name, labels={"app": name}), spec=spec)


def shown(one):
    return one.metadata.name, one.metadata.labels, one.metadata.annotations


space = client.V1Namespace(metadata=client.V1ObjectMeta(name=SPACE))
said("namespace", lambda: shown(core.create_namespace(space)))
said("again", lambda: shown(core.create_namespace(space)))
said("version", lambda: client.VersionApi().get_code().git_version)
said("groups", lambda: sorted(g.name for g in client.ApisApi().get_api_versions().groups if "flux" not in g.name))

# Watches see what follows a list.
listed = core.list_namespaced_pod(SPACE)
said("create", lambda: core.create_namespaced_pod(SPACE, pod("one")).spec.to_dict())
said("wrong", lambda: core.create_namespaced_pod(SPACE, pod("Two_", restart_policy="Sometimes")))
said("rehearsed", lambda: core.create_namespaced_pod(SPACE, pod("three"), dry_run="All").status.phase)
said("read", lambda: shown(core.read_namespaced_pod("one", SPACE)))
said("missing", lambda: core.read_namespaced_pod("none", SPACE))
said("listed", lambda: [shown(p) for p in core.list_namespaced_pod(SPACE, label_selector="app in (one,two)").items])
said("by field", lambda: len(core.list_namespaced_pod(SPACE, field_selector="spec.nodeName!=x").items))
said("bad selector", lambda: core.list_namespaced_pod(SPACE, label_selector="a=b=c"))

label = {"metadata": {"labels": {"x": "y"}}}
said("merged", lambda: shown(core.patch_namespaced_pod("one", SPACE, label)))
operations = [{"op": "add", "path": "/metadata/annotations", "value": {"a": "b"}}]
said("operations", lambda: shown(core.patch_namespaced_pod("one", SPACE, operations)))
said("bad operations", lambda: core.patch_namespaced_pod("one", SPACE, [{"op": "test", "path": "/kind", "value": 1}]))
said("bad patch", lambda: core.patch_namespaced_pod("one", SPACE, {"spec": {"nodeName": 5}}))
said("status", lambda: core.patch_namespaced_pod_status("one", SPACE, {"status": {"phase": "Running"}}).status.phase)
said("evict", lambda: core.create_namespaced_pod_eviction(
    "none", SPACE, client.V1Eviction(metadata=client.V1ObjectMeta(name="none"))))
said("delete", lambda: shown(core.delete_namespaced_pod("one", SPACE, grace_period_seconds=0)))
seen = watch.Watch()
events = seen.stream(core.list_namespaced_pod, SPACE, resource_version=listed.metadata.resource_version,
                     timeout_seconds=2)
said("watched", lambda: [(e["type"], e["object"].metadata.name, e["object"].metadata.labels) for e in events])


def old_watch():
    events = watch.Watch().stream(core.list_namespaced_pod, SPACE, resource_version="x", timeout_seconds=1)
    return [e["type"] for e in events]


said("bad watch", old_watch)
said("exec", lambda: stream(core.connect_get_namespaced_pod_exec, "none", SPACE, command=["true"], stdout=True))

# A Deployment and its scale.
template = client.V1PodTemplateSpec(metadata=client.V1ObjectMeta(labels={"app": "web"}), spec=pod("web").spec)
wanted = client.V1DeploymentSpec(
    replicas=2, selector=client.V1LabelSelector(match_labels={"app": "web"}), template=template)
web = client.V1Deployment(metadata=client.V1ObjectMeta(name="web"), spec=wanted)
said("deployment", lambda: apps.create_namespaced_deployment(SPACE, web).spec.to_dict())
said("scale", lambda: apps.patch_namespaced_deployment_scale("web", SPACE, {"spec": {"replicas": 5}}).spec.replicas)


def replaced(version=None):
    own = apps.read_namespaced_deployment("web", SPACE)
    own.metadata.resource_version = version or own.metadata.resource_version
    own.spec.template.spec.containers[0].image = "busybox:2"
    return apps.replace_namespaced_deployment("web", SPACE, own).metadata.generation


said("replaced", replaced)
said("stale", lambda: replaced("1"))

# The dynamic client, with every kind of patch.
any_kind = dynamic.DynamicClient(client.ApiClient())
maps = any_kind.resources.get(api_version="v1", kind="ConfigMap")


def config_map(**data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": data}


def plain(one):
    own = one.to_dict()
    return own["data"], [(m["manager"], m["operation"], m["fieldsV1"]) for m in own["metadata"].get("managedFields", [])]


said("dynamic", lambda: maps.create(body=config_map(a="1"), namespace=SPACE, field_manager="x").to_dict()["data"])
said("applied", lambda: plain(maps.server_side_apply(
    body=config_map(b="2"), name="m", namespace=SPACE, field_manager="python")))
said("conflict", lambda: maps.server_side_apply(
    body=config_map(a="2"), name="m", namespace=SPACE, field_manager="python"))
said("forced", lambda: plain(maps.server_side_apply(
    body=config_map(a="2"), name="m", namespace=SPACE, field_manager="python", force_conflicts=True)))
for kind in ("merge-patch", "strategic-merge-patch"):
    said(kind, lambda: maps.patch(
        body={"data": {"a": None, "c": kind}}, name="m", namespace=SPACE,
        content_type=f"application/{kind}+json").to_dict()["data"])
said("deleted", lambda: maps.delete(name="m", namespace=SPACE).to_dict()["status"])
said("unknown kind", lambda: custom.list_namespaced_custom_object("example.com", "v1", SPACE, "things"))
review = client.V1SelfSubjectAccessReview(spec=client.V1SelfSubjectAccessReviewSpec(
    resource_attributes=client.V1ResourceAttributes(verb="list", resource="pods")))
said("may", lambda: client.AuthorizationV1Api().create_self_subject_access_review(review).status.allowed)
said("space", lambda: core.delete_namespace(SPACE).status.phase)
