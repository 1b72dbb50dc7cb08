-- Kubernetes' workloads.

local function restart(o)
  sub(o, "spec", "template", "metadata", "annotations")["kubectl.kubernetes.io/restartedAt"] = now()
  return o
end

local function scale(o, parameters)
  sub(o, "spec").replicas = count(parameters)
  return o
end

local function scaling(o)
  return {
    displayName = "Scale",
    iconClass = "fa fa-fw fa-plus-circle",
    params = { { name = "replicas", default = tostring(at(o, "spec", "replicas") or 1) } },
  }
end

actions("apps/DaemonSet", function() return { restart = {} } end, { restart = restart })

actions("apps/StatefulSet", function(o) return { restart = {}, scale = scaling(o) } end, {
  restart = restart, scale = scale,
})

actions({ "apps/Deployment", "extensions/Deployment" }, function(o)
  local paused = at(o, "spec", "paused") == true
  return {
    restart = {}, pause = { disabled = paused }, resume = { disabled = not paused }, scale = scaling(o),
  }
end, {
  restart = restart, scale = scale, pause = suspend_at("paused", true), resume = suspend_at("paused", false),
})

-- Jobs and what makes them -----------------------------------------------------------------------------------------

actions("batch/CronJob", function(o)
  local found = { ["create-job"] = { displayName = "Create Job", iconClass = "fa fa-fw fa-plus" } }
  if at(o, "spec", "suspend") == true then
    found.resume = { iconClass = "fa fa-fw fa-play" }
  else
    found.suspend = { iconClass = "fa fa-fw fa-pause" }
  end
  return found
end, {
  suspend = suspend_at("suspend", true),
  resume = suspend_at("suspend", false),
  ["create-job"] = function(o)
    local template, job = at(o, "spec", "jobTemplate") or {}, { apiVersion = "batch/v1", kind = "Job" }
    job.metadata = {
      name = o.metadata.name .. "-" .. os.date("!%Y%m%d%H%M"),
      namespace = o.metadata.namespace,
      labels = at(template, "metadata", "labels"),
      annotations = at(template, "metadata", "annotations"),
      ownerReferences = { {
        apiVersion = o.apiVersion, kind = o.kind, name = o.metadata.name, uid = o.metadata.uid,
        blockOwnerDeletion = true, controller = true,
      } },
    }
    job.spec = template.spec
    return { { operation = "create", resource = job } }
  end,
})

actions("argoproj.io/CronWorkflow", function() return { ["create-workflow"] = {} } end, {
  ["create-workflow"] = function(o)
    local spec = o.spec or {}
    local given = spec.workflowMetadata or {}
    return { { operation = "create", resource = {
      apiVersion = "argoproj.io/v1alpha1",
      kind = "Workflow",
      metadata = {
        name = o.metadata.name .. "-" .. os.date("!%Y%m%d%H%M"),
        namespace = o.metadata.namespace,
        labels = given.labels,
        annotations = given.annotations,
        ownerReferences = { {
          apiVersion = o.apiVersion, kind = o.kind, name = o.metadata.name, uid = o.metadata.uid,
        } },
      },
      finalizers = given.finalizers,
      spec = spec.workflowSpec,
    } } }
  end,
})

actions("argoproj.io/WorkflowTemplate", function() return { ["create-workflow"] = {} } end, {
  ["create-workflow"] = function(o)
    local given = at(o, "spec", "workflowMetadata") or {}
    local labels = { ["workflows.argoproj.io/workflow-template"] = o.metadata.name }
    for key, value in pairs(given.labels or {}) do labels[key] = value end
    return { { operation = "create", resource = {
      apiVersion = "argoproj.io/v1alpha1",
      kind = "Workflow",
      metadata = {
        name = o.metadata.name .. "-" .. os.date("!%Y%m%d%H%M"), namespace = o.metadata.namespace,
        labels = labels, annotations = given.annotations,
      },
      spec = { workflowTemplateRef = { name = o.metadata.name } },
    } } }
  end,
})

local function ended(o)
  return condition(o, "Complete", "True") or condition(o, "Failed", "True") or condition(o, "FailureTarget", "True")
end

actions("batch/Job", function(o)
  if ended(o) then return {} end
  local found = { terminate = { iconClass = "fa fa-fw fa-stop" } }
  if at(o, "spec", "suspend") == true then
    found.resume = { iconClass = "fa fa-fw fa-play" }
  else
    found.suspend = { iconClass = "fa fa-fw fa-pause" }
  end
  return found
end, {
  suspend = suspend_at("suspend", true),
  resume = suspend_at("suspend", false),
  terminate = function(o)
    if ended(o) then return o end
    table.insert(sub(o, "status", "conditions"), {
      type = "FailureTarget", status = "True", reason = "ManuallyTerminated",
      message = "Job was terminated explicitly through Argo CD", lastTransitionTime = now(),
    })
    return o
  end,
})
