-- Clusters and cloud resources: Config Connector, Crossplane, ACK, Cluster API, Karpenter, Gardener, Pulumi.

kind("*.cnrm.cloud.google.com/*", function(o)
  local s = status(o)
  if is_empty(o.status) or unobserved(o) then return Progressing("Update in progress") end
  if s.healthy ~= nil then
    if s.healthy then return Healthy(o.kind .. " is healthy") end
    return Degraded(o.kind .. " is not healthy")
  end
  local ready = condition(o, "Ready")
  if ready == nil then return Progressing("Update in progress") end
  local reason = ready.reason or ""
  if ready.status == "True" or reason == "UpToDate" then return Healthy(ready.message) end
  if reason == "DependencyNotReady" or reason == "DependencyNotFound" then return Suspended(ready.message) end
  if reason == "Updating" or reason == "Deleting" or reason == "" then return Progressing(ready.message) end
  return Degraded(ready.message)
end)

-- Crossplane -------------------------------------------------------------------------------------------------------

-- Kinds that never get a status.
local stateless = {
  ClusterProviderConfig = true, Composition = true, CompositionRevision = true, DeploymentRuntimeConfig = true,
  EnvironmentConfig = true, ImageConfig = true, ProviderConfig = true, ProviderConfigUsage = true,
}

kind({ "*.crossplane.io/*", "*.upbound.io/*" }, function(o)
  if is_empty(conditions(o)) then
    if stateless[o.kind] then
      if o.kind == "ProviderConfig" and at(o, "status", "users") ~= nil then
        return Healthy("Resource is in use.")
      end
      return Healthy("Resource is up-to-date.")
    end
    return Progressing("Provisioning ...")
  end
  local good
  for _, c in ipairs(conditions(o)) do
    if c.type == "Synced" and c.status == "False" and c.reason == "ReconcilePaused" then
      return Suspended(c.message or c.reason)
    end
    if (c.type == "LastAsyncOperation" or c.type == "Synced") and c.status == "False" then
      return Degraded(c.message)
    end
    if (c.type == "Ready" or c.type == "Healthy" or c.type == "Offered" or c.type == "Established")
      and c.status == "True" then
      good = true
    end
  end
  if good then return Healthy("Resource is up-to-date.") end
  return Progressing("Provisioning ...")
end)

-- The older AWS provider: Synced decides before Ready.
local function crossplane_aws(name)
  return function(o)
    local ready, synced = condition(o, "Ready"), condition(o, "Synced")
    if is_empty(conditions(o)) then return Progressing("Waiting for " .. name .. " to be created") end
    if is(synced, "False") then
      if synced.reason == "ReconcilePaused" then return Suspended(synced.reason) end
      return Degraded(synced.message)
    end
    if is(ready, "True") then return Healthy(ready.reason) end
    return Progressing("Waiting for " .. name .. " to be available")
  end
end

kind("cloudfront.aws.crossplane.io/Distribution", crossplane_aws("distribution"))
kind("route53.aws.crossplane.io/ResourceRecordSet", crossplane_aws("resourcrecordset"))
kind("iam.aws.crossplane.io/Policy", crossplane_aws("policy"))
kind("iam.aws.crossplane.io/Role", crossplane_aws("role"))
kind("iam.aws.crossplane.io/RolePolicyAttachment", crossplane_aws("rolepolicyattachment"))
kind("rds.aws.crossplane.io/DBCluster", crossplane_aws("dbcluster"))
kind("rds.aws.crossplane.io/DBInstance", crossplane_aws("dbinstance"))
kind("s3.aws.crossplane.io/Bucket", crossplane_aws("bucket"))

kind("pkg.crossplane.io/Provider", function(o)
  local installed, healthy = condition(o, "Installed"), condition(o, "Healthy")
  if installed == nil and healthy == nil then return Progressing("Waiting for provider to be installed") end
  local reasons = {}
  if installed then table.insert(reasons, installed.reason) end
  if healthy then table.insert(reasons, healthy.reason) end
  local message = table.concat(reasons, " ")
  if is(installed, "False") or is(healthy, "False") then return Degraded(message) end
  if is(installed, "True") and is(healthy, "True") then return Healthy(message) end
  return Progressing(message)
end)

kind("stacks.crossplane.io/ClusterStackInstall", function(o)
  local good
  for _, c in ipairs(at(o, "status", "conditionedStatus", "conditions") or {}) do
    if c.type == "Ready" then
      if c.status == "True" then good = c elseif c.status == "False" then return Progressing(c.reason) end
    end
  end
  if good then return Healthy(good.reason) end
  return Progressing("Waiting for stack to be installed")
end)

