-- Gateways, routes and load balancing.

local function current(o, found)
  local generation = at(o, "metadata", "generation")
  return generation == nil or found.observedGeneration == nil or found.observedGeneration == generation
end

local function said(found)
  if found.message ~= nil and found.message ~= "" then return found.message end
  return "Failed condition: " .. found.type
end

-- The worst of a list of conditions: what failed, or what is not yet programmed; and whether any is of this generation.
local function worst(o, list)
  local seen, failed, waiting = false, nil, nil
  for _, c in ipairs(list or {}) do
    if current(o, c) then
      seen = true
      if c.type == "Programmed" and c.status ~= "True" then
        waiting = waiting or c
      elseif c.status == "False" then
        failed = failed or c
      end
    end
  end
  return seen, failed, waiting
end

-- Policies and routes report for each ancestor or parent.
local function attached(o, list, word, ref)
  local seen = false
  local failures, waits = {}, {}
  for _, entry in ipairs(list or {}) do
    local here, failed, waiting = worst(o, entry.conditions)
    local name = at(entry, ref, "name") or ""
    seen = seen or here
    if failed then table.insert(failures, word .. " " .. name .. ": " .. said(failed)) end
    if waiting then table.insert(waits, word .. " " .. name .. ": " .. said(waiting)) end
  end
  if not seen then return Progressing("Waiting for " .. o.kind .. " status") end
  if #failures > 0 then return Degraded(failures[1]) end
  if #waits > 0 then return Progressing(waits[1]) end
  return Healthy(o.kind .. " is healthy")
end

kind({ "gateway.networking.k8s.io/BackendTLSPolicy", "microgateway.airlock.com/*" }, function(o)
  return attached(o, status(o).ancestors, "Ancestor", "ancestorRef")
end)

kind({
  "gateway.networking.k8s.io/GRPCRoute", "gateway.networking.k8s.io/HTTPRoute",
  "gateway.networking.k8s.io/TCPRoute", "gateway.networking.k8s.io/TLSRoute", "gateway.networking.k8s.io/UDPRoute",
}, function(o)
  return attached(o, status(o).parents, "Parent", "parentRef")
end)

kind("gateway.networking.k8s.io/GatewayClass", function(o)
  local accepted = condition(o, "Accepted")
  if accepted == nil or not current(o, accepted) then return Progressing("Waiting for GatewayClass status") end
  if is(accepted, "True") then return Healthy("GatewayClass is healthy") end
  if is(accepted, "False") then return Degraded(said(accepted)) end
  return Progressing("Waiting for GatewayClass status")
end)

kind("gateway.networking.k8s.io/Gateway", function(o)
  local seen, failed, waiting = worst(o, conditions(o))
  if not seen then return Progressing("Waiting for Gateway status") end
  if failed then return Degraded(said(failed)) end
  for _, listener in ipairs(status(o).listeners or {}) do
    local _, bad, slow = worst(o, listener.conditions)
    if bad then return Degraded("Listener: " .. said(bad)) end
    if slow and not waiting then return Progressing("Listener: " .. said(slow)) end
  end
  if waiting then return Progressing(said(waiting)) end
  return Healthy("Gateway is healthy")
end)

-- Gloo: names and numbers of the same four states, at the top or for each namespace that reports.
local function gloo(o)
  local reports = {}
  if is_empty(o.status) then return Progressing("Update in progress") end
  if o.status.statuses ~= nil then
    for _, namespace in ipairs(sorted_keys(o.status.statuses)) do
      table.insert(reports, o.status.statuses[namespace])
    end
  elseif o.status.state ~= nil then
    table.insert(reports, o.status)
  end
  local result = Progressing("Update in progress")
  for _, report in ipairs(reports) do
    local state = report.state
    if state == "Warning" or state == "Rejected" or state == 3 or state == 2 then return Degraded(report.reason) end
    if state == "Pending" or state == 0 then result = Suspended("The resource has not yet been validated") end
    if (state == "Accepted" or state == 1) and result.status ~= "Suspended" then
      result = Healthy("The resource has been validated")
    end
  end
  return result
end

kind({
  "gateway.solo.io/Gateway", "gateway.solo.io/MatchableHttpGateway", "gateway.solo.io/RouteOption",
  "gateway.solo.io/RouteTable", "gateway.solo.io/VirtualHostOption", "gateway.solo.io/VirtualService",
  "gloo.solo.io/Proxy", "gloo.solo.io/Settings", "gloo.solo.io/Upstream", "gloo.solo.io/UpstreamGroup",
}, gloo)

