-- What every action of ours uses. `actions` files them: a function of an object that says which actions it offers, and
-- a function for each, which changes the object it is given (or returns what it makes). Parameters are texts.

offers, runs = {}, {}

function actions(names, offer, run)
  if type(names) == "string" then names = { names } end
  for _, name in ipairs(names) do
    offers[name] = offer
    runs[name] = run
  end
end

local function under(object, ...)
  for _, key in ipairs({ ... }) do
    if object[key] == nil then object[key] = {} end
    object = object[key]
  end
  return object
end
sub = under

function annotate(object, key, value) under(object, "metadata", "annotations")[key] = value end

-- Removes an annotation, and the map when nothing is left of it.
function forget(object, key)
  local all = object.metadata.annotations
  if all == nil then return end
  all[key] = nil
  if next(all) == nil then object.metadata.annotations = nil end
end

function now() return os.date("!%Y-%m-%dT%XZ") end

-- A whole number of a parameter, not below zero when `low` says so.
function count(parameters, low)
  local text = parameters.replicas
  local number = tonumber(text)
  if number == nil or (low and number < 0) then
    error("invalid number: " .. tostring(text) .. (low and " (must be >= 0)" or ""), 0)
  end
  return number
end

function suspend_at(field, value)
  return function(object)
    under(object, "spec")[field] = value
    return object
  end
end
