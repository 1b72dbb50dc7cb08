-- The kinds of the Argo project and of its neighbours: workflows, events, rollouts, promoter, Numaflow.

local function run(name, words)
  return function(o)
    local phase, message = status(o).phase, status(o).message
    if phase == nil then
      return Progressing("Waiting for " .. words.waits .. " to finish: status has not been reconciled.")
    end
    if phase == "Pending" then return Progressing(words.pending) end
    if phase == "Running" then return Progressing(words.running) end
    if not words.speaks then message = nil end
    if phase == "Successful" then return Healthy(message or words.successful) end
    if phase == "Failed" then return Degraded(message or (name .. words.failed)) end
    if phase == "Error" then return Degraded(message or (name .. " had an error")) end
    if phase == "Inconclusive" then return Unknown(message or (name .. " was inconclusive")) end
    return Progressing("Waiting for " .. words.waits .. " to finish: status has not been reconciled.")
  end
end

kind("argoproj.io/AnalysisRun", run("Analysis run", {
  waits = "analysis run", pending = "Analysis run is running", running = "Analysis run is running",
  successful = "Analysis run completed successfully", failed = " failed", speaks = true,
}))

kind("argoproj.io/Experiment", run("Experiment", {
  waits = "experiment", pending = "Experiment is pending", running = "Experiment is running",
  successful = "Experiment is successful", failed = " has failed",
}))

kind("argoproj.io/ApplicationSet", function(o)
  local failed = condition(o, "ErrorOccurred", "True")
  if failed then return Degraded(failed.message) end
  local current = condition(o, "ResourcesUpToDate")
  if is(current, "False") then return Degraded(current.message) end
  local rolling = condition(o, "RolloutProgressing", "True")
  if rolling then return Progressing(rolling.message) end
  if is(current, "True") then return Healthy(current.message) end
  return Progressing("Waiting for the status to be reported")
end)

kind("argoproj.io/CronWorkflow", function(o)
  for _, c in ipairs(conditions(o)) do
    if c.status == "True" then
      if c.type == "Completed" then return Healthy(c.message) end
      if c.type == "SpecError" or c.type == "SubmissionError" then return Degraded(c.message) end
    end
  end
  return Healthy("CronWorkflow is healthy.")
end)

-- Argo Events: every condition must hold; the last one that does speaks.
local function events(name)
  return function(o)
    local good
    for _, c in ipairs(conditions(o)) do
      if c.status == "False" then return Degraded(c.message) end
      if c.type == "Deployed" and c.status == "True" then good = c end
    end
    if good then return Healthy(good.message) end
    return Progressing("Waiting for " .. name)
  end
end

kind("argoproj.io/EventBus", events("EventBus"))
kind("argoproj.io/EventSource", events("EventSource"))
kind("argoproj.io/Sensor", events("Sensor"))

local function rollout_observed(o)
  local observed = tonumber(status(o).observedGeneration)
  local generation = tonumber(at(o, "metadata", "generation"))
  if observed and generation and generation > observed then return false end
  local wanted = tonumber(annotation(o, "rollout.argoproj.io/workload-generation"))
  local seen = tonumber(status(o).workloadObservedGeneration)
  return not (at(o, "spec", "workloadRef") and wanted and seen and wanted ~= seen)
end

-- Old controllers wrote no phase; the counts tell.
local function rollout_counts(o)
  local s, wait = status(o), "Waiting for roll out to finish: "
  local replicas, updated = at(o, "spec", "replicas") or s.replicas or 0, s.updatedReplicas or 0
  if updated < replicas then return Progressing(wait .. "More replicas need to be updated") end
  if at(o, "spec", "strategy", "blueGreen") then
    if at(s, "blueGreen", "activeSelector") ~= s.currentPodHash then
      return Progressing(wait .. "active service cutover pending")
    end
    return Healthy()
  end
  if (s.replicas or 0) > updated then
    return Progressing(wait .. "old replicas are pending termination")
  end
  if (s.availableReplicas or 0) < updated then
    return Progressing(wait .. "updated replicas are still becoming available")
  end
  local stable = s.stableRS or at(s, "canary", "stableRS")
  if stable ~= nil and stable ~= "" and stable ~= s.currentPodHash then
    return Progressing("Waiting for rollout to finish steps")
  end
  return Healthy()
end

kind("argoproj.io/Rollout", function(o)
  local s = status(o)
  if is_empty(o.status) or s.conditions == nil then
    return Progressing("Waiting for rollout to finish: status has not been reconciled.")
  end
  if not rollout_observed(o) then return Progressing("Waiting for rollout spec update to be observed") end
  local phases = { Progressing = Progressing, Paused = Suspended, Healthy = Healthy, Degraded = Degraded }
  if phases[s.phase] then return phases[s.phase](s.message) end
  for _, c in ipairs(conditions(o)) do
    if c.type == "InvalidSpec" then return Degraded(c.message) end
    if c.type == "Progressing" and (c.reason == "RolloutAborted" or c.reason == "ProgressDeadlineExceeded") then
      return Degraded(c.message)
    end
  end
  if at(o, "spec", "paused") == true or not is_empty(s.pauseConditions) then
    return Suspended("Rollout is paused")
  end
  return rollout_counts(o)
end)

-- Numaflow ---------------------------------------------------------------------------------------------------------

local function numaflow(name, judge)
  kind("numaflow.numaproj.io/" .. name, function(o)
    local wait = "Waiting for " .. name .. " status"
    if label(o, "numaplane.numaproj.io/progressive-result-state") == "failed" then
      return Degraded("Failed progressive upgrade")
    end
    if is_empty(o.status) or unobserved(o) then return Progressing(wait) end
    local phase = status(o).phase
    if phase == "Paused" then return Healthy(name .. " is paused") end
    if phase == "Pausing" then return Progressing(name .. " is pausing") end
    if phase == "Deleting" then return Progressing(name .. " is deleting") end
    local bad
    for _, c in ipairs(conditions(o)) do
      if c.status == "False" then bad = bad or c end
    end
    if phase == "Failed" then return Degraded(status(o).message or name .. " failed") end
    if bad then return Degraded(judge(bad)) end
    if phase == "Running" then return Healthy(name .. " is healthy") end
    return Progressing(wait)
  end)
end

numaflow("InterStepBufferService", function(bad) return bad.message end)
numaflow("Vertex", function(bad) return bad.message end)
numaflow("MonoVertex", function() return "Subresources are unhealthy" end)
numaflow("Pipeline", function() return "Subresources are unhealthy" end)

kind({
  "numaplane.numaproj.io/ISBServiceRollout", "numaplane.numaproj.io/MonoVertexRollout",
  "numaplane.numaproj.io/NumaflowControllerRollout", "numaplane.numaproj.io/PipelineRollout",
}, function(o)
  local s = status(o)
  if is_empty(o.status) or unobserved(o) then return Progressing("Not yet reconciled") end
  if condition(o, "ProgressiveUpgradeSucceeded", "False") then return Degraded("Progressive upgrade failed") end
  local children = condition(o, "ChildResourcesHealthy")
  if is(children, "False") then
    if children.reason == "Progressing" then return Progressing(children.message) end
    return Degraded(children.message)
  end
  if s.phase == "Failed" then return Degraded(s.message) end
  if s.phase == "Pending" or not is_empty(s.upgradeInProgress) then return Progressing("Update in progress") end
  if s.phase == "Deployed" then return Healthy("Healthy") end
  return Unknown("Unknown status")
end)
