//! What copies values from one object into others: replacements and vars.

use super::kustomizations::{Known, State};
use super::objects::text;
use crate::random::Random;

/// `replacements`, in the kustomization or in a file.
pub fn replacements(random: &mut Random, state: &State, out: &mut String) {
    if random.chance(25) {
        let Known { kind, name: own, .. } = state.pick(random);
        *out += &format!("replacements:\n- source:\n    kind: {kind}\n    name: {own}\n");
        if random.chance(12) {
            *out += &format!(
                "    fieldPath: {}\n",
                random.pick(&[
                    "metadata.name",
                    "data.a",
                    "metadata.labels.app",
                    "spec.replicas",
                    "spec.items.[name=one].value"
                ])
            );
        }
        if random.chance(20) {
            *out += "    options: {delimiter: '-', index: 0}\n";
        }
        let kind = state.pick(random).kind;
        *out += &format!("  targets:\n  - select:\n      kind: {kind}\n");
        if random.chance(20) {
            *out += "    reject:\n    - name: web\n";
        }
        *out += &format!(
            "    fieldPaths:\n    - {}\n",
            random.pick(&[
                "metadata.annotations.[example.org/copied]",
                "spec.template.spec.containers.*.image",
                "spec.template.spec.containers.[name=main].env.[name=PLAIN].value",
                "metadata.labels.app",
                "metadata.annotations.note",
                "metadata.annotations.[copied\\.to]",
                "spec.template.spec.containers.[name=m.*].env.[name=ADDED].value",
                "spec.template.spec.volumes.[name=one].configMap.name",
                "spec.fresh.list.0.name",
                "spec.rules.*.host",
                "metadata.labels",
                match kind.as_str() {
                    "Widget" => "spec.items.0.value",
                    _ => "data.b",
                },
                match kind.as_str() {
                    "Widget" => "spec.size",
                    _ => "data.c",
                }
            ])
        );
        match random.below(20) {
            0..17 => *out += "    options: {create: true}\n",
            17 => *out += "    options: {delimiter: ':', index: 1}\n",
            _ => {}
        }
        if random.chance(30) {
            structured(random, state, out);
        }
    }
}

/// A replacement into data that a field holds as text.
fn structured(random: &mut Random, state: &State, out: &mut String) {
    let known = state.pick(random);
    if known.kind != "ConfigMap" {
        return;
    }
    let path = random.pick(&[
        "data.c\\.yaml.x",
        "data.doc.top.inner",
        "data.doc.list.[name=b].v",
        "data.doc.list.*.v",
        "data.json.a.b",
        "data.json.l.0",
        "data.pretty.k",
        "data.doc.fresh.deep",
    ]);
    *out += &format!(
        "- source: {{kind: ConfigMap, name: {}}}\n  targets:\n  - select: {{kind: Doc}}\n    fieldPaths: ['{path}']\n    options: {{create: {}}}\n- sourceValue: {}\n  targets:\n  - select: {{kind: ConfigMap, name: {}}}\n    fieldPaths: [metadata.annotations.given]\n    options: {{create: true}}\n",
        known.name,
        random.pick(&["true", "true", "false"]),
        text(random),
        known.name,
    );
}

/// `vars`.
pub fn vars(random: &mut Random, state: &State, out: &mut String) {
    if random.chance(12) {
        let Known { api_version, kind, name: own, .. } = state.pick(random);
        *out += &format!(
            "vars:\n- name: SERVICE\n  objref:\n    kind: {kind}\n    name: {own}\n    apiVersion: {api_version}\n"
        );
        if random.chance(30) {
            *out += "  fieldref:\n    fieldPath: metadata.namespace\n";
        }
    }
}
