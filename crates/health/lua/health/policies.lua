-- Policies, secrets and certificates.

kind("kyverno.io/Policy", function(o)
  local ready = condition(o, "Ready")
  if is(ready, "True") or (ready == nil and status(o).ready == true) then return Healthy("Policy is ready") end
  if is(ready, "False") then return Degraded("Policy is not ready") end
  return Progressing("Waiting for Policy to be ready")
end)
kind("kyverno.io/ClusterPolicy", function(o)
  local ready = condition(o, "Ready")
  if is(ready, "True") or (ready == nil and status(o).ready == true) then return Healthy("Policy is ready") end
  if is(ready, "False") then return Degraded("Policy is not ready") end
  return Progressing("Waiting for Policy to be ready")
end)

-- cert-manager -----------------------------------------------------------------------------------------------------

kind({ "cert-manager.io/Certificate", "certmanager.k8s.io/Certificate" }, function(o)
  local issuing = condition(o, "Issuing", "True")
  if issuing then return Progressing(issuing.message) end
  local ready = condition(o, "Ready")
  if is(ready, "True") then return Healthy(ready.message) end
  if is(ready, "False") then return Degraded(ready.message) end
  return Progressing("Waiting for certificate")
end)

kind({ "cert-manager.io/Issuer", "certmanager.k8s.io/Issuer" }, by_condition({ wait = "Initializing Issuer" }))
kind({ "cert-manager.io/ClusterIssuer", "certmanager.k8s.io/ClusterIssuer" },
  by_condition({ wait = "Initializing ClusterIssuer" }))

-- Secrets ----------------------------------------------------------------------------------------------------------

kind("bitnami.com/SealedSecret", by_condition({ type = "Synced", wait = "Waiting for Sealed Secret to be decrypted" }))
kind("external-secrets.io/ExternalSecret", by_condition({ wait = "Waiting for ExternalSecret" }))
kind("external-secrets.io/PushSecret", by_condition({ wait = "Waiting for PushSecret" }))
kind("external-secrets.io/SecretStore", by_condition({ wait = "Initializing SecretStore" }))
kind("external-secrets.io/ClusterSecretStore", by_condition({ wait = "Initializing ClusterSecretStore" }))
kind("onepassword.com/OnePasswordItem", by_condition({ wait = "Waiting for OnePasswordItem" }))

kind("external-secrets.io/ClusterExternalSecret", function(o)
  local bad = condition(o, "NotReady", "True") or condition(o, "PartiallyReady", "True") or condition(o, "Ready", "False")
  if bad then return Degraded(bad.message) end
  local ready = condition(o, "Ready", "True")
  if ready then return Healthy(ready.message) end
  return Progressing("Waiting for ClusterExternalSecret")
end)

kind("kubernetes-client.io/ExternalSecret", function(o)
  local state = status(o).status
  if state == nil then return Progressing("Waiting for ExternalSecret.") end
  if state == "SUCCESS" then return Healthy("ExternalSecret was successful.") end
  local error = string.match(state, "^ERROR, (.*)$")
  if error then return Degraded(error) end
  return Progressing("Waiting for ExternalSecret.")
end)

-- Open Cluster Management ------------------------------------------------------------------------------------------

kind("policy.open-cluster-management.io/CertificatePolicy", function(o)
  local state = status(o).compliant
  if state == "Compliant" then return Healthy("All certificates found comply with the policy") end
  if state == "NonCompliant" then return Degraded("At least once certificate does not comply with the policy") end
  return Progressing("Waiting for the compliance status to be reported")
end)

kind("policy.open-cluster-management.io/ConfigurationPolicy", function(o)
  local s, generation = status(o), at(o, "metadata", "generation")
  if s.compliant == nil then return Progressing("Waiting for the status to be reported") end
  if s.lastEvaluatedGeneration ~= nil and generation ~= nil and s.lastEvaluatedGeneration ~= generation then
    return Progressing("Waiting for the status to be updated")
  end
  local messages = {}
  for _, detail in ipairs(s.compliancyDetails or {}) do
    for _, c in ipairs(detail.conditions or {}) do
      table.insert(messages, (c.type or "") .. " - " .. (c.message or ""))
    end
  end
  local message = table.concat(messages, "; ")
  if s.compliant == "Compliant" then return Healthy(message) end
  if s.compliant == "NonCompliant" then return Degraded(message) end
  return Progressing(message ~= "" and message or "Waiting for the status to be reported")
end)

kind("policy.open-cluster-management.io/OperatorPolicy", function(o)
  local s = status(o)
  if s.compliant == nil then return Progressing("Waiting for the status to be reported") end
  if unobserved(o) then return Progressing("Waiting for the status to be updated") end
  local compliant = condition(o, "Compliant")
  if compliant == nil then return Progressing("Waiting for the compliance condition") end
  if s.compliant == "Compliant" then return Healthy(compliant.message) end
  return Degraded(compliant.message)
end)

kind("policy.open-cluster-management.io/Policy", function(o)
  local s, bad = status(o), {}
  if is_empty(o.status) then return Progressing("Waiting for the status to be reported") end
  if s.status == nil and s.details == nil and s.compliant == nil then
    if s.placement ~= nil then return Healthy("No clusters match this policy") end
    return Progressing("Waiting for the status to be reported")
  end
  -- On a hub the clusters answer, on a managed cluster the templates.
  for _, cluster in ipairs(s.status or {}) do
    if cluster.compliant ~= "Compliant" then table.insert(bad, cluster.clustername or "") end
  end
  if s.details == nil then
    if s.status == nil then return Progressing("Waiting for the status to be reported") end
    if #bad > 0 then return Degraded("NonCompliant clusters: " .. table.concat(bad, ", ")) end
    return Healthy("All clusters are compliant")
  end
  local pending = {}
  for _, detail in ipairs(s.details) do
    local name = at(detail, "templateMeta", "name") or ""
    if detail.compliant == "NonCompliant" then table.insert(bad, name) end
    if detail.compliant == "Pending" or detail.compliant == nil then table.insert(pending, name) end
  end
  if #bad > 0 then return Degraded("NonCompliant templates: " .. table.concat(bad, ", ")) end
  if #pending > 0 then return Progressing("Pending templates: " .. table.concat(pending, ", ")) end
  return Healthy("All templates are compliant")
end)