kind("*.services.k8s.aws/*", function(o)
  local terminal = condition(o, "ACK.Terminal", "True")
  if terminal then return Degraded(terminal.message) end
  local recoverable = condition(o, "ACK.Recoverable", "True")
  if recoverable then return Degraded(recoverable.message) end
  local ready = condition(o, "Ready") or condition(o, "ACK.ResourceSynced")
  if is(ready, "True") then return Healthy(ready.message or "Resource is ready") end
  return Progressing("Waiting for resource to be ready")
end)

-- Cluster API ------------------------------------------------------------------------------------------------------

kind("cluster.x-k8s.io/Cluster", function(o)
  if at(o, "spec", "paused") == true then return Suspended("Cluster is paused") end
  local ready, phase = condition(o, "Ready") or condition(o, "Available"), status(o).phase
  if is(ready, "False") and (ready.severity == "Error" or phase == "Failed") then return Degraded(ready.message) end
  if is(ready, "True") and (phase == "Provisioned" or phase == nil) then return Healthy("Cluster is running") end
  return Progressing("Waiting for clusters")
end)

kind("cluster.x-k8s.io/Machine", function(o)
  local ready, phase = condition(o, "Ready"), status(o).phase
  local message = ready and ready.message
  if phase == "Failed" then return Degraded(message) end
  if phase == "Running" and not is(ready, "False") then return Healthy("Machine is running") end
  return Progressing(message or "Waiting for machines")
end)

kind("cluster.x-k8s.io/MachineDeployment", function(o)
  if at(o, "spec", "paused") == true then return Suspended("MachineDeployment is paused") end
  local phase = status(o).phase
  if phase == "Running" then return Healthy("Machines are running under this deployment") end
  if phase == "ScalingUp" then return Progressing("Cluster is spawning machines") end
  if phase == "ScalingDown" then return Progressing("Cluster is stopping machines") end
  if phase == "Failed" then return Degraded("MachineDeployment is failed") end
  return Progressing("Waiting for machines")
end)

kind("cluster.x-k8s.io/MachineHealthCheck", by_condition({
  type = "RemediationAllowed", wait = "Waiting for healthcheck",
}))

kind("cluster.x-k8s.io/MachinePool", function(o)
  local phase, missing, bad = status(o).phase, {}, false
  if phase == nil then return Progressing("MachinePool is not yet provisioned") end
  for _, c in ipairs(conditions(o)) do
    if c.status == "False" then
      table.insert(missing, "Not " .. c.type .. " (" .. (c.reason or "") .. ")")
      if c.severity == "Error" then bad = true end
    end
  end
  local message = "MachinePool is " .. phase
  if #missing > 0 then message = message .. ": " .. table.concat(missing, ", ") end
  if phase == "Failed" or bad then return Degraded(message) end
  if #missing > 0 then return Progressing(message) end
  return Healthy(message)
end)

kind("addons.cluster.x-k8s.io/ClusterResourceSet", by_condition({
  type = "ResourcesApplied", healthy = "cluster resource set is applied", wait = "Waiting for Cluster Resource Set",
}))

kind("controlplane.cluster.x-k8s.io/AWSManagedControlPlane", function(o)
  local s, failures = status(o), ""
  if unobserved(o) then return Progressing("Waiting for the control plane spec to be reconciled") end
  if s.failureMessage ~= nil then return Degraded(s.failureMessage) end
  for _, c in ipairs(conditions(o)) do
    if c.status == "False" and c.severity == "Error" then failures = failures .. (c.message or "") .. " " end
  end
  if failures ~= "" then return Degraded(failures) end
  if s.ready == true and condition(o, "Ready", "True") then return Healthy("Control plane is ready") end
  return Progressing("Control plane is not ready")
end)

kind("karpenter.sh/NodeClaim", function(o)
  local disrupting = condition(o, "Disrupting", "True")
  if disrupting then return Suspended(disrupting.message) end
  local launched, ready = condition(o, "Launched"), condition(o, "Ready")
  if is(launched, "False") then return Degraded(launched.message) end
  if not is(launched, "True") then return Progressing("Waiting for NodeClaim to be launched") end
  if is(condition(o, "Registered"), "False") then return Degraded(condition(o, "Registered").message) end
  if not condition(o, "Registered", "True") then return Progressing("Node launched, waiting for registration") end
  if not condition(o, "Initialized", "True") then
    return Progressing("Node registered, waiting for initialization")
  end
  if is(ready, "False") then return Degraded(ready.message) end
  if is(ready, "True") then
    return Healthy((ready.message and ready.message ~= "") and ready.message or "NodeClaim is ready")
  end
  return Progressing("Node initialized, waiting to become ready")
end)

