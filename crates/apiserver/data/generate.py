#!/usr/bin/env python3
"""Makes the data of this folder out of facts that Kubernetes 1.34 publishes.

generate.py protobuf MODULES   field numbers of the built-in types, from the Go modules k8s.io/api,
                               k8s.io/apimachinery, k8s.io/apiextensions-apiserver and
                               k8s.io/kube-aggregator below MODULES (a Go module cache)
generate.py values KUBECONFIG  the values of fields that have few, for `crates/schema/data/enums.tsv`
generate.py server KUBECONFIG  what a new server holds, from a running kube-apiserver without controllers
"""
import json
import os
import re
import subprocess
import sys
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
VERSION = "v0.34.2"
FIELD = re.compile(r"^\s*(optional|repeated)\s+([\w.]+)\s+(\w+)\s*=\s*(\d+);")
MAP = re.compile(r"^\s*map<(\w+),\s*([\w.]+)>\s+(\w+)\s*=\s*(\d+);")
TAG = re.compile(r"^\s*(?:(\w+)\s+)?(\S+)\s+`json:\"([^\"]*)\"(?:[^`]*?)protobuf:\"([^\"]*)\"")


def go_fields(folder):
    """(struct, protobuf name) -> (JSON name, inline, pointer)"""
    known, struct = {}, None
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".go") or name.startswith(("zz_", "generated")):
            continue
        for line in open(os.path.join(folder, name), encoding="utf-8"):
            start = re.match(r"^type (\w+) struct", line)
            if start:
                struct = start.group(1)
            tag = TAG.match(line)
            if struct and tag:
                proto = next((p[5:] for p in tag.group(4).split(",") if p.startswith("name=")), None)
                if proto:
                    json_name, *options = tag.group(3).split(",")
                    pointer = tag.group(2).startswith("*")
                    known[(struct, proto)] = (json_name or proto, "inline" in options, pointer)
    return known


def protobuf(modules):
    short = lambda t: re.sub(r"^k8s\.io\.(api|apimachinery\.pkg|kube_aggregator\.pkg\.apis|apiextensions_apiserver\.pkg\.apis)\.", "", t)
    lines = []
    for module in ("api", "apimachinery", "apiextensions-apiserver", "kube-aggregator"):
        root = os.path.join(modules, "k8s.io", f"{module}@{VERSION}")
        for folder, _, files in sorted(os.walk(root)):
            if "generated.proto" not in files or re.search(r"(alpha|beta)\d|testapigroup|imagepolicy", folder):
                continue
            fields, package, message = go_fields(folder), "", None
            for line in open(os.path.join(folder, "generated.proto"), encoding="utf-8"):
                if line.startswith("package "):
                    package = line.split()[1].rstrip(";")
                start = re.match(r"^message (\w+) \{", line)
                if start:
                    message = start.group(1)
                    lines.append("=" + short(f"{package}.{message}"))
                found, mapped = FIELD.match(line), MAP.match(line)
                if not message or not (found or mapped):
                    continue
                if found:
                    label, kind, name, number = found.groups()
                    mark = "*" if label == "repeated" else ""
                else:
                    _, kind, name, number = mapped.groups()
                    mark = "%"
                kind = short(kind.lstrip("."))
                if "." not in kind and kind[0].isupper():
                    kind = short(f"{package}.{kind}")
                json_name, inline, pointer = fields.get((message, name), (name, False, False))
                mark += ("~" if inline else "") + ("^" if pointer else "")
                lines.append(f"{number}\t{json_name}\t{kind}\t{mark}")
    data = zlib.compress(("\n".join(lines) + "\n").encode(), 9)
    open(os.path.join(HERE, "protobuf.tsv.z"), "wb").write(data)
    print(len(lines), "lines,", len(data), "bytes")


# What a server makes for itself before it is ready. Namespaces and what holds addresses are made by the program.
RESOURCES = (
    "priorityclasses", "clusterroles", "clusterrolebindings", "roles", "rolebindings", "prioritylevelconfigurations",
    "flowschemas", "apiservices",
)
# Times that differ on every server.
TIMES = ("creationTimestamp", "time", "lastTransitionTime")


def without_times(value):
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k not in TIMES}
    return [without_times(v) for v in value] if isinstance(value, list) else value


def server(kubeconfig):
    def get(resource):
        command = ["kubectl", "--kubeconfig", kubeconfig, "get", resource, "-A", "-o", "json", "--show-managed-fields"]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)

    objects = []
    for resource in RESOURCES:
        for item in get(resource)["items"]:
            kept = ("name", "namespace", "labels", "annotations", "generation", "managedFields")
            item["metadata"] = {k: v for k, v in item["metadata"].items() if k in kept}
            owners = item["metadata"]["managedFields"]
            if len(owners) == 1 and (owners[0]["manager"], owners[0]["operation"]) == ("kube-apiserver", "Update"):
                # The program finds out by itself what such a write owns.
                del item["metadata"]["managedFields"]
            objects.append(json.dumps(without_times(item), separators=(",", ":"), sort_keys=True))
    with open(os.path.join(HERE, "bootstrap.json"), "w", encoding="utf-8") as out:
        out.write("[\n" + ",\n".join(objects) + "\n]\n")
    print("columns.txt is made by asking each collection for a Table (as=Table;v=v1;g=meta.k8s.io)")


def values(kubeconfig):
    def get(path):
        command = ["kubectl", "--kubeconfig", kubeconfig, "get", "--raw", "/openapi/v3" + path]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)

    def look(name, place, node, found):
        if isinstance(node, dict):
            if isinstance(node.get("enum"), list):
                found[(name, place)] = " ".join(node["enum"])
            for key, below in node.items():
                look(name, place + "/" + key, below, found)

    found = {}
    for path in get("")["paths"]:
        for name, schema in get("/" + path).get("components", {}).get("schemas", {}).items():
            look(name, "", schema, found)
    with open(os.path.join(HERE, "../../schema/data/enums.tsv"), "w", encoding="utf-8") as out:
        out.writelines(f"{name}\t{place}\t{found[(name, place)]}\n" for name, place in sorted(found))


if __name__ == "__main__":
    {"protobuf": protobuf, "server": server, "values": values}[sys.argv[1]](sys.argv[2])
