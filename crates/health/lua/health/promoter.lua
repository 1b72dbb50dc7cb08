-- GitOps Promoter: one skeleton for all its kinds, and what each says when it is ready.

-- What an object that is being deleted waits for, by finalizer.
local function deletion(o, name, finalizers)
  local waits = {}
  for _, finalizer in ipairs(at(o, "metadata", "finalizers") or {}) do
    local entry = finalizers and finalizers[finalizer]
    if entry then
      table.insert(waits, finalizer .. ": " .. entry[1] .. " Risk if removed manually: " .. entry[2])
    end
  end
  local text = name .. " is being deleted"
  if #waits > 0 then text = text .. ". " .. table.concat(waits, " ") end
  return Progressing(text)
end

-- `rule`: name (in sentences), title (at their beginning), noun (what failed), ready(o).
local function promoter(of, rule)
  kind("promoter.argoproj.io/" .. of, function(o)
    if at(o, "metadata", "deletionTimestamp") then return deletion(o, rule.title, rule.finalizers) end
    if o.status == nil then return Progressing("Initializing " .. (rule.initial or rule.name)) end
    if is_empty(o.status) or is_empty(conditions(o)) then return Progressing(rule.wait) end
    local found = condition(o, "Ready")
    if found == nil then return Progressing(rule.wait) end
    if found.observedGeneration and at(o, "metadata", "generation")
      and found.observedGeneration ~= at(o, "metadata", "generation") then
      return Progressing("Waiting for " .. rule.name .. " spec update to be observed")
    end
    if is(found, "False") then
      if found.reason == "ReconciliationError" or found.reason == nil then
        return Degraded(rule.failed .. ": " .. (found.message or "Unknown error"))
      end
      return Degraded((rule.unready or rule.failed) .. " (" .. found.reason .. "): " .. (found.message or ""))
    end
    if is(found, "Unknown") then
      return Progressing(rule.unknown .. " (" .. (found.reason or "Unknown") .. "): " .. (found.message or ""))
    end
    return rule.ready(o)
  end)
end