kind("karpenter.sh/NodePool", function(o)
  local ready = condition(o, "Ready")
  if is(ready, "True") then
    return Healthy((ready.message and ready.message ~= "") and ready.message or "NodePool is ready")
  end
  if is(ready, "False") then return Degraded(ready.message) end
  return Progressing("Waiting for NodePool status to be available")
end)

kind("core.gardener.cloud/Shoot", function(o)
  local prefix, operation = "Component state: ", at(o, "status", "lastOperation")
  if operation == nil then return Progressing(prefix .. "Update in progress") end
  if at(o, "spec", "hibernation", "enabled") == true then return Suspended(prefix .. "Hibernated") end
  if operation.state == "Failed" or operation.state == "Aborted" or operation.state == "Error" then
    return Degraded(prefix .. "Degraded")
  end
  if operation.state == "Processing" or operation.state == "Pending" then
    return Progressing(prefix .. "Update in progress")
  end
  local moving = { APIServerAvailable = true, ControlPlaneHealthy = true, EveryNodeReady = true }
  local unknown = false
  for _, c in ipairs(conditions(o)) do
    if c.status ~= "True" then
      if moving[c.type] then return Progressing(prefix .. "Update in progress") end
      unknown = true
    end
  end
  if unknown then return Unknown(prefix .. "Unknown") end
  return Healthy(prefix .. "Healthy")
end)

kind("pulumi.com/Stack", function(o)
  if is_empty(o.status) or is_empty(conditions(o)) then return Progressing("Waiting for the stack to be processed") end
  if unobserved(o) then return Progressing("Waiting for the operator to observe the latest spec change") end
  local stalled, moving, ready = condition(o, "Stalled", "True"), condition(o, "Reconciling", "True"), condition(o, "Ready")
  if stalled then return Degraded(stalled.message) end
  if moving then
    if moving.reason == "RetryingAfterFailure" then return Degraded(moving.message) end
    return Progressing(moving.message)
  end
  if is(ready, "True") then return Healthy(ready.message) end
  return Progressing(ready and ready.message or "Waiting for the stack to be processed")
end)

kind("iammanager.keikoproj.io/Iamrole", function(o)
  local s = status(o)
  if s.state == "Ready" then
    return Healthy("Role '" .. (s.roleName or "") .. "' exists with ARN '" .. (s.roleARN or "") .. "' and ID '"
      .. (s.roleID or "") .. "'.")
  end
  if s.state == "Error" or s.state == "PolicyNotAllowed" or s.state == "RolesMaxLimitReached" then
    return Degraded(s.errorDescription)
  end
  return Progressing("Waiting for Iamrole to be reconciled")
end)

local function sap(o)
  if is_empty(conditions(o)) then return Progressing("Waiting for status") end
  local ready = condition(o, "Ready")
  local generation = at(o, "metadata", "generation")
  for _, c in ipairs(conditions(o)) do
    if c.observedGeneration ~= nil and generation ~= nil and c.observedGeneration < generation then
      return Progressing("Waiting for spec update to be observed")
    end
  end
  local failed = condition(o, "Failed", "True")
  if failed then return Degraded(failed.message) end
  local done = condition(o, "Succeeded", "False")
  if is(ready, "True") and not done then return Healthy("Ready to use") end
  if done and done.reason and string.find(done.reason, "Failed") then return Degraded(done.message) end
  return Progressing((done and done.message) or "Waiting for status")
end

kind({ "services.cloud.sap.com/ServiceBinding", "services.cloud.sap.com/ServiceInstance" }, sap)

kind({ "work.karmada.io/ClusterResourceBinding", "work.karmada.io/ResourceBinding" }, function(o)
  local wanted = at(o, "spec", "clusters") or {}
  local found, applied = at(o, "status", "aggregatedStatus") or {}, condition(o, "FullyApplied")
  if #found < #wanted or applied == nil or is(applied, "False") then
    return Progressing("Current resource status is insufficient")
  end
  for _, cluster in ipairs(found) do
    if cluster.applied ~= true or cluster.health == "Unhealthy" then
      return Degraded("Current resource status is unhealthy")
    end
  end
  return Healthy()
end)