local function contour(o)
  if is_empty(o.status) then return Progressing("Waiting for status") end
  local valid = condition(o, "Valid")
  if valid == nil then return Progressing("Waiting for status") end
  if valid.observedGeneration ~= nil and not current(o, valid) then return Progressing("Waiting for status") end
  if is(valid, "True") then return Healthy(valid.message) end
  if is(valid, "False") then return Degraded(valid.message) end
  return Progressing("Waiting for status")
end

kind("projectcontour.io/ExtensionService", contour)
kind("projectcontour.io/HTTPProxy", function(o)
  if not is_empty(at(o, "spec", "includes")) then return Healthy("HTTPProxy inclusions cannot be health checked") end
  return contour(o)
end)

kind("route.openshift.io/Route", function(o)
  local admitted, waiting = false, false
  for _, ingress in ipairs(status(o).ingress or {}) do
    for _, c in ipairs(ingress.conditions or {}) do
      if c.type == "Admitted" and c.status == "False" then return Degraded(c.message or "Route is degraded") end
      if c.type == "Admitted" and c.status == "True" then admitted = true else waiting = true end
    end
  end
  if admitted and not waiting then return Healthy("Route is healthy") end
  return Progressing("Route is still getting admitted")
end)

kind("operator.openshift.io/IngressController", function(o)
  local available, moving = condition(o, "Available"), condition(o, "DeploymentReplicasAllAvailable", "False")
  for _, name in ipairs({ "Admitted", "Degraded" }) do
    local c = condition(o, name)
    if (name == "Admitted" and is(c, "False")) or (name == "Degraded" and is(c, "True")) then
      return Degraded(c.message)
    end
  end
  if available == nil then return Progressing("Status of IngressController is not known yet") end
  if is(available, "False") then return Degraded(available.message) end
  if moving then return Progressing(moving.message) end
  local progressing = condition(o, "Progressing", "True") or condition(o, "DeploymentRollingOut", "True")
  if progressing then return Progressing(progressing.message) end
  return Healthy("IngressController is available")
end)

kind("install.istio.io/IstioOperator", function(o)
  local state = status(o).status
  if state == "HEALTHY" then return Healthy("Component is healthy.") end
  if state == "ERROR" then return Degraded("Component is in an error state.") end
  if state == "UPDATING" then return Progressing("Component is being updated to a different version.") end
  if state == "RECONCILING" then
    return Progressing("Controller has started but not yet completed reconciliation loop for the component.")
  end
  if state == "ACTION_REQUIRED" then return Degraded("User action is required.") end
  return Progressing("Component is not present.")
end)

kind("flagger.app/Canary", function(o)
  local s = status(o)
  if s.phase == nil then return Progressing("Waiting for status") end
  local message = s.phase
  if (s.failedChecks or 0) > 0 then message = message .. " --- Failed Checks: " .. s.failedChecks end
  if (s.canaryWeight or 0) > 0 then message = message .. " --- Canary Weight: " .. s.canaryWeight .. " %" end
  local promoted = condition(o, "Promoted")
  if promoted and promoted.message then message = message .. " --- " .. promoted.message end
  if s.phase == "Failed" then return Degraded(message) end
  if s.phase == "Succeeded" or s.phase == "Initialized" then return Healthy(message) end
  return Progressing(message)
end)

kind("kiali.io/Kiali", function(o)
  local failed, done, running = condition(o, "Failure", "True"), condition(o, "Successful", "True"),
    condition(o, "Running", "True")
  if failed then return Degraded(failed.message) end
  if running and running.reason == "Running" then return Progressing(running.message) end
  if done then return Healthy(done.message) end
  if running then return Healthy(running.message) end
  return Progressing("Waiting for Kiali")
end)

kind("jaegertracing.io/Jaeger", by_word("status.phase", {
  Running = Healthy("Jaeger is Running"), Failed = Degraded("Jaeger Failed For Some Reason"),
}, function() return Progressing("Waiting for Jaeger") end, function() return Progressing("Waiting for Jaeger") end))

kind("nmstate.io/NodeNetworkConfigurationPolicy", function(o)
  local function text(c) return c.message and (c.reason .. ": " .. c.message) or c.reason end
  local ignored, bad = condition(o, "Ignored", "True"), condition(o, "Degraded", "True")
  local moving, good = condition(o, "Progressing", "True"), condition(o, "Available", "True")
  if ignored then return Suspended(text(ignored)) end
  if bad then return Degraded(text(bad)) end
  if moving then return Progressing(text(moving)) end
  if good then return Healthy(text(good)) end
  return Progressing("Waiting for NodeNetworkConfigurationPolicy status")
end)

kind("proclaim.dogmatiq.io/DNSSDServiceInstance", function(o)
  local found = condition(o, "Discoverable")
  if found == nil or not current(o, found) then return Progressing("DNS-SD records are being advertised") end
  if is(found, "True") then return Healthy(found.message) end
  return Progressing(found.message)
end)
