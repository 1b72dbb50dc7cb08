//! The embedded facts, custom resources and Flux's normal form.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use object::{Gvk, TargetSelector, Value, get};
use schema::{Crd, ListKind, builtin, crd, crds, native};
use serde_json::json;

#[test]
fn table_and_types() {
    let facts = builtin();
    assert!(facts.resources().len() >= 90, "{}", facts.resources().len());
    let deployments = facts.resource("apps", "v1", "deployments").unwrap();
    assert_eq!(deployments.kind, "Deployment");
    assert!(deployments.namespaced && deployments.short_names == ["deploy"]);
    assert!(deployments.subresources.iter().any(|sub| sub.name == "scale" && sub.group == "autoscaling"));
    for resource in facts.resources() {
        assert!(facts.type_of(&resource.gvk()).is_some(), "no type for {}", resource.gvk());
    }
    let pod = facts.type_of(&Gvk::new("", "v1", "Pod")).unwrap();
    let ports = pod.field("spec").and_then(|t| t.field("containers")?.items()?.field("ports")).unwrap();
    let keys = ListKind::Map(vec!["containerPort".to_owned(), "protocol".to_owned()]);
    assert_eq!(ports.node().list.as_ref().unwrap().kind, keys);
}

#[test]
fn openapi_documents() {
    let facts = builtin();
    let document = facts.openapi_v3("apis/apps/v1").unwrap();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    assert!(
        schemas.contains_key("io.k8s.api.apps.v1.Deployment")
            && schemas.contains_key("io.k8s.api.core.v1.PodSpec")
    );
    assert!(!document.to_string().contains("x-zero"));
    let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "Deployment");
    assert!(facts.openapi_v3("apis/none/v1").is_none());
    let old = facts.openapi_v2();
    assert!(old["definitions"].as_object().unwrap().contains_key("io.k8s.api.core.v1.Pod"));
    assert!(!old.to_string().contains("#/components/"));
}

#[test]
fn definitions_of_every_family() {
    let families =
        [crds::flux(), crds::argo(), crds::crossplane(), crds::capi(), crds::terraform(), crds::weave()];
    for definition in families.iter().flatten() {
        let name = object::meta::name(definition);
        let mut definition = definition.clone();
        crd::default_definition(&mut definition);
        let errors = crd::validate_definition(&definition, None);
        assert!(errors.is_empty(), "{name}: {errors:?}");
        let parsed = Crd::parse(&definition).unwrap();
        assert!(parsed.storage_version().is_some(), "{name}");
    }
    assert!(families.iter().all(|family| !family.is_empty()));
}

#[test]
fn rules_of_every_family_can_be_evaluated() {
    for definition in crds::flux().iter().chain(&crds::crossplane()).chain(&crds::argo()) {
        for version in Crd::parse(definition).unwrap().versions {
            let found = version.structural.unsupported_rules();
            assert!(found.is_empty(), "{} {}: {found:?}", object::meta::name(definition), version.name);
        }
    }
}

#[test]
fn a_flux_kustomization() {
    let definitions = crds::flux();
    let definition =
        definitions.iter().find(|d| object::meta::name(d).starts_with("kustomizations.")).unwrap();
    let parsed = Crd::parse(definition).unwrap();
    let version = parsed.version("v1").unwrap();
    assert!(version.status && version.served && parsed.namespaced);
    let mut object = json!({
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
        "metadata": {"name": "a", "namespace": "b", "bogus": 1},
        "spec": {"interval": "1m", "prune": true, "sourceRef": {"kind": "GitRepository", "name": "x"}, "unknown": {"a": 1}},
    });
    assert_eq!(version.structural.prune(&mut object), ["metadata.bogus", "spec.unknown"]);
    version.structural.default(&mut object);
    assert_eq!(version.structural.validate(&object, None), []);
    object::set(&mut object, &["spec", "interval"], "soon".into());
    let errors = version.structural.validate(&object, None);
    assert!(
        errors[0]
            .to_string()
            .starts_with("spec.interval: Invalid value: \"soon\": spec.interval in body should match")
    );
}

#[test]
fn flux_normal_form_and_targets() {
    let Some(path) = testkit::shared("suites/unit-tables/flux-ssa.json") else { return };
    let suite: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for case in suite["cases"].as_array().unwrap() {
        let mut object = case["object"].clone();
        if case["fn"] == "normalize" {
            native::normalize_applied(&mut object).unwrap();
            assert_eq!(object, case["expected"], "{}", case["id"]);
        } else {
            let target = TargetSelector::parse(&case["selector"]).unwrap();
            assert_eq!(Value::from(target.matches(&object)), case["expected"], "{}", case["id"]);
        }
    }
}

#[test]
fn unknown_fields_are_named() {
    let gvk = Gvk::new("apps", "v1", "Deployment");
    let object =
        json!({"spec": {"bogus": 1, "template": {"spec": {"containers": [{"name": "a", "imag": "b"}]}}}});
    let found = native::unknown_fields(&builtin().type_of(&gvk).unwrap(), &object);
    assert_eq!(
        found,
        ["unknown field \"spec.bogus\"", "unknown field \"spec.template.spec.containers[0].imag\""]
    );
    assert!(get(&object, &["spec", "bogus"]).is_some());
}
