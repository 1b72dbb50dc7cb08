-- Rollouts, Numaflow and Numaplane.

-- Restarting is always possible; the rest depends on how far the rollout is.
local function rollout_offers(o)
  local s = status(o)
  local paused = not is_empty(s.pauseConditions) or at(o, "spec", "paused") == true
  local aborted = s.abort == true
  -- Controllers before 0.6 know neither a stable replica set nor pause conditions.
  local stable = s.stableRS or at(s, "canary", "stableRS")
  local rolling = stable == nil or stable ~= s.currentPodHash
  local promotable = stable ~= nil and stable ~= "" and stable ~= s.currentPodHash
  local index, steps = s.currentStepIndex, at(o, "spec", "strategy", "canary", "steps")
  local stepping = promotable and not aborted and steps ~= nil and index ~= nil and index < #steps
  return {
    restart = { displayName = "Restart Pods" },
    resume = { disabled = not paused },
    abort = { disabled = aborted or not rolling },
    retry = { disabled = not aborted },
    ["promote-full"] = { disabled = not promotable },
    ["skip-current-step"] = { disabled = not stepping },
    pause = { disabled = aborted or not rolling or at(o, "spec", "paused") == true },
  }
end

actions("argoproj.io/Rollout", rollout_offers, {
  restart = function(o)
    sub(o, "spec").restartAt = now()
    return o
  end,
  pause = suspend_at("paused", true),
  resume = function(o)
    if not is_empty(status(o).pauseConditions) then o.status.pauseConditions = nil end
    if at(o, "spec", "paused") ~= nil then o.spec.paused = false end
    return o
  end,
  abort = function(o)
    sub(o, "status").abort = true
    return o
  end,
  retry = function(o)
    sub(o, "status").abort = false
    return o
  end,
  ["promote-full"] = function(o)
    sub(o, "status").promoteFull = true
    return o
  end,
  ["skip-current-step"] = function(o)
    local s = sub(o, "status")
    s.pauseConditions = nil
    s.currentStepIndex = (s.currentStepIndex or 0) + 1
    return o
  end,
})

-- Numaflow ---------------------------------------------------------------------------------------------------------

local function owned(o, name)
  for _, owner in ipairs(at(o, "metadata", "ownerReferences") or {}) do
    if owner.kind == name then return true end
  end
  return false
end

local state, force = "numaplane.numaproj.io/upgrade-state", "numaplane.numaproj.io/force-promote"

local function promote(o)
  sub(o, "metadata", "labels")[force] = "true"
  return o
end

local function promotable(o) return label(o, state) == "in-progress" and label(o, force) ~= "true" end

local icons = { pause = "fa-solid fa-fw fa-pause", play = "fa-solid fa-fw fa-play" }

-- What the lifecycle of an object allows; `held` says that somebody else decides about it.
local function lifecycle(paused, held, fast)
  return {
    pause = { disabled = held or paused, iconClass = icons.pause },
    ["unpause-gradual"] = { disabled = held or not paused, iconClass = icons.play, displayName = "Unpause (gradual)" },
    ["unpause-fast"] = { disabled = held or not paused or not fast, iconClass = icons.play, displayName = "Unpause (fast)" },
  }
end

-- Fast resuming is offered when it is the only strategy that an object allows.
local function fast_allowed(o)
  return annotation(o, "numaflow.numaproj.io/allowed-resume-strategies") == "fast"
end

local function phase(value, strategy)
  return function(o)
    sub(o, "spec", "lifecycle").desiredPhase = value
    if strategy then annotate(o, "numaflow.numaproj.io/resume-strategy", strategy) end
    return o
  end
end

local numaflow_runs = {
  pause = phase("Paused"), ["unpause-gradual"] = phase("Running", "slow"), ["unpause-fast"] = phase("Running", "fast"),
  ["force-promote"] = promote,
  delete = function(o)
    annotate(o, "numaplane.numaproj.io/marked-for-deletion", "true")
    return o
  end,
}

local function recyclable(o) return string.find(label(o, state) or "", "^recyclable") ~= nil end

local function numaflow_offers(rollout, deletable)
  return function(o)
    local paused = at(o, "spec", "lifecycle", "desiredPhase") == "Paused"
    -- A rollout that owns the object decides for it, until it lets go of it.
    local held = owned(o, rollout) and not recyclable(o)
    local found = lifecycle(paused, held, fast_allowed(o))
    found["force-promote"] = {
      disabled = not promotable(o), iconClass = "fa-solid fa-fw fa-forward", displayName = "Force Promote",
    }
    if deletable then
      found.delete = {
        disabled = not recyclable(o), iconClass = "fa-solid fa-fw fa-trash", displayName = "Delete",
      }
    end
    return found
  end
end

actions("numaflow.numaproj.io/Pipeline", numaflow_offers("PipelineRollout", true), numaflow_runs)
actions("numaflow.numaproj.io/MonoVertex", numaflow_offers("MonoVertexRollout", false), numaflow_runs)
actions("numaflow.numaproj.io/InterStepBufferService", function(o)
  return { ["force-promote"] = {
    disabled = not promotable(o), iconClass = "fa-solid fa-fw fa-forward", displayName = "Force Promote",
  } }
end, { ["force-promote"] = promote })

-- Numaplane --------------------------------------------------------------------------------------------------------

local function rollout_runs(name)
  local function set(value, fast)
    return function(o)
      sub(o, "spec", name, "spec", "lifecycle").desiredPhase = value
      if fast ~= nil then sub(o, "spec", "strategy", "pauseResume").fastResume = fast end
      return o
    end
  end
  return {
    pause = set("Paused"), ["unpause-gradual"] = set("Running", false), ["unpause-fast"] = set("Running", true),
    ["allow-data-loss"] = function(o)
      annotate(o, "numaplane.numaproj.io/allow-data-loss", "true")
      return o
    end,
  }
end

local function rollout_lifecycle(name)
  return function(o)
    return lifecycle(at(o, "spec", name, "spec", "lifecycle", "desiredPhase") == "Paused", false, true)
  end
end

actions("numaplane.numaproj.io/MonoVertexRollout", rollout_lifecycle("monoVertex"), rollout_runs("monoVertex"))
actions("numaplane.numaproj.io/PipelineRollout", function(o)
  local found = rollout_lifecycle("pipeline")(o)
  local pausing = status(o).upgradeInProgress == "PipelinePauseAndDrain"
    and annotation(o, "numaplane.numaproj.io/allow-data-loss") ~= "true"
  found["allow-data-loss"] = {
    disabled = not pausing, iconClass = "fa-solid fa-fw fa-unlock", displayName = "Allow (Potential) Data Loss",
  }
  return found
end, rollout_runs("pipeline"))
