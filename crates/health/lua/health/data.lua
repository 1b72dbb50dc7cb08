-- Databases, queues, search, object stores, backups.

kind("acid.zalan.do/postgresql", function(o)
  local state = status(o).PostgresClusterStatus
  if state == "Running" then return Healthy(state) end
  if state == "Creating" or state == "Updating" then return Progressing(state) end
  if state ~= nil and (string.find(state, "Failed") or state == "Invalid") then return Degraded(state) end
  return Progressing("Waiting for postgres cluster status...")
end)

kind("postgresql.cnpg.io/Cluster", function(o)
  local s = status(o)
  if annotation(o, "cnpg.io/hibernation") == "on" then
    local hibernated = condition(o, "cnpg.io/hibernation")
    if is(hibernated, "True") then return Suspended(hibernated.message) end
    return Suspended(hibernated and hibernated.message or "Cluster is hibernated")
  end
  if annotation(o, "cnpg.io/reconciliationLoop") == "disabled" then
    return Suspended("Cluster reconciliation is suspended")
  end
  local phases = {
    ["Cluster in healthy state"] = Healthy,
    ["Failing over"] = Degraded,
    ["Unable to create required cluster objects"] = Degraded,
    ["Cluster is unrecoverable and needs manual intervention"] = Degraded,
    ["Cluster is in an unrecoverable state, needs manual intervention"] = Degraded,
    ["Cluster cannot execute instance online upgrade due to missing architecture binary"] = Degraded,
    ["Cluster cannot proceed to reconciliation due to an unknown plugin being required"] = Degraded,
    ["Cluster cannot proceed to reconciliation due to an error while loading plugins"] = Degraded,
    ["Cluster has incomplete or invalid image catalog"] = Degraded,
    ["Not enough disk space"] = Degraded,
    ["Waiting for user action"] = Suspended,
    ["Cluster upgrade delayed"] = Progressing,
  }
  if s.phase == nil then return Progressing(s.phaseReason or "Waiting for status") end
  return (phases[s.phase] or Progressing)(s.phaseReason)
end)

-- MariaDB operators ------------------------------------------------------------------------------------------------

local function mariadb(object_text)
  return function(o)
    local found = condition(o, "Ready") or condition(o, "Complete")
    if found == nil then
      return Progressing("No status info available")
    end
    local message = object_text(found)
    if found.status == "True" then return Healthy(message) end
    if found.status == "False" and (found.reason == "Failed" or string.find(found.reason or "", "Fail")) then
      return Degraded(message)
    end
    return Progressing(message)
  end
end

local plain = mariadb(function(found) return found.message end)
kind({
  "mariadb.mmontes.io/MariaDB", "k8s.mariadb.com/MariaDB", "k8s.mariadb.com/User", "k8s.mariadb.com/Database",
  "k8s.mariadb.com/Grant", "k8s.mariadb.com/Connection",
}, plain)
kind({ "k8s.mariadb.com/Backup", "k8s.mariadb.com/Restore", "k8s.mariadb.com/SqlJob" },
  mariadb(function(found) return (found.reason or "") .. " " .. (found.message or "") end))

-- Percona: psmdb and pxc -------------------------------------------------------------------------------------------

kind({ "psmdb.percona.com/PerconaServerMongoDB", "pxc.percona.com/PerconaXtraDBCluster" }, function(o)
  local s = status(o)
  if is_empty(o.status) or s.state == nil then return Progressing("Waiting for status") end
  local message = (s.ready or 0) .. "/" .. (s.size or 0) .. " node(s) are ready"
  local states = {
    ready = Healthy, initializing = Progressing, stopping = Progressing, paused = Suspended, unknown = Unknown,
  }
  if s.state == "error" then
    if s.message ~= nil then
      local text = type(s.message) == "table" and table.concat(s.message, ", ") or s.message
      return Degraded("Cluster is on error: " .. text)
    end
    return Degraded(message)
  end
  return (states[s.state] or Unknown)(message)
end)

-- ClickHouse -------------------------------------------------------------------------------------------------------

local function clickhouse(name)
  return by_word("status.status", {
    Completed = Healthy(name .. " installation completed successfully"),
    InProgress = Progressing(name .. " installation in progress"),
    Terminating = Progressing(name .. " installation is terminating"),
  }, function() return Progressing(name .. " status not yet available") end, function(_, word)
    return Degraded(name .. " status: " .. word)
  end)
end

