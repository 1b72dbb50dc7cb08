-- Kubernetes' own kinds that Argo CD leaves to scripts, and other people's workload kinds.

kind("apiextensions.k8s.io/CustomResourceDefinition", function(o)
  if at(o, "metadata", "deletionTimestamp") or is(condition(o, "Terminating"), "True") then
    return Progressing("CRD is terminating")
  end
  if is_empty(conditions(o)) then return Progressing("Status conditions not found") end
  local names = condition(o, "NamesAccepted", "False")
  if names then return Degraded("CRD names have not been accepted: " .. (names.message or "")) end
  local violations = condition(o, "NonStructuralSchema", "True")
  if violations then return Degraded("Schema violations found: " .. (violations.message or "")) end
  if condition(o, "Established", "True") then return Healthy("CRD is healthy") end
  return Degraded("CRD is not established")
end)

kind("batch/CronJob", function(o)
  local s = status(o)
  if at(o, "spec", "suspend") == true then return Healthy("CronJob is Suspended") end
  if not is_empty(s.active) then
    return Healthy("The job is running. Its last execution may not have been successful")
  end
  if s.lastScheduleTime == nil then return Healthy("CronJob has not been scheduled yet") end
  if s.lastSuccessfulTime == nil or s.lastSuccessfulTime < s.lastScheduleTime then
    return Degraded("CronJob has not completed its last execution successfully")
  end
  return Healthy("CronJob has completed its last execution successfully")
end)

kind("policy/PodDisruptionBudget", function(o)
  local result = Progressing("Waiting for status")
  for _, c in ipairs(conditions(o)) do
    if c.type == "DisruptionAllowed" then
      if c.status == "True" and c.reason == "SufficientPods" then
        result = Healthy("PodDisruptionBudget has SufficientPods")
      elseif c.status == "False" and c.reason == "SyncFailed" then
        return Degraded("PodDisruptionBudget has SyncFailed")
      elseif c.status == "False" and c.reason == "InsufficientPods" then
        result = Progressing("PodDisruptionBudget has InsufficientPods")
      end
    end
  end
  return result
end)

kind("apps.openshift.io/DeploymentConfig", function(o)
  local available, progressing = condition(o, "Available"), condition(o, "Progressing")
  if is(available, "False") or is(progressing, "False") then
    return Degraded("Deployment config is degraded")
  end
  if is(progressing, "True") and progressing.reason == "NewReplicationControllerAvailable" then
    return Healthy("replication controller successfully rolled out")
  end
  return Progressing("replication controller is waiting for pods to run")
end)

kind("apps.kruise.io/AdvancedCronJob", function(o)
  local s = status(o)
  if at(o, "spec", "paused") == true then return Suspended("AdvancedCronJob is Paused") end
  if not is_empty(s.active) then return Progressing("AdvancedCronJobs has active jobs") end
  if s.lastScheduleTime ~= nil then return Healthy("AdvancedCronJobs has run successfully") end
  if o.status == nil then return Progressing("Waiting for initialization") end
  return Degraded("AdvancedCronJobs has not run successfully")
end)

kind("apps.kruise.io/BroadcastJob", function(o)
  local s = status(o)
  if s.phase == "paused" and at(o, "spec", "paused") == true then return Suspended("BroadcastJob is Paused") end
  if s.phase == "completed" and s.desired == s.succeeded then
    return Healthy("BroadcastJob is completed successfully")
  end
  if s.phase == "failed" and s.failed ~= 0 then return Degraded("BroadcastJob failed") end
  if s.phase == "running" and s.active ~= 0 then return Progressing("BroadcastJob is still running") end
  return Progressing("Waiting for initialization")
end)

-- Kruise's sets agree in all but their names and where they say that they are paused.
local function kruise_set(name, part, strategy)
  return function(o)
    local s, update = status(o), strategy(o)
    if o.status == nil or unobserved(o) then return Progressing("Waiting for initialization") end
    if update.paused == true then return Suspended(name .. " is paused") end
    local partition = update.partition
    if partition ~= nil and partition ~= 0 and partition ~= "0%"
      and (s.updatedReplicas == nil or s.updatedReplicas < (s.replicas or 0)) then
      return Suspended(name .. " needs manual intervention")
    end
    if s.updatedAvailableReplicas == nil then return Progressing("Waiting for initialization") end
    if s.updatedAvailableReplicas == s.replicas then
      return Healthy("All " .. part .. " workloads are ready and updated")
    end
    return Degraded("Some replicas are not ready or available")
  end
end

