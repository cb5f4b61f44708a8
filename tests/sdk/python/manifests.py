"""Renders the manifests of deploy/kubernetes with kubectl's kustomize, and holds them to what Kubernetes and sandtable ask.

    manifests.py ROOT CHECK [ARGUMENT…]

Each check ends with a line that counts what it has looked at.
"""

import copy
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import kubernetes_validate
import yaml

ROOT = pathlib.Path(sys.argv[1])
FOLDER = ROOT / "deploy/kubernetes"
OVERLAYS = ("single", "sandboxes", "pool", "front")
COMBINED = {"all": ("sandboxes", "claims", "front", "metrics")}
# The versions whose schemas are at hand and that a cluster may still run.
VERSIONS = ("1.32", "1.33", "1.34", "1.35", "1.36", "1.37")

# What the backend `kubernetes` asks of the API server: group, resource, verbs, and the flag that alone makes it needed. The
# Role grants this and nothing else.
RULES = [(group, resource, set(verbs), flag) for group, resource, verbs, flag in json.loads(os.environ["SANDTABLE_TEST_RULES"])]

# The SandboxTemplate whose sandboxes a server can claim, as the backend makes it.
TEMPLATE = json.loads(os.environ["SANDTABLE_TEST_TEMPLATE"])

# The fields that are used here of kinds that are no part of Kubernetes, and whose schemas are not of the validator's.
MONITOR = {
    "apiVersion": str,
    "kind": str,
    "metadata": {"name": str, "namespace": str, "labels": dict},
    "spec": {
        "selector": {"matchLabels": dict},
        "endpoints": [{"port": str, "path": str, "authorization": {"credentials": {"name": str, "key": str}}}],
    },
}


WARM_POOL = {
    "apiVersion": str,
    "kind": str,
    "metadata": {"name": str, "namespace": str},
    "spec": {"replicas": int, "sandboxTemplateRef": {"name": str}, "updateStrategy": {"type": str}},
}
SANDBOX_TEMPLATE = {
    "apiVersion": str,
    "kind": str,
    "metadata": {"name": str, "namespace": str},
    "spec": {
        "networkPolicyManagement": str,
        "networkPolicy": {"ingress": [dict], "egress": [dict]},
        "podTemplate": {"metadata": {"labels": dict}, "spec": dict},
    },
}
SHAPES = {"ServiceMonitor": MONITOR, "SandboxWarmPool": WARM_POOL, "SandboxTemplate": SANDBOX_TEMPLATE}


def kustomize(folder):
    kubectl = pathlib.Path(sys.executable).with_name("kubectl")
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{folder}: {done.stderr}"
    # Deprecated fields and patches that hit nothing are said there.
    assert not done.stderr.strip(), f"{folder}: {done.stderr}"
    return [document for document in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if document]


def render(name):
    """An overlay, or components together in another namespace, as users combine them."""
    if name in OVERLAYS:
        return kustomize(FOLDER / "overlays" / name)
    return combined(COMBINED[name], (FOLDER / "overlays/sandboxes/kustomization.yaml").read_text())


def rendered():
    """One after the other, so that the first that is wrong is the last that is made."""
    for name in (*OVERLAYS, *COMBINED):
        yield name, render(name)


def combined(components, overlay):
    text = yaml.safe_load(overlay)
    text["namespace"] = "elsewhere"
    text["components"] = [f"../../components/{name}" for name in components]
    # Beside the others, for kustomize follows no path out of its root but to other roots.
    with tempfile.TemporaryDirectory() as folder:
        copied = pathlib.Path(folder) / "kubernetes"
        subprocess.run(["cp", "-R", FOLDER, copied], check=True)
        place = copied / "overlays/combined"
        place.mkdir()
        (place / "kustomization.yaml").write_text(yaml.safe_dump(text))
        return kustomize(place)


def name_of(document):
    return f"{document['kind']}/{document['metadata']['name']}"


def of_kind(documents, kind):
    return [document for document in documents if document["kind"] == kind]


def only(documents, kind, name):
    found = [document for document in of_kind(documents, kind) if document["metadata"]["name"] == name]
    assert len(found) == 1, f"{kind}/{name}: {len(found)} times"
    return found[0]


def pods(documents):
    """Each pod template, with the name of what makes pods of it."""
    return [(name_of(document), document["spec"]["template"]) for document in documents if "template" in document.get("spec", {})]