kind("clickhouse.altinity.com/ClickHouseInstallation", clickhouse("ClickHouse"))
kind("clickhouse-keeper.altinity.com/ClickHouseKeeperInstallation", clickhouse("ClickHouseKeeper"))

-- Elastic ----------------------------------------------------------------------------------------------------------

kind("elasticsearch.k8s.elastic.co/Elasticsearch", function(o)
  local s = status(o)
  if o.status == nil then return Progressing("Waiting for Elasticsearch") end
  if s.phase == "ApplyingChanges" or s.phase == "MigratingData" or s.phase == "Stalled" then
    return Progressing("Elasticsearch phase is " .. s.phase)
  end
  if s.phase == "Invalid" then return Degraded("Elasticsearch phase is Invalid") end
  if s.health == "green" then return Healthy("Elasticsearch Cluster status is Green") end
  if s.health == "yellow" then return Progressing("Elasticsearch Cluster status is Yellow") end
  if s.health == "red" then return Degraded("Elasticsearch Cluster status is Red") end
  return Unknown("Elasticsearch Cluster status is unknown. Ensure your ArgoCD is current and then check for/file a "
    .. "bug report: https://github.com/argoproj/argo-cd/issues")
end)

kind("beat.k8s.elastic.co/Beat", function(o)
  local s = status(o)
  if s.health == "red" then return Degraded("Elastic Beat status is Red") end
  if s.health == "green" then return Healthy("Elastic Beat status is Green") end
  if s.availableNodes ~= nil and s.expectedNodes ~= nil then
    if s.health == "yellow" then
      return Progressing("Elastic Beat status is deploying, there is " .. s.availableNodes .. " instance(s) on "
        .. s.expectedNodes .. " expected")
    end
  end
  return Progressing("Elastic Beat phase is progressing")
end)

kind("logstash.k8s.elastic.co/Logstash", by_word("status.health", {
  green = Healthy("Logstash status is Green"), yellow = Progressing("Logstash status is Yellow"),
  red = Degraded("Logstash status is Red"),
}, function() return Progressing("Waiting for Logstash") end, function() return Progressing("Waiting for Logstash") end))

-- Kafka ------------------------------------------------------------------------------------------------------------

local function strimzi(wait)
  return function(o)
    for _, c in ipairs(conditions(o)) do
      if c.type == "NotReady" and c.status == "True" then
        if c.reason == "Creating" then return Progressing(c.message or wait) end
        return Degraded(c.message)
      end
      if c.type == "Ready" and c.status == "True" then return Healthy(c.message) end
    end
    return Progressing(wait)
  end
end

kind("kafka.strimzi.io/Kafka", strimzi("Waiting for Kafka Cluster"))
kind("kafka.strimzi.io/KafkaTopic", strimzi("Waiting for Kafka Topic"))
kind("kafka.strimzi.io/KafkaUser", strimzi("Waiting for Kafka User"))
kind("kafka.strimzi.io/KafkaBridge", strimzi("Waiting for KafkaBridge"))
kind("kafka.strimzi.io/KafkaConnect", strimzi("Waiting for KafkaConnect"))
kind("kafka.strimzi.io/KafkaConnector", strimzi("Waiting for KafkaConnector"))
kind("kafka.strimzi.io/KafkaMirrorMaker2", strimzi("Waiting for KafkaMirrorMaker2"))

kind("kafka.banzaicloud.io/KafkaCluster", function(o)
  local s = status(o)
  if s.state == "ClusterReconciling" then return Progressing("Kafka Cluster is Reconciling.") end
  if s.state == "ClusterRollingUpgrading" then return Progressing("Kafka Cluster is Rolling Upgrading.") end
  if s.state ~= "ClusterRunning" or s.cruiseControlTopicStatus ~= "CruiseControlTopicReady" then
    return Progressing("Waiting for KafkaCluster")
  end
  for _, broker in pairs(s.brokersState or {}) do
    local control = at(broker, "gracefulActionState", "cruiseControlState")
    if broker.configurationState ~= "ConfigInSync"
      or (control ~= "GracefulUpscaleSucceeded" and control ~= "GracefulDownscaleSucceeded") then
      return Degraded("Broker Config is out of Sync or CruiseControlState is not Ready")
    end
  end
  return Healthy("Kafka Brokers, CruiseControl and cluster are in Healthy State.")
end)

-- Confluent --------------------------------------------------------------------------------------------------------

