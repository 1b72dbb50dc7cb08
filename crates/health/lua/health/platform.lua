-- Delivery, observability, machines, serving: all that fits nowhere else.

-- Flux: Ready decides, its reason is the message.
local function flux(wait)
  return function(o)
    if at(o, "spec", "suspend") == true then return Suspended(o.kind .. " is suspended") end
    local ready = condition(o, "Ready")
    if ready ~= nil then
      if ready.status == "True" then return Healthy(ready.reason) end
      if ready.status == "False" then return Degraded(ready.reason) end
      return Progressing(ready.reason)
    end
    local moving = condition(o, "Reconciling", "True")
    if moving then return Progressing(moving.reason) end
    return Progressing(wait)
  end
end

for _, name in ipairs({
  "helm.toolkit.fluxcd.io/HelmRelease", "image.toolkit.fluxcd.io/ImagePolicy",
  "image.toolkit.fluxcd.io/ImageRepository", "image.toolkit.fluxcd.io/ImageUpdateAutomation",
  "kustomize.toolkit.fluxcd.io/Kustomization", "notification.toolkit.fluxcd.io/Receiver",
  "notification.toolkit.fluxcd.io/Alert", "notification.toolkit.fluxcd.io/Provider",
  "source.toolkit.fluxcd.io/Bucket", "source.toolkit.fluxcd.io/GitRepository", "source.toolkit.fluxcd.io/HelmChart",
  "source.toolkit.fluxcd.io/OCIRepository",
}) do
  kind(name, flux("Waiting for " .. string.match(name, "/(.*)$")))
end

local repository = flux("Waiting for HelmRepository")
kind("source.toolkit.fluxcd.io/HelmRepository", function(o)
  if at(o, "spec", "type") == "oci" and at(o, "spec", "suspend") ~= true then
    return Healthy("Helm repositories of type 'oci' do not contain any information in the status.")
  end
  return repository(o)
end)

-- Observability ----------------------------------------------------------------------------------------------------

kind("monitoring.coreos.com/Prometheus", function(o)
  if at(o, "spec", "paused") == true then return Suspended("Prometheus is paused") end
  local available, reconciled = condition(o, "Available"), condition(o, "Reconciled")
  if available == nil and reconciled == nil then return Progressing("Waiting initialization") end
  for _, c in ipairs({ available or false, reconciled or false }) do
    if c and c.status ~= "True" then
      local message = (c.message ~= nil and c.message ~= "") and c.message or c.reason
      if c.reason == "SomePodsNotReady" or c.status == "Unknown" then return Progressing(message) end
      return Degraded(message)
    end
  end
  return Healthy("All instances are available")
end)

kind("*.victoriametrics.com/*", function(o)
  local s = status(o)
  if is_empty(o.status) or unobserved(o) then return Progressing("Waiting for reconciliation") end
  if s.updateStatus == "operational" then return Healthy("All components are operational") end
  if s.updateStatus == "expanding" then return Progressing("Reconciliation in progress") end
  if s.updateStatus == "failed" then return Degraded(s.reason or "Reconciliation failed") end
  if s.updateStatus == "paused" then return Suspended("Reconciliation is paused") end
  return Progressing("Waiting for reconciliation")
end)

kind("grafana.integreatly.org/Grafana", function(o)
  local s = status(o)
  if s.stageStatus == "failed" then return Degraded(s.lastMessage or s.stage) end
  if s.stage == "complete" and s.stageStatus == "success" then return Healthy() end
  return Progressing(s.stage)
end)

local function grafana(type)
  return function(o)
    local found = condition(o, type)
    if found == nil then
      for _, c in ipairs(conditions(o)) do
        if c.status == "True" then found = c end
      end
      if found == nil then return Progressing() end
      return Degraded((found.reason or "") .. " for " .. found.type .. " because " .. (found.message or ""))
    end
    local message = (found.reason or "") .. " for " .. found.type .. " because " .. (found.message or "")
    if found.status == "True" then return Healthy(message) end
    return Degraded(message)
  end
end

kind("grafana.integreatly.org/GrafanaDashboard", grafana("DashboardSynchronized"))
kind("grafana.integreatly.org/GrafanaFolder", grafana("FolderSynchronized"))

kind("grafana.integreatly.org/GrafanaDatasource", function(o)
  local s = status(o)
  local synchronized = condition(o, "DatasourceSynchronized")
  if is(synchronized, "False") then return Degraded(synchronized.message) end
  if s.hash ~= nil and s.hash ~= "" and s.lastResync ~= nil then return Healthy() end
  return Progressing()
end)