def sandbox_templates(documents):
    """The pods of pools, likewise."""
    return [(name_of(document), document["spec"]["podTemplate"]) for document in of_kind(documents, "SandboxTemplate")]


def containers(template):
    spec = template["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def shaped(value, shape, path):
    if isinstance(shape, dict):
        assert isinstance(value, dict), path
        unknown = set(value) - set(shape)
        assert not unknown, f"{path}: unknown {unknown}"
        for key, part in value.items():
            shaped(part, shape[key], f"{path}.{key}")
    elif isinstance(shape, list):
        for part in value:
            shaped(part, shape[0], f"{path}[]")
    else:
        assert isinstance(value, shape), path


def schema(document, version):
    """Fails on an unknown field, too."""
    if document["kind"] in SHAPES:
        shaped(document, SHAPES[document["kind"]], name_of(document))
        for name, template in sandbox_templates([document]):
            pod = {"apiVersion": "v1", "kind": "Pod", **copy.deepcopy(template)}
            pod["metadata"]["name"] = document["metadata"]["name"]
            kubernetes_validate.validate(pod, version, strict=True)
        return None
    return kubernetes_validate.validate(document, version, strict=True)


def check_schemas():
    count = 0
    for overlay, documents in rendered():
        for document in documents:
            for version in VERSIONS:
                try:
                    schema(document, version)
                except kubernetes_validate.ValidationError as error:
                    raise AssertionError(f"{overlay}: {name_of(document)} in {version}: {list(error.path)}: {error.message}") from None
                count += 1
    # What makes the check worth something: a field that is none is found, wherever it stands.
    server = only(render("single"), "StatefulSet", "sandtable")
    for path in (("spec",), ("spec", "template", "spec"), ("spec", "template", "spec", "containers", 0, "securityContext")):
        wrong = copy.deepcopy(server)
        place = wrong
        for step in path:
            place = place[step]
        place["privilegde"] = False
        try:
            schema(wrong, VERSIONS[-1])
        except kubernetes_validate.ValidationError:
            continue
        raise AssertionError(f"an unknown field in {path} was not found")
    print(count, "documents fit their schema")


def check_admission():
    """What the profile `restricted` of Pod Security asks, version 1.37."""
    volumes = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
    count = 0
    for overlay, documents in rendered():
        namespace = of_kind(documents, "Namespace")[0]
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        for name, template in pods(documents) + sandbox_templates(documents):
            spec, where = template["spec"], f"{overlay}: {name}"
            own = spec.get("securityContext", {})
            for field in ("hostNetwork", "hostPID", "hostIPC"):
                assert not spec.get(field), f"{where}: {field}"
            for volume in spec.get("volumes", []):
                assert set(volume) - {"name"} <= volumes, f"{where}: {volume}"
            assert not own.get("sysctls"), where
            for container in containers(template):
                context = container.get("securityContext", {})
                get = lambda field: context.get(field, own.get(field))  # noqa: E731
                assert context.get("allowPrivilegeEscalation") is False, where
                assert context.get("capabilities", {}).get("drop") == ["ALL"], where
                assert not context["capabilities"].get("add"), where
                assert get("runAsNonRoot") is True and get("runAsUser") not in (0, None), where
                assert get("seccompProfile")["type"] == "RuntimeDefault", where
                assert not context.get("privileged") and context.get("procMount", "Default") == "Default", where
                assert not any("hostPort" in port for port in container.get("ports", [])), where
                # Not asked for, and no less true.
                assert context.get("readOnlyRootFilesystem") is True, where
                count += 1
    print(count, "containers are admitted")


def check_links():
    """Whatever names something names what is there."""
    count = 0
    for overlay, documents in rendered():
        named = {(document["kind"], document["metadata"]["name"]) for document in documents}
        namespace = of_kind(documents, "Namespace")[0]["metadata"]["name"]
        for document in documents:
            where = f"{overlay}: {name_of(document)}"
            if document["kind"] != "Namespace":
                assert document["metadata"].get("namespace") == namespace, where
            count += 1
        templates = pods(documents)
        for name, template in templates:
            check_pod(f"{overlay}: {name}", template, named, documents)
        labels = [template["metadata"]["labels"] for _, template in templates]
        for service in of_kind(documents, "Service"):
            wanted = dict(service["spec"]["selector"])
            # The StatefulSet's controller sets this one.
            pod = wanted.pop("statefulset.kubernetes.io/pod-name", None)
            if pod is not None:
                server, number = pod.rsplit("-", 1)
                assert int(number) < only(documents, "StatefulSet", server)["spec"]["replicas"], name_of(service)
            else:
                found = [own for own in labels if wanted.items() <= own.items()]
                assert len(found) == 1, f"{overlay}: {name_of(service)} selects {len(found)} kinds of pods"
        for budget in of_kind(documents, "PodDisruptionBudget"):
            wanted = budget["spec"]["selector"]["matchLabels"]
            assert sum(wanted.items() <= own.items() for own in labels) == 1, f"{overlay}: {name_of(budget)}"
        for binding in of_kind(documents, "RoleBinding"):
            assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in named, overlay
            for subject in binding["subjects"]:
                assert (subject["kind"], subject["name"]) in named and subject["namespace"] == namespace, overlay
        guarded = [policy["spec"]["podSelector"]["matchLabels"] for policy in of_kind(documents, "NetworkPolicy")]
        for own in labels:
            assert any(wanted.items() <= own.items() for wanted in guarded), f"{overlay}: no policy is about {own}"
    print(count, "documents name what is there")


def check_pod(where, template, named, documents):
    spec = template["spec"]
    # A service called `sandtable` would set SANDTABLE_PORT=tcp://…, which the program takes for its flag.
    assert spec.get("enableServiceLinks") is False, where
    assert ("ServiceAccount", spec.get("serviceAccountName", "sandtable")) in named, where
    claims = [claim["metadata"]["name"] for document in documents for claim in document.get("spec", {}).get("volumeClaimTemplates", [])]
    volumes = [volume["name"] for volume in spec.get("volumes", [])] + claims
    for volume in spec.get("volumes", []):
        if "configMap" in volume:
            assert ("ConfigMap", volume["configMap"]["name"]) in named, f"{where}: {volume}"
    for container in containers(template):
        ports = {port["name"] for port in container["ports"]}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if probe in container:
                assert container[probe]["httpGet"]["port"] in ports, f"{where}: {probe}"
        assert "readinessProbe" in container and "livenessProbe" in container, where
        for mount in container.get("volumeMounts", []):
            assert mount["name"] in volumes, f"{where}: {mount}"
        assert {"requests", "limits"} <= set(container["resources"]), where
        known = []
        for variable in container.get("env", []):
            for used in re.findall(r"\$\(([A-Z_]+)\)", variable.get("value", "")):
                assert used in known, f"{where}: {variable['name']} uses {used}, which is set later or never"
            known.append(variable["name"])


def check_rules():
    """`given` is the backend's own list, as JSON: [group, resource, verbs, the flag that it is for or null]."""
    def granted(documents):
        found = {}
        for role in of_kind(documents, "Role"):
            for rule in role["rules"]:
                assert set(rule) == {"apiGroups", "resources", "verbs"}, rule
                for group in rule["apiGroups"]:
                    for resource in rule["resources"]:
                        verbs = found.setdefault((group, resource), set())
                        assert not verbs & set(rule["verbs"]), f"{resource}: twice"
                        verbs |= set(rule["verbs"])
        return found

    def wanted(rules):
        return {(group, resource): verbs for group, resource, verbs in rules}

    def needed(*flags):
        rules = tuple(rule[:3] for rule in RULES if rule[3] is None or rule[3] in flags)
        assert {rule[3] for rule in RULES} >= set(flags)
        return rules

    asking = {"sandboxes": needed(), "all": needed("--k8s-storage-class"), "pool": needed("--k8s-pool")}
    for overlay, documents in rendered():
        kinds = {document["kind"] for document in documents}
        assert not kinds & {"ClusterRole", "ClusterRoleBinding"}, overlay
        expected = asking.get(overlay, ())
        assert granted(documents) == wanted(expected), f"{overlay}: {granted(documents)}"
        # Who asks nothing of the API server has no token to do it with.
        for name, template in pods(documents):
            asks = bool(expected) and name == "StatefulSet/sandtable"
            assert template["spec"]["automountServiceAccountToken"] is asks, f"{overlay}: {name}"
    print("the rules are those of the backend")


def check_server(flags, version):
    """The server's container against the program: its flags, the paths that probes ask, its version."""
    flags, count = set(flags.split()), 0
    for overlay, documents in rendered():
        server = only(documents, "StatefulSet", "sandtable")
        container = server["spec"]["template"]["spec"]["containers"][0]
        image = container["image"]
        assert image == f"sandtable:{version}-full", f"{overlay}: the image is `{image}`, the version {version}"
        values = {variable["name"]: variable.get("value") for variable in container["env"]}
        # Sandboxes have the image of the pod that says its name: whatever the overlay makes of it.
        assert "SANDTABLE_IMAGE" not in values, f"{overlay}: {values['SANDTABLE_IMAGE']}"
        assert ("SANDTABLE_POD_NAME" in values) == (values.get("SANDTABLE_BACKEND") == "kubernetes"), f"{overlay}: {values}"
        for name in values:
            if name.startswith("SANDTABLE_") and name not in BESIDE_FLAGS:
                assert name in flags, f"{overlay}: no flag has the variable {name}"
                count += 1
        probes = {probe: container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
        assert probes == {
            "startupProbe": "/_sandtable/health",
            "readinessProbe": "/_sandtable/ready",
            "livenessProbe": "/_sandtable/health",
        }, probes
        # The volume belongs to root and is open to the group.
        mount = next(mount for mount in container["volumeMounts"] if mount["name"] == "data")
        assert values["SANDTABLE_DATA_DIR"].startswith(mount["mountPath"] + "/"), values["SANDTABLE_DATA_DIR"]
    print(count, "variables are flags")


def check_template():
    """The pool's template is the pod that the backend would make, and the server and the pool name each other."""
    documents = render("pool")
    template = only(documents, "SandboxTemplate", TEMPLATE["metadata"]["name"])
    del template["metadata"]["namespace"]
    expected = json.dumps(TEMPLATE, indent=1, sort_keys=True)
    assert json.dumps(template, indent=1, sort_keys=True) == expected, f"the template is not: {expected}"
    pool = of_kind(documents, "SandboxWarmPool")[0]
    assert pool["spec"]["sandboxTemplateRef"] == template["metadata"], pool
    server = only(documents, "StatefulSet", "sandtable")["spec"]["template"]["spec"]["containers"][0]
    values = {variable["name"]: variable.get("value") for variable in server["env"]}
    assert values["SANDTABLE_K8S_POOL"] == pool["metadata"]["name"], values
    print("the template is the backend's")


# Read from the environment, and no flags: they say who owns the sandboxes' pods.
BESIDE_FLAGS = {"SANDTABLE_POD_NAME", "SANDTABLE_POD_UID"}


def check_front():
    """The front knows each server there is, by its name, and none that is not."""
    for overlay in ("front", "all"):
        documents = render(overlay)
        replicas = only(documents, "StatefulSet", "sandtable")["spec"]["replicas"]
        text = of_kind(documents, "ConfigMap")[0]["data"]["haproxy.cfg"]
        expected = [f"sandtable-{n}" for n in range(replicas)]
        lines = re.findall(r"^    server (\S+) (\S+) id (\d+)$", text, re.MULTILINE)
        assert lines == [(name, f"{name}:4010", str(n + 1)) for n, name in enumerate(expected)], lines
        assert len(re.findall(r"^ *server\s", text, re.MULTILINE)) == len(lines), "a server line of another form"
        acl = re.search(r"acl names_server .* -m str (.*)$", text, re.MULTILINE)
        assert acl[1].split() == expected, acl[1]
        acl = re.search(r"acl names_place .* -m end (.*)$", text, re.MULTILINE)
        assert acl[1].split() == [f"@{name}" for name in expected], acl[1]
        for form, before in (("end", "@"), ("str", "")):
            used = re.findall(rf"use-server (\S+) .* -m {form} {before}(\S+) }}$", text, re.MULTILINE)
            assert used == [(name, name) for name in expected], used
        for name in expected:
            assert only(documents, "Service", name)["spec"]["selector"] == {"statefulset.kubernetes.io/pod-name": name}
        # Clients come to the front, and to no server past it.
        assert only(documents, "Service", "sandtable")["spec"]["selector"]["app.kubernetes.io/component"] == "front"
        ingress = only(documents, "NetworkPolicy", "sandtable-server")["spec"]["ingress"][0]
        assert [part["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for part in ingress["from"]] == ["front"]
    print("the front knows its servers")


# A mistake each, and the check that is to find it: file, what it says, what it would say instead.
MISTAKES = (
    (check_schemas, "base/disruption.yaml", "maxUnavailable", "maxUnavailible"),
    (check_schemas, "base/policy.yaml", "podSelector:", "podSelectors:"),
    (check_schemas, "components/metrics/servicemonitor.yaml", "authorization:", "bearerAuth:"),
    (check_admission, "base/server.yaml", "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true"),
    (check_admission, "components/front/front.yaml", "runAsUser: 99", "runAsUser: 0"),
    (check_admission, "base/server.yaml", "emptyDir:\n          sizeLimit: 1Gi", "hostPath:\n          path: /tmp"),
    (check_links, "base/server.yaml", "enableServiceLinks: false", "enableServiceLinks: true"),
    (check_links, "base/server.yaml", "- name: POD_NAMESPACE", "- name: POD_SPACE"),
    (check_links, "components/front/servers.yaml", "pod-name: sandtable-1", "pod-name: sandtable-2"),
    (check_links, "overlays/front/kustomization.yaml", "namespace: sandtable\n", ""),
    (check_rules, "components/sandboxes/rbac.yaml", "watch, ", ""),
    (check_rules, "components/sandboxes/rbac.yaml", "resources: [pods]", "resources: [pods, secrets]"),
    (check_rules, "base/server.yaml", "automountServiceAccountToken: false", "automountServiceAccountToken: true"),
    (check_server, "overlays/sandboxes/kustomization.yaml", "newTag: ", "newTag: 0."),
    (check_server, "base/server.yaml", "SANDTABLE_LOG_FORMAT", "SANDTABLE_LOGFORMAT"),
    (check_server, "base/server.yaml", "path: /_sandtable/ready", "path: /_sandtable/health"),
    (check_rules, "components/pool/kustomization.yaml", "watch, ", ""),
    (check_admission, "components/pool/template.yaml", "privileged: false", "privileged: true"),
    (check_schemas, "components/pool/template.yaml", "restartPolicy: Never", "restartPolicies: Never"),
    (check_template, "components/pool/template.yaml", "value: unix", "value: any"),
    (check_template, "components/pool/kustomization.yaml", "value: sandtable", "value: another"),
    (check_template, "components/pool/warmpool.yaml", "    name: sandtable", "    name: another"),
    (check_front, "components/front/haproxy.cfg", "sandtable-1:4010 id 2", "sandtable-1:4010 id 1"),
    (check_front, "components/front/haproxy.cfg", "-m str sandtable-0 sandtable-1", "-m str sandtable-0"),
    (check_front, "components/front/kustomization.yaml", "count: 2", "count: 3"),
)


def check_mistakes(*of_server):
    """Each mistake makes its check fail: else the check holds nothing."""
    global FOLDER
    real = FOLDER
    for check, name, said, instead in MISTAKES:
        with tempfile.TemporaryDirectory() as folder:
            FOLDER = pathlib.Path(folder) / "kubernetes"
            subprocess.run(["cp", "-R", real, FOLDER], check=True)
            place = FOLDER / name
            text = place.read_text()
            assert said in text, f"{name} does not say {said!r}"
            place.write_text(text.replace(said, instead, 1))
            try:
                check(*(of_server if check is check_server else ()))
            except AssertionError:
                continue
            finally:
                FOLDER = real
        raise AssertionError(f"{check.__name__} does not see {instead!r} in {name}")
    print(len(MISTAKES), "mistakes are seen")


def check_pod_of(overlay):
    """Prints what the server's pod asks of an engine, for the test that starts it there."""
    documents = kustomize(FOLDER / "overlays" / overlay)
    template = only(documents, "StatefulSet", "sandtable")["spec"]["template"]
    print(json.dumps(template["spec"]))


CHECKS = {
    "schemas": check_schemas,
    "admission": check_admission,
    "links": check_links,
    "rules": check_rules,
    "server": check_server,
    "front": check_front,
    "template": check_template,
    "mistakes": check_mistakes,
    "pod": check_pod_of,
}

if __name__ == "__main__":
    CHECKS[sys.argv[2]](*sys.argv[3:])