kind("apps.kruise.io/CloneSet", kruise_set("Cloneset", "Cloneset", function(o)
  return at(o, "spec", "updateStrategy") or {}
end))

kind("apps.kruise.io/StatefulSet", kruise_set("Statefulset", "Statefulset", function(o)
  return at(o, "spec", "updateStrategy", "rollingUpdate") or {}
end))

kind("apps.kruise.io/DaemonSet", function(o)
  local s, update = status(o), at(o, "spec", "updateStrategy", "rollingUpdate") or {}
  if o.status == nil or unobserved(o) then return Progressing("Waiting for initialization") end
  if update.paused == true then return Suspended("Daemonset is paused") end
  if update.partition ~= nil and update.partition ~= 0 then
    return Suspended("Daemonset needs manual intervention")
  end
  if s.updatedNumberScheduled == s.desiredNumberScheduled and s.numberAvailable == s.desiredNumberScheduled then
    return Healthy("All Daemonset workloads are ready and updated")
  end
  if s.updatedNumberScheduled == s.desiredNumberScheduled and (s.numberUnavailable or 0) > 0 then
    return Degraded("Some pods are not ready or available")
  end
  return Progressing("Waiting for initialization")
end)

kind("rollouts.kruise.io/Rollout", function(o)
  local s = status(o)
  if o.status == nil or unobserved(o) then return Progressing("Waiting for initialization") end
  local progressing = condition(o, "Progressing")
  if s.phase == "Disabled" or s.phase == "Terminating" then
    return Degraded("Rollout is Disabled or Terminating")
  end
  if at(s, "canaryStatus", "currentStepState") == "StepPaused" then
    return Suspended("Rollout is Paused need manual intervention")
  end
  if s.phase == "Progressing" then return Progressing("Rollout is still progressing") end
  if s.phase == "Healthy" and (progressing == nil or progressing.reason == "Completed") then
    return Healthy("Rollout is Completed")
  end
  return Progressing("Rollout is still progressing")
end)

kind("game.kruise.io/GameServer", function(o)
  local s = status(o)
  if s.currentState == nil then return Progressing("Waiting for GameServer status") end
  if s.currentState == "Crash" then return Degraded("GameServer is Crash") end
  for _, c in ipairs(conditions(o)) do
    if c.status == "False" then return Degraded(c.message or (c.type .. " is False")) end
  end
  if s.currentState == "Ready" then return Healthy("GameServer is Ready") end
  return Progressing("GameServer is " .. s.currentState)
end)

kind("game.kruise.io/GameServerSet", function(o)
  local s = status(o)
  if o.status == nil or unobserved(o) then
    return Progressing("Waiting for GameServerSet status")
  end
  local wanted = at(o, "spec", "replicas") or s.replicas or 0
  local partition = at(o, "spec", "updateStrategy", "rollingUpdate", "partition")
  if type(partition) == "number" and partition > 0 and (s.updatedReplicas or 0) >= wanted - partition then
    return Suspended("Partition=" .. partition .. ", waiting for manual intervention")
  end
  local ready = s.readyReplicas or 0
  if ready < wanted then
    return Progressing("ReadyReplicas " .. ready .. "/" .. wanted .. ", still progressing")
  end
  local updated = s.updatedReadyReplicas or 0
  if updated < wanted then
    return Progressing("UpdatedReadyReplicas " .. updated .. "/" .. wanted .. ", still progressing")
  end
  return Healthy("All GameServerSet replicas are updated and ready")
end)

kind("core.spinkube.dev/SpinApp", function(o)
  local progressing, available = condition(o, "Progressing"), condition(o, "Available")
  if is(progressing, "True") then return Progressing(progressing.message) end
  if is(available, "False") then return Degraded(available.message) end
  if is(available, "True") then
    local ready = status(o).readyReplicas or 0
    return Healthy("Application is healthy with " .. ready .. "/" .. (at(o, "spec", "replicas") or ready)
      .. " replicas ready")
  end
  return Progressing("Waiting for status to be available")
end)

kind("openfaas.com/Function", function(o)
  for _, c in ipairs(conditions(o)) do
    if c.type == "Stalled" and c.status == "True" then return Degraded(c.message) end
    if (c.type == "Ready" or c.type == "Healthy") and c.status == "False" then return Degraded(c.message) end
  end
  for _, c in ipairs(conditions(o)) do
    if c.type == "Reconciling" and c.status == "True" then return Progressing(c.message) end
    if (c.type == "Ready" or c.type == "Healthy") and c.status == "True" then return Healthy(c.message) end
  end
  return Progressing("Waiting for Function")
end)