for _, name in ipairs({ "Connect", "ControlCenter", "Kafka", "KsqlDB", "SchemaRegistry", "Zookeeper", "KRaftController",
  "KafkaRestProxy" }) do
  kind("platform.confluent.io/" .. name, by_word("status.phase", {
    RUNNING = Healthy(name .. " running"), PROVISIONING = Progressing(name .. " provisioning"),
    FAILED = Degraded(name .. " failed"), ERROR = Degraded(name .. " failed"),
  }, function() return Progressing("Waiting for " .. name) end, function(_, word)
    return Progressing(name .. " " .. string.lower(word))
  end))
end

kind("platform.confluent.io/Connector", function(o)
  local s = status(o)
  local ready = condition(o, "platform.confluent.io/app-ready")
  if s.state == "ERROR" or is(ready, "False") then return Degraded(ready and ready.message) end
  if (s.failedTasksCount or 0) > 0 then return Degraded("Connector has failed tasks") end
  if s.connectorState == "FAILED" then return Degraded("Connector has failed") end
  if s.connectorState == "RUNNING" then return Healthy("Connector running") end
  if s.connectorState == "PAUSED" then return Suspended("Connector paused") end
  return Progressing("Waiting for Connector")
end)

-- RabbitMQ ---------------------------------------------------------------------------------------------------------

for name, word in pairs({
  Binding = "binding", Exchange = "exchange", Permission = "permission", Policy = "policy", Queue = "queue",
  Shovel = "shovel", User = "user", Vhost = "vhost", Federation = "federation", SuperStream = "super stream",
  TopicPermission = "topic permission", OperatorPolicy = "operator policy", SchemaReplication = "schema replication",
}) do
  kind("rabbitmq.com/" .. name, function(o)
    local ready = condition(o, "Ready")
    if is(ready, "True") and ready.reason == "SuccessfulCreateOrUpdate" then
      return Healthy("RabbitMQ " .. word .. " ready")
    end
    if is(ready, "False") and ready.reason == "FailedCreateOrUpdate" then
      return Degraded("RabbitMQ " .. word .. " failed to be created or updated")
    end
    return Unknown("RabbitMQ " .. word .. " status is unknown")
  end)
end

kind("rabbitmq.com/RabbitmqCluster", function(o)
  local failed = condition(o, "ReconcileSuccess", "False")
  if failed then return Degraded(failed.message) end
  local ready, available = condition(o, "AllReplicasReady"), condition(o, "ClusterAvailable")
  if is(available, "False") then return Progressing("Waiting for RabbitMQ cluster formation") end
  if is(ready, "False") then return Progressing("Waiting for RabbitMQ cluster formation") end
  if is(ready, "True") and is(available, "True") then return Healthy("RabbitMQ cluster ready") end
  return Progressing("Waiting for RabbitMQ Operator")
end)

-- Object stores and volumes ----------------------------------------------------------------------------------------

kind("minio.min.io/Tenant", function(o)
  local state = status(o).currentState
  if state == nil then return Progressing("No status info available") end
  local bad = {
    ["Statefulset not controlled by operator"] = true,
    ["Another MinIO Tenant already exists in the namespace"] = true,
    ["Tenant credentials are not set properly"] = true,
    ["Different versions across MinIO Pools"] = true,
    ["Pool Decommissioning Not Allowed"] = true,
  }
  if state == "Initialized" then return Healthy(state) end
  if bad[state] then return Degraded(state) end
  return Progressing(state)
end)

kind("objectbucket.io/ObjectBucketClaim", function(o)
  local phase = status(o).phase
  if phase == nil then return Progressing("Waiting for Object bucket claim to be provisioned") end
  local message = "Object bucket claim phase is " .. phase
  if phase == "Bound" then return Healthy(message) end
  if phase == "Failed" then return Degraded(message) end
  return Progressing(message)
end)

kind("ceph.rook.io/CephCluster", function(o)
  local s = status(o)
  local health = at(s, "ceph", "health")
  if health == nil then return Progressing(s.message or "Ceph Cluster is initializing") end
  local details, found = at(s, "ceph", "details"), {}
  for _, key in ipairs(sorted_keys(details)) do
    if details[key].message then table.insert(found, details[key].message) end
  end
  local message = "Ceph health is " .. health
  if #found > 0 then message = message .. " (" .. table.concat(found, "; ") .. ")" end
  if s.message and s.message ~= "" then message = message .. " - " .. s.message end
  if health == "HEALTH_OK" then return Healthy(message) end
  if health == "HEALTH_WARN" or health == "HEALTH_ERR" then return Degraded(message) end
  return Progressing(message)
end)