-- Kinds whose environments each have a phase.
local function environments(words)
  return function(o)
    local list, pending, failed = status(o).environments or {}, {}, {}
    for _, environment in ipairs(list) do
      if environment.phase == "pending" then table.insert(pending, environment.branch or "") end
      if environment.phase == "failure" then table.insert(failed, environment.branch or "") end
    end
    if #failed > 0 then return Degraded(words.failed .. " for branch(es): " .. table.concat(failed, ", ")) end
    if #pending > 0 then return Progressing(words.pending .. " for branch(es): " .. table.concat(pending, ", ")) end
    if #list == 0 then return words.empty end
    return Healthy(words.passed .. " for " .. #list .. " environment(s)")
  end
end

promoter("ArgoCDCommitStatus", {
  name = "Argo CD commit status", title = "Argo CD commit status", wait = "Argo CD commit status is not ready yet",
  failed = "Argo CD commit status reconciliation failed", unknown = "Argo CD commit status readiness unknown",
  ready = function(o)
    local selected = status(o).applicationsSelected or {}
    if #selected == 0 then return Degraded("Argo CD commit status has no applications configured") end
    return Healthy("Argo CD commit status is healthy and is tracking " .. #selected .. " applications")
  end,
})

promoter("ChangeTransferPolicy", {
  name = "change transfer policy", title = "Change transfer policy", wait = "Change transfer policy is not ready yet",
  failed = "Change transfer policy reconciliation failed", unknown = "Change transfer policy readiness unknown",
  finalizers = {
    ["changetransferpolicy.promoter.argoproj.io/finalizer"] = {
      "Waiting to clear related PullRequest finalizers and finish cleanup before this policy is removed.",
      "The 'changetransferpolicy.promoter.argoproj.io/pullrequest-finalizer' finalizer may not be cleaned up from "
        .. "PullRequests owned by this ChangeTransferPolicy.",
    },
  },
  ready = function(o)
    local active, proposed = at(o, "status", "active", "dry", "sha"), at(o, "status", "proposed", "dry", "sha")
    if active == nil or proposed == nil or active == proposed then
      return Healthy("Environment is up-to-date" .. (active and (" on commit '" .. string.sub(active, 1, 7) .. "'.") or ""))
    end
    return Progressing("Promotion in progress from '" .. string.sub(active, 1, 7) .. "' to '"
      .. string.sub(proposed, 1, 7) .. "'")
  end,
})

promoter("CommitStatus", {
  name = "commit status", title = "Commit status", wait = "Commit status is not ready yet",
  failed = "Commit status reconciliation failed", unknown = "Commit status readiness unknown",
  ready = function(o)
    local s = status(o)
    if s.sha == nil then return Progressing("Commit status is not ready yet") end
    return Healthy("Commit status for commit " .. string.sub(s.sha, 1, 7) .. " reports "
      .. (s.phase or at(o, "spec", "phase") or "pending"))
  end,
})

local function provider(of, title, adjective, finalizer, waits, risk)
  promoter(of, {
    name = of, title = of, initial = adjective, wait = of .. " Ready condition is missing",
    failed = title .. " validation failed", unready = title .. " not ready", unknown = title .. " readiness unknown",
    finalizers = { [finalizer] = { waits, risk } },
    ready = function() return Healthy(title .. " is ready") end,
  })
end

provider("ClusterScmProvider", "Cluster SCM provider", "cluster SCM provider",
  "clusterscmprovider.promoter.argoproj.io/finalizer",
  "Waiting until no GitRepository still references this cluster-wide SCM provider.",
  "GitRepository objects can reference a provider that no longer exists.")
provider("ScmProvider", "SCM provider", "SCM provider", "scmprovider.promoter.argoproj.io/finalizer",
  "Waiting until no GitRepository still references this SCM provider.",
  "GitRepository objects can reference a provider that no longer exists.")
provider("GitRepository", "Git repository", "Git repository", "gitrepository.promoter.argoproj.io/finalizer",
  "Waiting until no non-deleting PullRequests still reference this repository.",
  "repository metadata may be removed while promotions still depend on it.")

promoter("GitCommitStatus", {
  name = "GitCommitStatus", title = "GitCommitStatus", wait = "GitCommitStatus Ready condition is missing",
  failed = "Git commit validation failed", unready = "Git commit validation not ready",
  unknown = "Git commit validation readiness unknown",
  ready = environments({
    failed = "Git commit validation failed", pending = "Git commit validation pending",
    passed = "Git commit validation passed", empty = Healthy("Git commit validation reconciled"),
  }),
})

promoter("TimedCommitStatus", {
  name = "TimedCommitStatus", title = "TimedCommitStatus", wait = "TimedCommitStatus Ready condition is missing",
  failed = "Timed commit gate failed", unready = "Timed commit gate not ready",
  unknown = "Timed commit gate readiness unknown",
  ready = environments({
    failed = "Timed commit gate failed", pending = "Timed commit gate pending",
    passed = "Timed commit gate satisfied", empty = Healthy("Timed commit gate reconciled"),
  }),
})

promoter("WebRequestCommitStatus", {
  name = "WebRequestCommitStatus", title = "WebRequestCommitStatus",
  wait = "WebRequestCommitStatus Ready condition is missing",
  failed = "Web request commit validation failed", unready = "Web request commit validation not ready",
  unknown = "Web request commit validation readiness unknown",
  ready = environments({
    failed = "Web request validation failed", pending = "Web request validation pending",
    passed = "Web request validation passed", empty = Healthy("Web request commit validation reconciled"),
  }),
})

promoter("PullRequest", {
  name = "pull request", title = "Pull request", wait = "Pull request is not ready yet",
  failed = "Pull request reconciliation failed", unknown = "Pull request readiness unknown",
  ready = function(o)
    local s = status(o)
    if s.state == nil or s.id == nil then return Progressing("Pull request is not ready yet") end
    if s.state == "open" then return Healthy("Pull request is open as PR " .. s.id) end
    return Healthy("Pull request is " .. s.state .. " as PR " .. s.id)
  end,
})

local function short(sha) return string.sub(sha, 1, 7) end

-- An environment that is on its way: which commit statuses it waits for.
local function promotion(environment, active, proposed, hydrated)
  local names, count = { pending = {}, failure = {} }, { pending = 0, success = 0, failure = 0 }
  for _, found in ipairs(at(environment, "proposed", "commitStatuses") or {}) do
    if count[found.phase] then count[found.phase] = count[found.phase] + 1 end
    if names[found.phase] then table.insert(names[found.phase], found.key) end
  end
  local text = "Promotion in progress for environment '" .. environment.branch .. "' from '" .. short(active)
    .. "' to '" .. short(proposed) .. "': " .. count.pending .. " pending, " .. count.success .. " successful, "
    .. count.failure .. " failed. "
  if #names.pending > 0 then
    text = text .. "Pending commit statuses: " .. table.concat(names.pending, ", ") .. ". "
  end
  if #names.failure > 0 then
    text = text .. "Failed commit statuses: " .. table.concat(names.failure, ", ") .. ". "
  end
  return Progressing(text .. "Hydrator has processed dry commit '" .. short(hydrated) .. "'. ")
end

promoter("PromotionStrategy", {
  name = "promotion strategy", title = "Promotion strategy", wait = "Promotion strategy is not ready yet",
  failed = "Promotion strategy reconciliation failed", unknown = "Promotion strategy readiness unknown",
  ready = function(o)
    local list = status(o).environments or {}
    if #list == 0 then return Degraded("Promotion strategy has no environments configured") end
    local last, last_hydrated
    for _, environment in ipairs(list) do
      local active, proposed = at(environment, "active", "dry", "sha"), at(environment, "proposed", "dry", "sha")
      if active == nil or active == "" then
        return Progressing("The active commit DRY SHA is missing or empty in environment '"
          .. environment.branch .. "'.")
      end
      if proposed == nil or proposed == "" then
        return Progressing("The proposed commit DRY SHA is missing or empty in environment '"
          .. environment.branch .. "'.")
      end
      local hydrated = at(environment, "proposed", "note", "drySha") or proposed
      if active ~= proposed then return promotion(environment, active, proposed, hydrated) end
      last, last_hydrated = active, hydrated
    end
    return Healthy("All environments are up-to-date on commit '" .. short(last)
      .. "'. Hydrator has processed dry commit '" .. short(last_hydrated) .. "'.")
  end,
})
