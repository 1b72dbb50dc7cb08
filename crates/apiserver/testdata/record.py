#!/usr/bin/env python3
"""Replays the requests of each case and records or compares the answers.

record.py record KUBECONFIG [CASE...]   writes CASE/responses.json from a real kube-apiserver
record.py diff KUBECONFIG [CASE...]     compares a server with what was recorded

A case is a folder with requests.json: a list of {"do": "METHOD PATH", "type": media type, "accept":
media type, "body": JSON or text, "wait": seconds to wait first when recording, "skip": true to leave the
answer out of the comparison}.
Namespaces named "case-ns" are made before each case and removed after it.
"""
import http.client
import json
import os
import re
import ssl
import subprocess
import sys
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
ADDRESS = re.compile(r"10\.(96|0)\.\d+\.\d+")


def normal(value, key=""):
    if isinstance(value, dict):
        return {k: normal(v, k) for k, v in value.items() if k not in ("selfLink", "continue", "remainingItemCount", "description")}
    if isinstance(value, list) and key == "managedFields":
        # Entries of the same second come in any order.
        entries = [{k: normal(v, k) for k, v in e.items() if k != "time"} for e in value]
        return sorted(entries, key=lambda e: (e["manager"], e["operation"], e.get("subresource", "")))
    if isinstance(value, list):
        return [normal(v, key) for v in value]
    if isinstance(value, str):
        if key == "resourceVersion":
            return "RV" if value else value
        if key == "nodePort":
            return "PORT"
        return ADDRESS.sub("ADDRESS", UID.sub("UID", TIME.sub("TIME", value)))
    if key == "nodePort" and value:
        return 0
    return value


class Server:
    def __init__(self, kubeconfig):
        text = subprocess.run(["kubectl", "--kubeconfig", kubeconfig, "config", "view", "--raw", "-o", "json"], stdout=subprocess.PIPE, check=True).stdout
        config = json.loads(text)
        url = urllib.parse.urlsplit(config["clusters"][0]["cluster"]["server"])
        self.token = config["users"][0]["user"]["token"]
        self.connection = http.client.HTTPSConnection(url.hostname, url.port, context=ssl._create_unverified_context())

    def ask(self, request):
        method, path = request["do"].split(" ", 1)
        headers = {"Authorization": "Bearer " + self.token, "User-Agent": "case/1"}
        headers["Accept"] = request.get("accept", "application/json")
        body = request.get("body")
        if body is not None:
            default = "application/json"
            headers["Content-Type"] = request.get("type", default)
            body = body if isinstance(body, str) else json.dumps(body)
        self.connection.request(method, path.replace(" ", "%20"), body, headers)
        try:
            response = self.connection.getresponse()
        except http.client.RemoteDisconnected:
            # The original fell over itself.
            self.connection.close()
            return None
        text = response.read().decode()
        try:
            content = json.loads(text)
        except ValueError:
            content = text
        answer = {"code": response.status, "body": normal(content)}
        warnings = response.headers.get_all("Warning")
        if warnings:
            answer["warnings"] = warnings
        return answer


def run(server, case, pause):
    requests = json.load(open(os.path.join(HERE, case, "requests.json")))
    server.ask({"do": "POST /api/v1/namespaces", "body": {"metadata": {"name": "case-ns"}}})
    answers = []
    for request in requests:
        time.sleep(request.get("wait", 0) if pause else 0)
        answers.append(server.ask(request))
    for request in requests:
        method, path = request["do"].split(" ", 1)
        if method in ("POST", "PATCH") and isinstance(request.get("body"), dict) and "/case-ns/" not in path:
            path = path.rsplit("/", 1)[0] if method == "PATCH" else path
            name = request["body"].get("metadata", {}).get("name")
            if name:
                one = f"{path.split('?')[0]}/{name}"
                server.ask({"do": f"DELETE {one}"})
                server.ask({"do": f"PATCH {one}", "type": "application/merge-patch+json", "body": {"metadata": {"finalizers": None}}})
    clear(server)
    return requests, answers


def clear(server):
    for path in ("/api/v1", "/apis/apps/v1", "/apis/batch/v1", "/apis/networking.k8s.io/v1", "/apis/policy/v1",
                 "/apis/rbac.authorization.k8s.io/v1", "/apis/autoscaling/v2", "/apis/coordination.k8s.io/v1", "/apis/discovery.k8s.io/v1", "/apis/events.k8s.io/v1"):
        for resource in server.ask({"do": "GET " + path})["body"]["resources"]:
            if not resource["namespaced"] or "deletecollection" not in resource["verbs"]:
                continue
            collection = f"{path}/namespaces/case-ns/{resource['name']}"
            if resource["name"] == "services":
                for item in server.ask({"do": "GET " + collection})["body"].get("items", []):
                    server.ask({"do": f"DELETE {collection}/{item['metadata']['name']}"})
                continue
            for item in server.ask({"do": "GET " + collection})["body"].get("items", []):
                if item["metadata"].get("finalizers"):
                    server.ask({"do": f"PATCH {collection}/{item['metadata']['name']}", "type": "application/merge-patch+json", "body": {"metadata": {"finalizers": None}}})
            server.ask({"do": f"DELETE {collection}?gracePeriodSeconds=0"})


def differences(path, want, have):
    if isinstance(want, dict) and isinstance(have, dict):
        out = []
        for key in sorted(set(want) | set(have)):
            at = f"{path}.{key}"
            if key not in want:
                out.append(f"{at}: unexpected {json.dumps(have[key])[:200]}")
            elif key not in have:
                out.append(f"{at}: missing {json.dumps(want[key])[:200]}")
            else:
                out += differences(at, want[key], have[key])
        return out
    if isinstance(want, list) and isinstance(have, list) and len(want) == len(have):
        return [d for i, (a, b) in enumerate(zip(want, have)) for d in differences(f"{path}[{i}]", a, b)]
    return [] if want == have else [f"{path}: want {json.dumps(want)[:300]}, have {json.dumps(have)[:300]}"]


def main():
    mode, kubeconfig, *cases = sys.argv[1:]
    cases = cases or sorted(d for d in os.listdir(HERE) if os.path.exists(os.path.join(HERE, d, "requests.json")))
    server, good, total = Server(kubeconfig), 0, 0
    for case in cases:
        requests, answers = run(server, case, mode == "record")
        file = os.path.join(HERE, case, "responses.json")
        if mode == "record":
            if None in answers:
                pairs = [(r, a) for r, a in zip(requests, answers) if a is not None]
                requests, answers = [r for r, _ in pairs], [a for _, a in pairs]
                with open(os.path.join(HERE, case, "requests.json"), "w", encoding="utf-8") as out:
                    out.write("[\n" + ",\n".join(json.dumps(r) for r in requests) + "\n]\n")
            with open(file, "w", encoding="utf-8") as out:
                out.write("[\n" + ",\n".join(json.dumps(a, sort_keys=True) for a in answers) + "\n]\n")
            continue
        for at, (request, want, have) in enumerate(zip(requests, json.load(open(file)), answers)):
            if request.get("skip"):
                continue
            total += 1
            found = differences("", want, have)
            good += not found
            for line in found:
                print(f"{case}[{at}] {request['do']}: {line}")
    if mode == "diff":
        print(f"requests {good}/{total}")


main()