kind("grafana-org-operator.kubitus-project.gitlab.io/*", by_condition({ wait = "Waiting for status" }))

kind({ "coralogix.com/Alert", "coralogix.com/RecordingRuleGroupSet" }, by_condition({
  type = "RemoteSynced", healthy = "Resource is ready", wait = "Waiting for resource to be synced",
}))

kind("datadoghq.com/DatadogMetric", function(o)
  local bad = condition(o, "Error", "True")
  if bad then return Degraded((bad.reason or "") .. ": " .. (bad.message or "")) end
  if is_empty(conditions(o)) then return Progressing("Waiting for DatadogMetric") end
  if condition(o, "Valid", "True") or condition(o, "Active", "False") then return Healthy("DatadogMetric is healthy") end
  return Progressing("Waiting for DatadogMetric")
end)

-- Humio ------------------------------------------------------------------------------------------------------------

local function humio_states(text)
  return {
    Exists = Healthy(text("Exists")), NotFound = Missing(text("NotFound")),
    ConfigError = Degraded(text("ConfigError")), Unknown = Unknown(text("Unknown")),
  }
end

local function humio_text(word) return "Component state: " .. word .. "." end

for _, name in ipairs({ "HumioAction", "HumioAlert", "HumioIngestToken", "HumioParser", "HumioRepository", "HumioView" }) do
  kind("core.humio.com/" .. name, by_word("status.state", humio_states(humio_text),
    function() return Progressing("Update in progress") end,
    function(_, word) return Unknown(humio_text(word)) end))
end

kind("core.humio.com/HumioCluster", by_word("status.state", {
  Running = Healthy("Cluster is in a healthy running state"),
  Restarting = Progressing("Cluster pods are being restarted"),
  Upgrading = Progressing("Cluster pods are being upgraded to a new version"),
  Pending = Progressing("Cluster pods are being created"),
  Bootstrapping = Progressing("Cluster pods are being created"),
  ConfigError = function(o)
    local message = status(o).message
    if message ~= nil and message ~= "" then return Degraded(message) end
    return Degraded("User-provided cluster specification resulted in a configuration error")
  end,
}, function() return Progressing("Waiting for cluster status") end, function(_, word) return Unknown(humio_text(word)) end))

-- Keptn ------------------------------------------------------------------------------------------------------------

local function keptn(name, field)
  kind("lifecycle.keptn.sh/" .. name, function(o)
    local state = status(o)[field]
    if state == "Succeeded" then return Healthy(name .. " is healthy") end
    if state == "Failed" then return Degraded(name .. " is degraded") end
    return Progressing(name .. " is progressing")
  end)
end

for _, name in ipairs({ "KeptnAppVersion", "KeptnTask", "KeptnWorkloadInstance", "KeptnWorkloadVersion" }) do
  keptn(name, "status")
end
keptn("KeptnEvaluation", "overallStatus")

kind("metrics.keptn.sh/Analysis", function(o)
  local s = status(o)
  if s.state ~= "Completed" then return Progressing("Analysis is progressing") end
  if s.warning == true then return Healthy("Analysis is healthy with warnings") end
  if s.pass == true then return Healthy("Analysis is healthy") end
  return Degraded("Analysis is degraded")
end)

kind("metrics.keptn.sh/KeptnMetric", function(o)
  local s = status(o)
  if s.errMsg ~= nil and s.errMsg ~= "" then return Degraded("KeptnMetric is degraded") end
  if s.value ~= nil and s.value ~= "" then return Healthy("KeptnMetric is healthy") end
  return Progressing("KeptnMetric is progressing")
end)

-- Machines and jobs ------------------------------------------------------------------------------------------------

kind("kubevirt.io/VirtualMachine", function(o)
  local s = status(o)
  if is_empty(conditions(o)) then return Progressing("No status available") end
  local failure, paused, ready = condition(o, "Failure", "True"), condition(o, "Paused", "True"), condition(o, "Ready")
  if failure then return Degraded(failure.message) end
  if paused then return Suspended(paused.message) end
  if is(ready, "True") then return Healthy(s.printableStatus) end
  if s.printableStatus == "Stopped" or s.printableStatus == "Paused" then return Suspended(s.printableStatus) end
  local bad = { CrashLoopBackOff = true, ErrorUnschedulable = true, ErrImagePull = true, ImagePullBackOff = true,
    ErrorPvcNotFound = true, DataVolumeError = true, Unschedulable = true }
  if bad[s.printableStatus] then return Degraded(s.printableStatus) end
  return Progressing(s.printableStatus)
end)

