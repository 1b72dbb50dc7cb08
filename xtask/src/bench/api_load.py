#!/usr/bin/env python3
"""Creates N ConfigMaps of 300 bytes from THREADS connections and lists them: api_load.py KUBECONFIG N THREADS

Prints JSON: seconds of all creates, the 99th percentile of one create, and the median of seven lists, in seconds."""
import http.client
import json
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

kubeconfig, count, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
view = ["kubectl", "--kubeconfig", kubeconfig, "config", "view", "--raw", "-o", "json"]
config = json.loads(subprocess.run(view, stdout=subprocess.PIPE, check=True).stdout)
url = urllib.parse.urlsplit(config["clusters"][0]["cluster"]["server"])
headers = {"Authorization": "Bearer " + config["users"][0]["user"]["token"], "Content-Type": "application/json"}


def connect():
    context = ssl._create_unverified_context()
    return http.client.HTTPSConnection(url.hostname, url.port, context=context)


def ask(connection, method, path, body=None):
    connection.request(method, path, json.dumps(body) if body else None, headers)
    response = connection.getresponse()
    data = response.read()
    if response.status >= 300 and response.status != 409:
        sys.exit(f"{method} {path}: {response.status} {data[:300]}")
    return data


took = []


def create(first):
    connection = connect()
    for number in range(first, count, threads):
        name = f"load-{number}"
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"text": "x" * 300}}
        since = time.perf_counter()
        ask(connection, "POST", "/api/v1/namespaces/load/configmaps", body)
        took.append(time.perf_counter() - since)


main = connect()
ask(main, "POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "load"}})
since = time.perf_counter()
workers = [threading.Thread(target=create, args=(first,)) for first in range(threads)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
created = time.perf_counter() - since
lists = []
for _ in range(7):
    since = time.perf_counter()
    found = ask(main, "GET", "/api/v1/namespaces/load/configmaps")
    lists.append(time.perf_counter() - since)
assert found.count(b'"load-') >= count
took.sort()
print(json.dumps({"create": created, "p99": took[len(took) * 99 // 100], "list": sorted(lists)[3]}))
