-- What every check of ours uses. A check is a function of an object that returns a verdict; `kind` files it below
-- "group/Kind" ("*" stands for any kind of a group, or any name before a dot of a group).

checks = {}

function kind(names, check)
  if type(names) == "string" then names = { names } end
  for _, name in ipairs(names) do checks[name] = check end
end

local function verdict(status)
  return function(message) return { status = status, message = message } end
end

Healthy = verdict("Healthy")
Progressing = verdict("Progressing")
Degraded = verdict("Degraded")
Suspended = verdict("Suspended")
Missing = verdict("Missing")
Unknown = verdict("Unknown")

-- The value at a path of keys; nil when any part of it is absent.
function at(value, ...)
  for _, key in ipairs({ ... }) do
    if type(value) ~= "table" then return nil end
    value = value[key]
  end
  return value
end

function status(object) return object.status or {} end

function conditions(object)
  local list = at(object, "status", "conditions")
  if type(list) ~= "table" then return {} end
  return list
end

-- The first condition of a type, and of a status when one is given.
function condition(object, kind, state)
  for _, found in ipairs(conditions(object)) do
    if found.type == kind and (state == nil or found.status == state) then return found end
  end
end

function is(found, state) return found ~= nil and (found.status == state or tostring(found.status) == string.lower(state)) end

function annotation(object, key) return at(object, "metadata", "annotations", key) end

function label(object, key) return at(object, "metadata", "labels", key) end

-- Nobody has looked at the newest generation yet. Absent numbers say nothing.
function unobserved(object)
  local generation, observed = at(object, "metadata", "generation"), at(object, "status", "observedGeneration")
  return generation ~= nil and observed ~= nil and generation ~= observed
end

function is_empty(value) return value == nil or (type(value) == "table" and next(value) == nil) end

function sorted_keys(map)
  local keys = {}
  for key in pairs(map or {}) do table.insert(keys, key) end
  table.sort(keys)
  return keys
end

-- A check by one condition: true is healthy, false is degraded (or what `bad` says), all else is waiting.
function by_condition(rule)
  return function(object)
    local found = condition(object, rule.type or "Ready")
    if is(found, "True") then return Healthy(rule.healthy or found.message) end
    if is(found, "False") then return (rule.bad or Degraded)(rule.degraded or found.message) end
    return Progressing(rule.wait)
  end
end

-- A check by a word: `states` gives a verdict for each, `other` the one for the rest.
function by_word(path, states, wait, other)
  return function(object)
    local word = object
    for part in string.gmatch(path, "[^.]+") do word = at(word, part) end
    if word == nil or word == "" then return wait(object) end
    local found = states[word]
    if type(found) == "function" then return found(object, word) end
    if found then return found end
    return other(object, word)
  end
end