kind("kubevirt.io/VirtualMachineInstance", function(o)
  local s = status(o)
  if s.phase == nil then return Progressing("No status available") end
  local paused = condition(o, "Paused", "True")
  if paused then return Suspended(paused.message) end
  if s.phase == "Failed" then return Degraded(s.phase) end
  if s.phase == "Running" then
    local ready = condition(o, "Ready")
    if is(ready, "True") then return Healthy("Running") end
    return Degraded(ready and ready.message or "Running")
  end
  return Progressing(s.phase)
end)

kind("tower.ansible.com/AnsibleJob", function(o)
  local result = at(o, "status", "ansibleJobResult")
  if result == nil or result.status == nil then return Progressing("Waiting for AnsibleJob") end
  local message = result.status .. " job - " .. (result.url or "")
  if result.status == "successful" then return Healthy(message) end
  if result.status == "error" or result.status == "failed" or result.status == "canceled" then
    return Degraded(message)
  end
  return Progressing(message)
end)

kind("flink.apache.org/FlinkDeployment", function(o)
  local s = status(o)
  local deployment, job = s.jobManagerDeploymentStatus, at(s, "jobStatus", "state")
  local reconciled = at(s, "reconciliationStatus", "state")
  if is_empty(o.status) or is_empty(s.reconciliationStatus) then return Progressing("Waiting for deploying") end
  if reconciled == "DEPLOYED" and job == "SUSPENDED" and at(o, "spec", "job", "state") == "suspended" then
    return Healthy()
  end
  if deployment == "READY" and (job == nil or job == "RUNNING" or job == "FINISHED") then return Healthy() end
  if deployment == "ERROR" or job == "FAILED" then return Degraded(s.error) end
  return Progressing("Waiting for deploying")
end)

for _, name in ipairs({ "ScaledJob", "ScaledObject" }) do
  kind("keda.sh/" .. name, function(o)
    local paused, fallback = condition(o, "Paused", "True"), condition(o, "Fallback", "True")
    local ready = condition(o, "Ready")
    if paused then return Suspended(paused.message) end
    if is(ready, "False") then return Degraded(ready.message) end
    if fallback then return Degraded(fallback.message) end
    if is(ready, "True") then return Healthy(ready.message) end
    return Progressing("Waiting for " .. name)
  end)
end

for _, name in ipairs({ "AtlasMigration", "AtlasSchema" }) do
  kind("db.atlasgo.io/" .. name, function(o)
    local ready = condition(o, "Ready")
    if ready == nil then return Progressing("Waiting for reconciliation") end
    if ready.status == "True" then return Healthy(ready.reason) end
    if ready.reason == "Reconciling" then return Progressing(ready.reason) end
    return Degraded(ready.reason)
  end)
end

-- Knative and KServe -----------------------------------------------------------------------------------------------

-- The operators list all conditions by name; any word that is no Kubernetes status is a failure.
local function knative_operator(o)
  local list, text, counts = {}, "", { True = 0, other = 0, moving = 0 }
  for _, c in ipairs(conditions(o)) do table.insert(list, c) end
  if #list == 0 then return Progressing("Waiting for Knative Operator") end
  table.sort(list, function(a, b) return a.type < b.type end)
  for index, c in ipairs(list) do
    text = text .. index .. ": " .. c.type .. " | " .. c.status .. "\n"
    if c.status == "True" then counts.True = counts.True + 1
    elseif c.status == "False" or c.status == "Unknown" then counts.moving = counts.moving + 1
    else counts.other = counts.other + 1 end
  end
  if counts.other > 0 then return Degraded(text) end
  if counts.moving > 0 then return Progressing(text) end
  return Healthy(text)
end

kind({ "operator.knative.dev/KnativeEventing", "operator.knative.dev/KnativeServing" }, knative_operator)

kind("serving.knative.dev/Service", function(o)
  if is_empty(conditions(o)) then return Progressing("Waiting for Knative Service") end
  local text, failed, moving = "", false, false
  for _, c in ipairs(conditions(o)) do
    if c.status ~= "True" then
      text = text .. c.type .. " is " .. c.status .. ", since " .. (c.reason or "") .. ". " .. (c.message or "") .. "\n"
    end
    if c.status == "False" then failed = true elseif c.status == "Unknown" then moving = true end
  end
  if failed then return Degraded(text) end
  if moving then return Progressing(text) end
  return Healthy("Knative Service is healthy.")
end)