kind("ceph.rook.io/CephObjectStore", function(o)
  local s = status(o)
  if s.phase == nil then return Progressing("Waiting for Ceph object store status") end
  local message = "Ceph object store phase is " .. s.phase
  if s.phase == "Ready" or s.phase == "Connected" then
    local endpoint = at(s, "info", "endpoint") or at(s, "info", "secureEndpoint")
    if endpoint then message = message .. " - endpoint: " .. endpoint end
    return Healthy(message)
  end
  if s.message then message = message .. " - " .. s.message end
  if s.phase == "Failure" then return Degraded(message) end
  return Progressing(message)
end)

kind("ocs.openshift.io/StorageCluster", function(o)
  local bad, moving, good = condition(o, "Degraded", "True"), condition(o, "Progressing", "True"), condition(o, "Available")
  if bad then return Degraded(bad.message) end
  if moving then return Progressing(moving.message) end
  if is(good, "True") then return Healthy(good.message) end
  if is(good, "False") then return Degraded(good.message) end
  return Progressing("Waiting for storage cluster status")
end)

kind({ "snapshot.storage.k8s.io/VolumeSnapshot", "snapshot.storage.k8s.io/VolumeSnapshotContent" }, function(o)
  local s = status(o)
  if at(s, "error", "message") then return Degraded(s.error.message) end
  if s.readyToUse == true then return Healthy("Ready to use") end
  if s.readyToUse == false then return Progressing("Waiting for status to be ready") end
  return Progressing("Waiting for status")
end)

kind("cdi.kubevirt.io/DataVolume", function(o)
  local phase = status(o).phase
  if phase == nil then return Progressing("No status available") end
  if phase == "Succeeded" then return Healthy(phase) end
  if phase == "Failed" then return Degraded(phase) end
  if phase == "Unknown" then return Unknown(phase) end
  if phase == "Paused" then return Suspended(phase) end
  return Progressing(phase)
end)

kind("trident.netapp.io/TridentBackendConfig", function(o)
  local s = status(o)
  if s.lastOperationStatus == "Failed" then return Degraded(s.message) end
  if s.lastOperationStatus == "Success" and (s.phase == "Bound" or s.phase == "Lost" or s.phase == "Unbound") then
    if s.phase == "Bound" then return Healthy(s.message) end
    return Degraded(s.message)
  end
  return Progressing("Waiting for trident backend config")
end)

kind("trident.netapp.io/TridentOrchestrator", function(o)
  local s = status(o)
  if s.status == "Installed" or s.status == "Updated" then return Healthy(s.message) end
  if s.status == "Error" or s.status == "Failed" then return Degraded(s.message) end
  return Progressing("Waiting for trident installation")
end)

-- Astra ------------------------------------------------------------------------------------------------------------

for _, name in ipairs({ "Backup", "ExecHooksRun", "ResourceBackup", "ResticVolumeBackup", "Snapshot", "ResticVolumeRestore",
  "BackupRestore", "ResourceRestore" }) do
  kind("astra.netapp.io/" .. name, function(o)
    local state = status(o).state
    if state == nil or state == "" then return Progressing("No status available") end
    if state == "Completed" then return Healthy(name .. " Completed") end
    if state == "Failed" or state == "Error" then return Degraded(state) end
    return Progressing(name .. " " .. state)
  end)
end

kind("astra.netapp.io/AppVault", function(o)
  local state = status(o).state
  if state == nil then return Progressing("No status available") end
  if state == "available" then return Healthy("AppVault Available") end
  if state == "error" or state == "failed" then return Degraded(status(o).error or "AppVault Degraded") end
  return Progressing("AppVault " .. state)
end)

kind("astra.netapp.io/Application", function(o)
  local ready = condition(o, "Ready")
  if is(ready, "True") then
    return Healthy("Astra Application Ready, protectionState: " .. (status(o).protectionState or ""))
  end
  if is(ready, "False") then return Degraded("Astra Application Degraded, message: " .. (ready.message or "")) end
  return Progressing("No status available")
end)

kind("astra.netapp.io/ExecHook", function(o)
  local enabled = at(o, "spec", "enabled")
  if enabled == true then return Healthy("ExecHook enabled") end
  if enabled == false then return Suspended("ExecHook disabled") end
  return Progressing("No status available")
end)

kind("astra.netapp.io/Schedule", function(o)
  if at(o, "spec", "enabled") == false then return Suspended("Protection policy disabled") end
  local last = status(o).lastScheduleTime
  if last then return Healthy("Protection policy lastScheduleTime: " .. last) end
  return Healthy("Protection policy not yet executed")
end)