kind("camel.apache.org/Integration", function(o)
  local ready, phase = condition(o, "Ready"), status(o).phase
  if phase == "Running" and is(ready, "True") then return Healthy(ready.message) end
  if phase == "Error" then return Degraded(ready and ready.message) end
  return Progressing("Waiting for Integration")
end)

kind("sparkoperator.k8s.io/SparkApplication", function(o)
  local state = at(o, "status", "applicationState", "state")
  local message = at(o, "status", "applicationState", "errorMessage")
  local waiting = {
    SUBMITTED = "SparkApplication is Submitted",
    PENDING_RERUN = "SparkApplication is Pending Rerun",
    PENDING_SUBMISSION = "SparkApplication is Pending Submission",
    SUCCEEDING = "SparkApplication is Succeeding",
    FAILING = "SparkApplication is Failing",
    INVALIDATING = "SparkApplication is Invalidating",
  }
  if state == "FAILED" or state == "SUBMISSION_FAILED" then return Degraded(message) end
  if state == "COMPLETED" then return Healthy("SparkApplication was Successful") end
  if state == "RUNNING" then
    local running, dynamic = 0, at(o, "spec", "sparkConf", "spark.streaming.dynamicAllocation.enabled") == "true"
      or at(o, "spec", "sparkConf", "spark.dynamicAllocation.enabled") == "true"
      or at(o, "spec", "dynamicAllocation", "enabled") == true
    for _, executor in pairs(status(o).executorState or {}) do
      if executor == "RUNNING" then running = running + 1 end
    end
    local wanted = at(o, "spec", "executor", "instances")
    if wanted == nil then
      if running > 0 then return Healthy("SparkApplication is Running") end
    elseif dynamic then
      local low = tonumber(at(o, "spec", "sparkConf", "spark.streaming.dynamicAllocation.minExecutors")
        or at(o, "spec", "sparkConf", "spark.dynamicAllocation.minExecutors")
        or at(o, "spec", "dynamicAllocation", "minExecutors")) or 0
      if running >= low then return Healthy("SparkApplication is Running") end
    elseif running >= wanted then
      return Healthy("SparkApplication is Running")
    end
    return Progressing("Waiting for Spark application to become Healthy")
  end
  return Progressing(waiting[state] or "Waiting for Spark application to become Healthy")
end)

kind("spot.io/SpotDeployment", function(o)
  for _, c in ipairs(conditions(o)) do
    if c.type == "InvalidSpec" then return Degraded(c.message) end
  end
  local phase = status(o).phase
  if phase == nil then return Progressing("Waiting for rollout to finish: status has not been reconciled.") end
  local progressing = condition(o, "Progressing")
  local message = progressing and progressing.message
  if phase == "Degraded" then return Degraded(message) end
  if phase == "Paused" then return Suspended("Rollout is paused") end
  if phase == "Healthy" then return Healthy() end
  return Progressing(message or "Waiting for rollout to finish")
end)

kind("opentelemetry.io/OpenTelemetryCollector", function(o)
  local mode = at(o, "spec", "mode") or "deployment"
  if mode == "sidecar" then return Healthy("Collector is running in sidecar mode") end
  local name = ({ daemonset = "DaemonSet", statefulset = "StatefulSet", deployment = "Deployment" })[mode] or mode
  local replicas = at(o, "status", "scale", "statusReplicas")
  local ready, all = string.match(replicas or "", "^(%d+)/(%d+)$")
  if ready == nil then return Progressing("Waiting for " .. name .. " status") end
  ready, all = tonumber(ready), tonumber(all)
  if all == 0 and mode == "daemonset" then return Healthy("DaemonSet has no eligible nodes (0/0)") end
  if ready == all then return Healthy(name .. " is ready (" .. replicas .. ")") end
  return Progressing("Waiting for " .. name .. " to be ready (" .. replicas .. ")")
end)

kind("solr.apache.org/SolrCloud", function(o)
  local s = status(o)
  local wanted = at(o, "spec", "replicas") or s.replicas
  for _, node in ipairs(s.solrNodes or {}) do
    if node.ready ~= true then return Progressing("Not all replicas are ready") end
  end
  if s.readyReplicas ~= nil and s.readyReplicas == wanted then return Healthy("Solr is ready") end
  return Progressing("Not all replicas are ready")
end)

kind("zookeeper.pravega.io/ZookeeperCluster", function(o)
  local s = status(o)
  if s.readyReplicas ~= nil and s.readyReplicas ~= 0 and s.readyReplicas == s.replicas then
    return Healthy("All ZK Nodes have joined the ensemble")
  end
  return Progressing("Waiting for ZK Nodes to join the ensemble")
end)