kind("serving.kserve.io/InferenceService", function(o)
  local s = status(o)
  if is_empty(conditions(o)) then return Progressing("Waiting for InferenceService to report status...") end
  local parts, failed, moving = {}, false, false
  local transition = at(s, "modelStatus", "transitionStatus")
  if transition ~= nil and transition ~= "UpToDate" then
    table.insert(parts, "0: transitionStatus | " .. transition)
    if transition == "InProgress" then moving = true else failed = true end
  end
  for index, c in ipairs(conditions(o)) do
    if c.type ~= "Stopped" and c.status ~= "True" then
      local text = index .. ": " .. c.type .. " | " .. c.status
      if c.reason ~= nil and c.reason ~= "" then text = text .. " | " .. c.reason end
      if c.message ~= nil and c.message ~= "" then text = text .. " | " .. c.message end
      table.insert(parts, text)
      if c.status == "False" and c.reason ~= nil then failed = true else moving = true end
    end
  end
  local text = table.concat(parts, " | ")
  if condition(o, "Stopped", "True") then return Suspended("InferenceService is Stopped") end
  if failed then return Degraded(text) end
  if moving then return Progressing(text) end
  return Healthy("InferenceService is healthy.")
end)

-- Operators --------------------------------------------------------------------------------------------------------

kind("operators.coreos.com/Subscription", function(o)
  local s, list, text = status(o), {}, ""
  for _, c in ipairs(conditions(o)) do table.insert(list, c) end
  if #list == 0 and s.state == nil then return Progressing("Waiting for Subscription") end
  table.sort(list, function(a, b) return a.type < b.type end)
  local failed, pending, manual = false, false, false
  for index, c in ipairs(list) do
    text = text .. index .. ": " .. c.type .. " | " .. c.status .. "\n"
    if c.status == "True" then
      if c.type == "InstallPlanPending" then
        pending = true
        if c.reason == "RequiresApproval" and at(o, "spec", "installPlanApproval") == "Manual" then manual = true end
      elseif c.type == "CatalogSourcesUnhealthy" or c.type == "InstallPlanFailed" or c.type == "ResolutionFailed"
        or c.type == "InstallPlanMissing" or c.type == "BundleUnpackFailed" then
        failed = true
      end
    end
  end
  if s.state == nil then
    text = text .. ".status.state not yet known\n"
  else
    text = text .. ".status.state is '" .. s.state .. "'\n"
  end
  if failed then return Degraded(text) end
  if manual then
    if s.installedCSV ~= nil then return Suspended(text) end
    return Progressing(text)
  end
  if pending or s.state == nil or s.state == "UpgradePending" or s.state == "UpgradeAvailable" then
    return Progressing(text)
  end
  if s.state == "AtLatestKnown" then return Healthy(text) end
  return Degraded(text)
end)

kind("k8s.keycloak.org/Keycloak", function(o)
  local errors, ready = condition(o, "HasErrors", "True"), condition(o, "Ready", "True")
  if errors then return Degraded("Has Errors: " .. (errors.message or "")) end
  if ready and not condition(o, "RollingUpdate", "True") then return Healthy() end
  return Progressing()
end)

-- 3scale: what failed first, then what is done.
local function threescale(name, done, text)
  kind("capabilities.3scale.net/" .. name, function(o)
    for _, type in ipairs({ "Failed", "Invalid", "Orphan" }) do
      local bad = condition(o, type, "True")
      if bad then return Degraded(bad.message or ("3scale " .. name .. " is " .. string.lower(type))) end
    end
    local found = condition(o, done)
    if is(found, "True") then return Healthy("3scale " .. name .. " is " .. text) end
    if is(found, "False") and found.message ~= nil and found.message ~= "" then return Degraded(found.message) end
    return Progressing("Waiting for 3scale " .. name .. " status...")
  end)
end

for _, name in ipairs({ "ActiveDoc", "Application", "ApplicationAuth", "CustomPolicyDefinition", "DeveloperAccount",
  "DeveloperUser", "OpenAPI", "ProxyConfigPromote", "Tenant" }) do
  threescale(name, "Ready", "ready")
end
threescale("Backend", "Synced", "synced")
threescale("Product", "Synced", "synced")
