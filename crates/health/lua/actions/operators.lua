-- Flux, secrets, scalers, databases and pull requests.

-- Flux: what is suspended is not reconciled.
local function flux_offers(reconciles)
  return function(o)
    local suspended = at(o, "spec", "suspend") == true
    local found = { suspend = { disabled = suspended }, resume = { disabled = not suspended } }
    if reconciles then found.reconcile = { disabled = suspended } end
    return found
  end
end

local flux_runs = {
  suspend = suspend_at("suspend", true),
  resume = suspend_at("suspend", false),
  reconcile = function(o)
    annotate(o, "reconcile.fluxcd.io/requestedAt", "By Argo CD at: " .. os.date("!%Y-%m-%dT%X"))
    return o
  end,
}

for _, name in ipairs({
  "helm.toolkit.fluxcd.io/HelmRelease", "image.toolkit.fluxcd.io/ImageRepository",
  "image.toolkit.fluxcd.io/ImageUpdateAutomation", "kustomize.toolkit.fluxcd.io/Kustomization",
  "notification.toolkit.fluxcd.io/Receiver", "source.toolkit.fluxcd.io/Bucket",
  "source.toolkit.fluxcd.io/GitRepository", "source.toolkit.fluxcd.io/HelmChart",
  "source.toolkit.fluxcd.io/HelmRepository", "source.toolkit.fluxcd.io/OCIRepository",
}) do
  actions(name, flux_offers(true), flux_runs)
end
local plain = { suspend = flux_runs.suspend, resume = flux_runs.resume }
actions({ "notification.toolkit.fluxcd.io/Alert", "notification.toolkit.fluxcd.io/Provider" }, flux_offers(false), plain)

-- Secrets ----------------------------------------------------------------------------------------------------------

local function synced(o)
  annotate(o, "force-sync", now())
  return o
end

actions("external-secrets.io/ExternalSecret", function() return { refresh = {} } end, { refresh = synced })
actions("external-secrets.io/PushSecret", function() return { push = {} } end, { push = synced })

-- Scalers ----------------------------------------------------------------------------------------------------------

local paused, fixed = "autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-replicas"
local pause_icon, play_icon = "fa fa-fw fa-pause-circle", "fa fa-fw fa-play-circle"

local keda_runs = {
  pause = function(o)
    annotate(o, paused, "true")
    return o
  end,
  resume = function(o)
    forget(o, paused)
    forget(o, fixed)
    return o
  end,
}

actions("keda.sh/ScaledJob", function(o)
  local stopped = annotation(o, paused) == "true"
  return {
    pause = { disabled = stopped, iconClass = pause_icon }, resume = { disabled = not stopped, iconClass = play_icon },
  }
end, keda_runs)

actions("keda.sh/ScaledObject", function(o)
  local stopped, held = annotation(o, paused) == "true", annotation(o, fixed) ~= nil
  return {
    pause = { disabled = stopped or held, iconClass = pause_icon },
    ["paused-replicas"] = {
      disabled = stopped, iconClass = pause_icon, params = { { name = "replicas", default = "0" } },
    },
    resume = { disabled = not (stopped or held), iconClass = play_icon },
  }
end, {
  pause = keda_runs.pause, resume = keda_runs.resume,
  ["paused-replicas"] = function(o, parameters)
    annotate(o, fixed, string.format("%d", count(parameters, true)))
    return o
  end,
})

-- Databases and queues ---------------------------------------------------------------------------------------------

actions("k8s.mariadb.com/MariaDB", function(o)
  local suspended = at(o, "spec", "suspend") == true
  return { suspend = { disabled = suspended }, resume = { disabled = not suspended } }
end, { suspend = suspend_at("suspend", true), resume = suspend_at("suspend", false) })

local loop, sleep = "cnpg.io/reconciliationLoop", "cnpg.io/hibernation"
actions("postgresql.cnpg.io/Cluster", function(o)
  local suspended, asleep = annotation(o, loop) == "disabled", annotation(o, sleep) == "on"
  return {
    restart = {}, reload = {},
    suspend = { disabled = suspended }, resume = { disabled = not suspended },
    hibernate = { disabled = asleep }, rehydrate = { disabled = not asleep },
  }
end, {
  restart = function(o)
    annotate(o, "kubectl.kubernetes.io/restartedAt", now())
    return o
  end,
  reload = function(o)
    annotate(o, "cnpg.io/reloadedAt", now())
    return o
  end,
  suspend = function(o)
    annotate(o, loop, "disabled")
    return o
  end,
  resume = function(o)
    forget(o, loop)
    return o
  end,
  hibernate = function(o)
    annotate(o, sleep, "on")
    return o
  end,
  rehydrate = function(o)
    annotate(o, sleep, "off")
    return o
  end,
})

actions("psmdb.percona.com/PerconaServerMongoDB", function(o)
  local stopped = at(o, "spec", "pause") == true
  return {
    pause = { disabled = stopped, iconClass = pause_icon }, unpause = { disabled = not stopped, iconClass = play_icon },
  }
end, { pause = suspend_at("pause", true), unpause = suspend_at("pause", false) })

actions("core.strimzi.io/StrimziPodSet", function() return { ["rolling-update"] = { disabled = false } } end, {
  ["rolling-update"] = function(o)
    annotate(o, "strimzi.io/manual-rolling-update", "true")
    return o
  end,
})

-- Pull requests ----------------------------------------------------------------------------------------------------

actions("promoter.argoproj.io/PullRequest", function(o)
  local open = at(o, "spec", "state") == "open" and status(o).state == "open"
  return { merge = { disabled = not open, iconClass = "fa fa-fw fa-code-merge", displayName = "Merge PR" } }
end, {
  merge = function(o)
    sub(o, "spec").state = "merged"
    return o
  end,
})
