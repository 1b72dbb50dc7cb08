#!/usr/bin/env python3
"""make.py OUT: requests for every built-in kind (a body that is right, and what becomes of it when one thing is wrong), for
record.py. Those that are kept (`wrong-KIND`) are a sample of what both servers answer alike."""
import json, os, sys, hashlib, copy
HERE = os.path.dirname(os.path.abspath(__file__))
BASES={}
for d in sorted(os.listdir(HERE)):
    if d.startswith('kind-'):
        r=json.load(open(f'{HERE}/{d}/requests.json'))[0]
        BASES[d[5:]]=(r['do'].split(' ',1)[1], r['body'])
def add(name, path, api, kind, **rest):
    BASES.setdefault(name,(path,{"apiVersion":api,"kind":kind,"metadata":{"name":"case-x","labels":{"l":"1"}},**rest}))
add('namespaces','/api/v1/namespaces','v1','Namespace')
add('apiservices','/apis/apiregistration.k8s.io/v1/apiservices','apiregistration.k8s.io/v1','APIService',spec={"group":"case.example.com","version":"v1","groupPriorityMinimum":100,"versionPriority":10,"service":{"name":"s","namespace":"case-ns"},"insecureSkipTLSVerify":True})
BASES['apiservices'][1]['metadata']['name']='v1.case.example.com'
add('ipaddresses','/apis/networking.k8s.io/v1/ipaddresses','networking.k8s.io/v1','IPAddress',spec={"parentRef":{"resource":"services","name":"s","namespace":"case-ns"}})
BASES['ipaddresses'][1]['metadata']['name']='10.9.8.7'
add('servicecidrs','/apis/networking.k8s.io/v1/servicecidrs','networking.k8s.io/v1','ServiceCIDR',spec={"cidrs":["10.77.0.0/24"]})
add('csinodes','/apis/storage.k8s.io/v1/csinodes','storage.k8s.io/v1','CSINode',spec={"drivers":[{"name":"a.example.com","nodeID":"n1","topologyKeys":["z"],"allocatable":{"count":3}}]})
add('csistoragecapacities','/apis/storage.k8s.io/v1/namespaces/case-ns/csistoragecapacities','storage.k8s.io/v1','CSIStorageCapacity',storageClassName="fast",capacity="1Gi",maximumVolumeSize="1Gi",nodeTopology={"matchLabels":{"z":"a"}})
add('volumeattachments','/apis/storage.k8s.io/v1/volumeattachments','storage.k8s.io/v1','VolumeAttachment',spec={"attacher":"a.example.com","nodeName":"n1","source":{"persistentVolumeName":"pv1"}})
add('volumeattributesclasses','/apis/storage.k8s.io/v1/volumeattributesclasses','storage.k8s.io/v1','VolumeAttributesClass',driverName="a.example.com",parameters={"iops":"100"})
add('validatingadmissionpolicies','/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies','admissionregistration.k8s.io/v1','ValidatingAdmissionPolicy',spec={"failurePolicy":"Fail","paramKind":{"apiVersion":"v1","kind":"ConfigMap"},"matchConstraints":{"resourceRules":[{"apiGroups":["apps"],"apiVersions":["v1"],"operations":["CREATE"],"resources":["deployments"]}]},"matchConditions":[{"name":"c","expression":"true"}],"variables":[{"name":"v","expression":"1"}],"validations":[{"expression":"object.spec.replicas <= 5","message":"m","reason":"Invalid"}],"auditAnnotations":[{"key":"k","valueExpression":"'a'"}]})
add('validatingadmissionpolicybindings','/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings','admissionregistration.k8s.io/v1','ValidatingAdmissionPolicyBinding',spec={"policyName":"p","validationActions":["Deny"],"paramRef":{"name":"x","namespace":"case-ns","parameterNotFoundAction":"Deny"},"matchResources":{"namespaceSelector":{"matchLabels":{"a":"b"}}}})
add('customresourcedefinitions','/apis/apiextensions.k8s.io/v1/customresourcedefinitions','apiextensions.k8s.io/v1','CustomResourceDefinition',spec={"group":"case.example.com","names":{"plural":"widgets","singular":"widget","kind":"Widget","listKind":"WidgetList","shortNames":["w"],"categories":["all"]},"scope":"Namespaced","versions":[{"name":"v1","served":True,"storage":True,"subresources":{"status":{},"scale":{"specReplicasPath":".spec.replicas","statusReplicasPath":".status.replicas"}},"additionalPrinterColumns":[{"name":"R","type":"integer","jsonPath":".spec.replicas"}],"schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object","required":["replicas"],"properties":{"replicas":{"type":"integer","minimum":0,"default":1},"name":{"type":"string","maxLength":10,"pattern":"^[a-z]+$"},"items":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["name"],"items":{"type":"object","required":["name"],"properties":{"name":{"type":"string"}}}}},"x-kubernetes-validations":[{"rule":"self.replicas < 10","message":"too many"}]},"status":{"type":"object","properties":{"replicas":{"type":"integer"}}}}}}}]})
BASES['customresourcedefinitions'][1]['metadata']['name']='widgets.case.example.com'
add('deviceclasses','/apis/resource.k8s.io/v1/deviceclasses','resource.k8s.io/v1','DeviceClass',spec={"selectors":[{"cel":{"expression":"device.driver == 'a.example.com'"}}],"config":[{"opaque":{"driver":"a.example.com","parameters":{"a":1}}}]})
add('resourceclaims','/apis/resource.k8s.io/v1/namespaces/case-ns/resourceclaims','resource.k8s.io/v1','ResourceClaim',spec={"devices":{"requests":[{"name":"r","exactly":{"deviceClassName":"gpu","count":2,"allocationMode":"ExactCount"}}],"constraints":[{"requests":["r"],"matchAttribute":"a.example.com/x"}]}})
add('resourceclaimtemplates','/apis/resource.k8s.io/v1/namespaces/case-ns/resourceclaimtemplates','resource.k8s.io/v1','ResourceClaimTemplate',spec={"metadata":{"labels":{"a":"b"}},"spec":{"devices":{"requests":[{"name":"r","exactly":{"deviceClassName":"gpu"}}]}}})
add('resourceslices','/apis/resource.k8s.io/v1/resourceslices','resource.k8s.io/v1','ResourceSlice',spec={"driver":"a.example.com","nodeName":"n1","pool":{"name":"p","generation":1,"resourceSliceCount":1},"devices":[{"name":"d","attributes":{"x":{"string":"s"}},"capacity":{"m":{"value":"1Gi"}}}]})
add('flowschemas','/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas','flowcontrol.apiserver.k8s.io/v1','FlowSchema',spec={"priorityLevelConfiguration":{"name":"workload-low"},"matchingPrecedence":500,"distinguisherMethod":{"type":"ByUser"},"rules":[{"subjects":[{"kind":"User","user":{"name":"u"}}],"resourceRules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"],"namespaces":["*"]}]}]})
add('prioritylevelconfigurations','/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations','flowcontrol.apiserver.k8s.io/v1','PriorityLevelConfiguration',spec={"type":"Limited","limited":{"nominalConcurrencyShares":10,"limitResponse":{"type":"Queue","queuing":{"queues":8,"handSize":3,"queueLengthLimit":50}}}})

# Fuller bodies of the most common kinds.
NS={"namespace":"case-ns"}
def rich(name, path, api, kind, **rest):
    add(name, path, api, kind, **rest)
    BASES[name][1]["metadata"]["name"]="case-x"
def pod(**more):
    return {"containers":[{"name":"main","image":"nginx:1"}],**more}
def template(**more):
    return {"metadata":{"labels":{"app":"x"}},"spec":pod(**more)}
PODS='/api/v1/namespaces/case-ns/pods'
SELECT={"matchLabels":{"app":"x"}}
rich('pods-containers',PODS,'v1','Pod',spec={"containers":[{"name":"main","image":"nginx:1","command":["a"],"args":["b"],"workingDir":"/w","ports":[{"name":"http","containerPort":80,"hostPort":8080,"protocol":"TCP","hostIP":"10.1.1.1"}],"envFrom":[{"prefix":"P_","configMapRef":{"name":"c","optional":True}},{"secretRef":{"name":"s"}}],"env":[{"name":"A","value":"1"},{"name":"B","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}},{"name":"C","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu","divisor":"1m"}}}],"resources":{"limits":{"cpu":"1","memory":"1Gi","example.com/gpu":"2"},"requests":{"cpu":"500m","example.com/gpu":"2"}},"volumeMounts":[{"name":"v","mountPath":"/m","subPath":"x","readOnly":True,"mountPropagation":"None","recursiveReadOnly":"Disabled"}],"volumeDevices":[{"name":"b","devicePath":"/dev/x"}],"livenessProbe":{"httpGet":{"path":"/h","port":"http","scheme":"HTTPS","httpHeaders":[{"name":"X-A","value":"1"}]},"initialDelaySeconds":1,"timeoutSeconds":2,"periodSeconds":3,"successThreshold":1,"failureThreshold":4,"terminationGracePeriodSeconds":5},"readinessProbe":{"tcpSocket":{"port":80}},"startupProbe":{"exec":{"command":["x"]}},"lifecycle":{"postStart":{"exec":{"command":["y"]}},"preStop":{"sleep":{"seconds":3}}},"terminationMessagePath":"/x","terminationMessagePolicy":"FallbackToLogsOnError","imagePullPolicy":"Always","securityContext":{"runAsUser":1,"runAsGroup":2,"privileged":False,"allowPrivilegeEscalation":False,"capabilities":{"add":["NET_ADMIN"],"drop":["ALL"]},"seccompProfile":{"type":"RuntimeDefault"},"procMount":"Default"},"stdin":True,"tty":True,"resizePolicy":[{"resourceName":"cpu","restartPolicy":"NotRequired"}]},{"name":"two","image":"nginx:1","env":[{"name":"D","valueFrom":{"configMapKeyRef":{"name":"c","key":"k"}}},{"name":"E","valueFrom":{"secretKeyRef":{"name":"s","key":"k","optional":True}}}],"livenessProbe":{"grpc":{"port":80,"service":"s"}}}],"initContainers":[{"name":"init","image":"nginx:1","restartPolicy":"Always","startupProbe":{"exec":{"command":["x"]}}},{"name":"once","image":"nginx:1"}],"volumes":[{"name":"v","emptyDir":{"medium":"Memory","sizeLimit":"1Gi"}},{"name":"b","persistentVolumeClaim":{"claimName":"c","readOnly":True}}]})
rich('pods-volumes',PODS,'v1','Pod',spec=pod(volumes=[{"name":"a","hostPath":{"path":"/p","type":"Directory"}},{"name":"b","secret":{"secretName":"s","defaultMode":420,"optional":True,"items":[{"key":"k","path":"p/q","mode":256}]}},{"name":"c","configMap":{"name":"c","defaultMode":420,"items":[{"key":"k","path":"p"}]}},{"name":"d","projected":{"defaultMode":420,"sources":[{"secret":{"name":"s","items":[{"key":"k","path":"p1"}]}},{"configMap":{"name":"c","items":[{"key":"k","path":"p2"}]}},{"downwardAPI":{"items":[{"path":"p3","fieldRef":{"fieldPath":"metadata.labels['a']"}}]}},{"serviceAccountToken":{"path":"p4","expirationSeconds":3600,"audience":"a"}}]}},{"name":"e","downwardAPI":{"defaultMode":420,"items":[{"path":"p","mode":256,"resourceFieldRef":{"containerName":"main","resource":"limits.memory","divisor":"1Mi"}}]}},{"name":"f","nfs":{"server":"s","path":"/p","readOnly":True}},{"name":"g","csi":{"driver":"a.example.com","fsType":"ext4","nodePublishSecretRef":{"name":"s"},"volumeAttributes":{"a":"b"}}},{"name":"h","ephemeral":{"volumeClaimTemplate":{"metadata":{"labels":{"a":"b"}},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}},"storageClassName":"fast","volumeMode":"Filesystem"}}}},{"name":"i","iscsi":{"targetPortal":"1.2.3.4:3260","iqn":"iqn.2001-04.com.example:a","lun":0,"initiatorName":"iqn.2001-04.com.example:b"}},{"name":"j","image":{"reference":"r","pullPolicy":"IfNotPresent"}}],serviceAccountName="sa"))
rich('pods-placement',PODS,'v1','Pod',spec=pod(affinity={"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"a","operator":"In","values":["b"]},{"key":"n","operator":"Gt","values":["1"]}],"matchFields":[{"key":"metadata.name","operator":"In","values":["n1"]}]}]},"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":5,"preference":{"matchExpressions":[{"key":"a","operator":"Exists"}]}}]},"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"labelSelector":{"matchLabels":{"a":"b"},"matchExpressions":[{"key":"c","operator":"NotIn","values":["d"]}]},"topologyKey":"zone","namespaces":["n"],"namespaceSelector":{"matchLabels":{"x":"y"}},"matchLabelKeys":["k"]}]},"podAntiAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":3,"podAffinityTerm":{"labelSelector":{"matchLabels":{"a":"b"}},"topologyKey":"zone"}}]}},tolerations=[{"key":"a","operator":"Equal","value":"b","effect":"NoExecute","tolerationSeconds":5},{"operator":"Exists"}],topologySpreadConstraints=[{"maxSkew":1,"minDomains":2,"topologyKey":"zone","whenUnsatisfiable":"DoNotSchedule","labelSelector":{"matchLabels":{"a":"b"}},"nodeAffinityPolicy":"Honor","nodeTaintsPolicy":"Ignore","matchLabelKeys":["k"]}],nodeSelector={"a":"b"},schedulingGates=[{"name":"example.com/g"}],priorityClassName="system-node-critical",schedulerName="s"))
rich('pods-host',PODS,'v1','Pod',spec=pod(securityContext={"runAsUser":1,"runAsGroup":2,"runAsNonRoot":True,"fsGroup":3,"supplementalGroups":[4],"fsGroupChangePolicy":"Always","sysctls":[{"name":"kernel.x","value":"1"}],"seccompProfile":{"type":"Localhost","localhostProfile":"p"},"appArmorProfile":{"type":"RuntimeDefault"},"seLinuxOptions":{"level":"l"},"supplementalGroupsPolicy":"Merge"},hostNetwork=False,hostPID=False,shareProcessNamespace=True,imagePullSecrets=[{"name":"s"}],hostname="h",subdomain="s",hostAliases=[{"ip":"1.2.3.4","hostnames":["a.b"]}],dnsPolicy="None",dnsConfig={"nameservers":["1.2.3.4"],"searches":["a.b"],"options":[{"name":"o","value":"1"}]},readinessGates=[{"conditionType":"example.com/x"}],enableServiceLinks=False,activeDeadlineSeconds=100,terminationGracePeriodSeconds=5,automountServiceAccountToken=False,os={"name":"linux"},preemptionPolicy="PreemptLowerPriority",setHostnameAsFQDN=False,restartPolicy="OnFailure",nodeName="n1"))
rich('deployments-full','/apis/apps/v1/namespaces/case-ns/deployments','apps/v1','Deployment',spec={"replicas":2,"minReadySeconds":3,"revisionHistoryLimit":4,"progressDeadlineSeconds":60,"paused":True,"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":"25%","maxUnavailable":1}},"selector":{"matchLabels":{"app":"x"},"matchExpressions":[{"key":"app","operator":"In","values":["x"]}]},"template":template()})
rich('daemonsets-full','/apis/apps/v1/namespaces/case-ns/daemonsets','apps/v1','DaemonSet',spec={"minReadySeconds":3,"revisionHistoryLimit":4,"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":0,"maxUnavailable":"10%"}},"selector":SELECT,"template":template()})
rich('statefulsets-full','/apis/apps/v1/namespaces/case-ns/statefulsets','apps/v1','StatefulSet',spec={"replicas":2,"minReadySeconds":3,"serviceName":"s","podManagementPolicy":"Parallel","ordinals":{"start":2},"persistentVolumeClaimRetentionPolicy":{"whenDeleted":"Delete","whenScaled":"Retain"},"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"partition":1}},"selector":SELECT,"template":template(),"volumeClaimTemplates":[{"metadata":{"name":"d"},"spec":{"accessModes":["ReadWriteOnce"],"storageClassName":"fast","volumeMode":"Filesystem","resources":{"requests":{"storage":"1Gi"}}}}]})
rich('jobs-full','/apis/batch/v1/namespaces/case-ns/jobs','batch/v1','Job',spec={"parallelism":2,"completions":3,"completionMode":"Indexed","backoffLimitPerIndex":1,"maxFailedIndexes":2,"activeDeadlineSeconds":60,"ttlSecondsAfterFinished":10,"suspend":True,"podReplacementPolicy":"Failed","podFailurePolicy":{"rules":[{"action":"FailJob","onExitCodes":{"containerName":"main","operator":"In","values":[1,2]}},{"action":"Ignore","onPodConditions":[{"type":"DisruptionTarget","status":"True"}]}]},"successPolicy":{"rules":[{"succeededIndexes":"0-1","succeededCount":1}]},"template":template(restartPolicy="Never")})
rich('cronjobs-full','/apis/batch/v1/namespaces/case-ns/cronjobs','batch/v1','CronJob',spec={"schedule":"*/5 1-3 * * 1","timeZone":"Etc/UTC","startingDeadlineSeconds":10,"concurrencyPolicy":"Forbid","suspend":True,"successfulJobsHistoryLimit":2,"failedJobsHistoryLimit":1,"jobTemplate":{"metadata":{"labels":{"a":"b"}},"spec":{"backoffLimit":2,"template":template(restartPolicy="OnFailure")}}})
SERVICES='/api/v1/namespaces/case-ns/services'
rich('services-balanced',SERVICES,'v1','Service',spec={"type":"LoadBalancer","selector":{"a":"b"},"ports":[{"name":"a","port":80,"targetPort":"http","protocol":"TCP","appProtocol":"http","nodePort":30080},{"name":"b","port":443,"targetPort":8443}],"sessionAffinity":"ClientIP","sessionAffinityConfig":{"clientIP":{"timeoutSeconds":100}},"externalTrafficPolicy":"Cluster","internalTrafficPolicy":"Local","externalIPs":["1.2.3.4"],"loadBalancerSourceRanges":["10.0.0.0/8"],"loadBalancerClass":"example.com/x","allocateLoadBalancerNodePorts":True,"ipFamilyPolicy":"SingleStack","ipFamilies":["IPv4"],"publishNotReadyAddresses":True,"trafficDistribution":"PreferClose"})
rich('services-headless',SERVICES,'v1','Service',spec={"clusterIP":"None","selector":{"a":"b"},"ports":[{"port":80}]})
rich('services-external',SERVICES,'v1','Service',spec={"type":"ExternalName","externalName":"a.example.com","ports":[{"port":80}]})
rich('ingresses-full','/apis/networking.k8s.io/v1/namespaces/case-ns/ingresses','networking.k8s.io/v1','Ingress',spec={"ingressClassName":"c","defaultBackend":{"resource":{"apiGroup":"a.example.com","kind":"K","name":"n"}},"tls":[{"hosts":["a.example.com","*.b.example.com"],"secretName":"s"}],"rules":[{"host":"*.example.com","http":{"paths":[{"path":"/a","pathType":"Prefix","backend":{"service":{"name":"s","port":{"number":80}}}},{"path":"/b","pathType":"ImplementationSpecific","backend":{"service":{"name":"s","port":{"name":"http"}}}}]}}]})
rich('networkpolicies-full','/apis/networking.k8s.io/v1/namespaces/case-ns/networkpolicies','networking.k8s.io/v1','NetworkPolicy',spec={"podSelector":{"matchLabels":{"a":"b"}},"policyTypes":["Ingress","Egress"],"ingress":[{"from":[{"podSelector":{"matchLabels":{"a":"b"}},"namespaceSelector":{"matchExpressions":[{"key":"a","operator":"Exists"}]}},{"ipBlock":{"cidr":"10.0.0.0/8","except":["10.1.0.0/16"]}}],"ports":[{"protocol":"TCP","port":80,"endPort":90},{"port":"http"}]}],"egress":[{"to":[{"ipBlock":{"cidr":"::/0"}}],"ports":[{"protocol":"UDP","port":53}]}]})
rich('ingressclasses-full','/apis/networking.k8s.io/v1/ingressclasses','networking.k8s.io/v1','IngressClass',spec={"controller":"a.example.com/x","parameters":{"apiGroup":"a.example.com","kind":"K","name":"n","scope":"Namespace","namespace":"n"}})
rich('horizontalpodautoscalers-full','/apis/autoscaling/v2/namespaces/case-ns/horizontalpodautoscalers','autoscaling/v2','HorizontalPodAutoscaler',spec={"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"d"},"minReplicas":2,"maxReplicas":5,"metrics":[{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":50}}},{"type":"Pods","pods":{"metric":{"name":"m","selector":{"matchLabels":{"a":"b"}}},"target":{"type":"AverageValue","averageValue":"1"}}},{"type":"Object","object":{"metric":{"name":"m"},"describedObject":{"apiVersion":"v1","kind":"Service","name":"s"},"target":{"type":"Value","value":"2"}}}],"behavior":{"scaleUp":{"stabilizationWindowSeconds":10,"selectPolicy":"Max","policies":[{"type":"Pods","value":2,"periodSeconds":15}]},"scaleDown":{"policies":[{"type":"Percent","value":10,"periodSeconds":60}]}}})
rich('persistentvolumeclaims-full','/api/v1/namespaces/case-ns/persistentvolumeclaims','v1','PersistentVolumeClaim',spec={"accessModes":["ReadWriteOnce","ReadOnlyMany"],"resources":{"requests":{"storage":"1Gi"},"limits":{"storage":"2Gi"}},"storageClassName":"fast","volumeMode":"Block","volumeName":"pv1","selector":{"matchLabels":{"a":"b"}},"dataSource":{"apiGroup":"snapshot.storage.k8s.io","kind":"VolumeSnapshot","name":"s"},"volumeAttributesClassName":"gold"})
rich('persistentvolumes-csi','/api/v1/persistentvolumes','v1','PersistentVolume',spec={"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"],"persistentVolumeReclaimPolicy":"Delete","storageClassName":"fast","volumeMode":"Filesystem","mountOptions":["ro"],"csi":{"driver":"a.example.com","volumeHandle":"h","fsType":"ext4","readOnly":True,"nodePublishSecretRef":{"name":"s","namespace":"n"},"controllerExpandSecretRef":{"name":"s","namespace":"n"}},"nodeAffinity":{"required":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"zone","operator":"In","values":["a"]}]}]}},"claimRef":{"namespace":"case-ns","name":"c"}})
rich('persistentvolumes-local','/api/v1/persistentvolumes','v1','PersistentVolume',spec={"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOncePod"],"local":{"path":"/d","fsType":"ext4"},"nodeAffinity":{"required":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"zone","operator":"In","values":["a"]}]}]}}})
rich('nodes-full','/api/v1/nodes','v1','Node',spec={"podCIDR":"10.1.0.0/24","podCIDRs":["10.1.0.0/24"],"providerID":"x://y","unschedulable":True,"taints":[{"key":"a","value":"b","effect":"NoSchedule"}]},status={"capacity":{"cpu":"4","memory":"1Gi","pods":"110"},"allocatable":{"cpu":"4"},"addresses":[{"type":"InternalIP","address":"1.2.3.4"}]})
rich('limitranges-full','/api/v1/namespaces/case-ns/limitranges','v1','LimitRange',spec={"limits":[{"type":"Container","max":{"cpu":"2","memory":"1Gi"},"min":{"cpu":"100m"},"default":{"cpu":"1"},"defaultRequest":{"cpu":"500m"},"maxLimitRequestRatio":{"cpu":"4"}},{"type":"Pod","max":{"cpu":"4"}},{"type":"PersistentVolumeClaim","min":{"storage":"1Gi"},"max":{"storage":"10Gi"}}]})
rich('resourcequotas-full','/api/v1/namespaces/case-ns/resourcequotas','v1','ResourceQuota',spec={"hard":{"pods":"10","requests.cpu":"2","limits.memory":"1Gi"},"scopes":["NotTerminating"],"scopeSelector":{"matchExpressions":[{"scopeName":"PriorityClass","operator":"In","values":["high"]}]}})
rich('poddisruptionbudgets-full','/apis/policy/v1/namespaces/case-ns/poddisruptionbudgets','policy/v1','PodDisruptionBudget',spec={"maxUnavailable":"50%","unhealthyPodEvictionPolicy":"AlwaysAllow","selector":{"matchLabels":{"a":"b"},"matchExpressions":[{"key":"c","operator":"In","values":["d"]}]}})
rich('storageclasses-full','/apis/storage.k8s.io/v1/storageclasses','storage.k8s.io/v1','StorageClass',provisioner="a.example.com/p",parameters={"a":"b"},reclaimPolicy="Retain",mountOptions=["ro"],allowVolumeExpansion=True,volumeBindingMode="WaitForFirstConsumer",allowedTopologies=[{"matchLabelExpressions":[{"key":"zone","values":["a","b"]}]}])
rich('csidrivers-full','/apis/storage.k8s.io/v1/csidrivers','storage.k8s.io/v1','CSIDriver',spec={"attachRequired":False,"podInfoOnMount":True,"volumeLifecycleModes":["Persistent","Ephemeral"],"storageCapacity":True,"fsGroupPolicy":"File","tokenRequests":[{"audience":"a","expirationSeconds":3600}],"requiresRepublish":True,"seLinuxMount":True})
rich('endpointslices-full','/apis/discovery.k8s.io/v1/namespaces/case-ns/endpointslices','discovery.k8s.io/v1','EndpointSlice',addressType="IPv4",endpoints=[{"addresses":["10.1.2.3"],"conditions":{"ready":True,"serving":True,"terminating":False},"hostname":"h","nodeName":"n1","zone":"z","hints":{"forZones":[{"name":"z"}]},"targetRef":{"kind":"Pod","name":"p","namespace":"case-ns"}}],ports=[{"name":"http","port":80,"protocol":"TCP","appProtocol":"http"}])
rich('runtimeclasses-full','/apis/node.k8s.io/v1/runtimeclasses','node.k8s.io/v1','RuntimeClass',handler="h",overhead={"podFixed":{"cpu":"100m"}},scheduling={"nodeSelector":{"a":"b"},"tolerations":[{"key":"a","operator":"Exists"}]})
rich('priorityclasses-full','/apis/scheduling.k8s.io/v1/priorityclasses','scheduling.k8s.io/v1','PriorityClass',value=1000,globalDefault=False,description="d",preemptionPolicy="Never")
rich('secrets-docker','/api/v1/namespaces/case-ns/secrets','v1','Secret',type="kubernetes.io/dockerconfigjson",data={".dockerconfigjson":"e30="})
rich('secrets-tls','/api/v1/namespaces/case-ns/secrets','v1','Secret',type="kubernetes.io/tls",data={"tls.crt":"YQ==","tls.key":"Yg=="},immutable=True)
rich('secrets-basic','/api/v1/namespaces/case-ns/secrets','v1','Secret',type="kubernetes.io/basic-auth",stringData={"username":"u","password":"p"})
rich('configmaps-full','/api/v1/namespaces/case-ns/configmaps','v1','ConfigMap',data={"a.b":"1","c":"2"},binaryData={"d":"YQ=="},immutable=True)
rich('serviceaccounts-full','/api/v1/namespaces/case-ns/serviceaccounts','v1','ServiceAccount',secrets=[{"name":"s"}],imagePullSecrets=[{"name":"p"}],automountServiceAccountToken=False)
rich('roles-full','/apis/rbac.authorization.k8s.io/v1/namespaces/case-ns/roles','rbac.authorization.k8s.io/v1','Role',rules=[{"apiGroups":["apps"],"resources":["deployments"],"resourceNames":["d"],"verbs":["get","list"]}])
rich('clusterroles-full','/apis/rbac.authorization.k8s.io/v1/clusterroles','rbac.authorization.k8s.io/v1','ClusterRole',rules=[{"nonResourceURLs":["/healthz","/a/*"],"verbs":["get"]}],aggregationRule={"clusterRoleSelectors":[{"matchLabels":{"a":"b"}}]})
rich('rolebindings-full','/apis/rbac.authorization.k8s.io/v1/namespaces/case-ns/rolebindings','rbac.authorization.k8s.io/v1','RoleBinding',roleRef={"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"r"},subjects=[{"kind":"User","name":"u","apiGroup":"rbac.authorization.k8s.io"},{"kind":"ServiceAccount","name":"s","namespace":"n"}])
rich('leases-full','/apis/coordination.k8s.io/v1/namespaces/case-ns/leases','coordination.k8s.io/v1','Lease',spec={"holderIdentity":"h","leaseDurationSeconds":15,"acquireTime":"2026-01-01T00:00:00.000000Z","renewTime":"2026-01-01T00:00:00.000000Z","leaseTransitions":1})

def setp(body, path, value, delete=False):
    b=copy.deepcopy(body); o=b
    for p in path[:-1]: o=o[p]
    if delete: del o[path[-1]]
    else: o[path[-1]]=value
    return b
def walk(v, path=()):
    if path and path[0] in('apiVersion','kind'): return
    if path: yield path, v
    if isinstance(v,dict):
        for k in v: yield from walk(v[k],path+(k,))
    elif isinstance(v,list):
        for i,x in enumerate(v[:2]): yield from walk(x,path+(i,))
def mutations(body):
    for path,v in walk(body):
        if path==('metadata',) or path[:2]==('metadata','labels'): continue
        yield setp(body,path,None,True)
        if isinstance(v,str): vals=["","Bad Value!",7]
        elif isinstance(v,bool): vals=[not v,"x"]
        elif isinstance(v,(int,float)): vals=[-1,0,70000,"x"]
        elif isinstance(v,list): vals=[[],"x",v+v[:1]]
        elif isinstance(v,dict): vals=[{}, "x", dict(v,bogus=1)]
        else: vals=[]
        for x in vals: yield setp(body,path,x)
    yield dict(body,metadata=dict(body['metadata'],annotations={"bad key!":"v"}))
    yield dict(body,metadata=dict(body['metadata'],labels={"a":"bad value!"}))
    yield dict(body,metadata=dict(body['metadata'],finalizers=["nodomain"]))
    yield dict(body,metadata=dict(body['metadata'],ownerReferences=[{"apiVersion":"v1","kind":"Pod","name":"","uid":"u"}]))
def patches(body):
    for path,v in walk(body):
        if path[0]=='metadata' or any(isinstance(p,int) for p in path): continue
        vals=[None]
        if isinstance(v,str): vals.append(v+"x")
        elif isinstance(v,bool): vals.append(not v)
        elif isinstance(v,(int,float)): vals.append(v+1)
        elif isinstance(v,list): vals.append([])
        elif isinstance(v,dict): vals.append({"bogus":1})
        for x in vals:
            p=x
            for k in reversed(path): p={k:p}
            yield p
def requests(name):
    path,body=BASES[name]
    n=body['metadata'].get('name','case-x')
    out=[]
    seen=set()
    for m in mutations(body):
        t=json.dumps(m,sort_keys=True)
        if t in seen: continue
        seen.add(t)
        out.append({"do":f"POST {path}?dryRun=All","body":m})
    out.append({"do":f"POST {path}","body":body})
    for p in patches(body):
        out.append({"do":f"PATCH {path}/{n}?dryRun=All","type":"application/merge-patch+json","body":p})
    for f in ("application/json;as=Table;v=v1;g=meta.k8s.io","application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"):
        out.append({"do":f"GET {path}?labelSelector=l%3D1","accept":f})
    out.append({"do":f"GET {path}/{n}","accept":"application/json;as=Table;v=v1;g=meta.k8s.io"})
    out.append({"do":f"PUT {path}/{n}?dryRun=All","body":dict(body,metadata=dict(body['metadata'],name='other'))})
    out.append({"do":f"PUT {path}/{n}?dryRun=All","body":dict(body,metadata=dict(body['metadata'],resourceVersion='1'))})
    out.append({"do":f"PUT {path}/nothere?dryRun=All","body":dict(body,metadata=dict(body['metadata'],name='nothere'))})
    out.append({"do":f"PATCH {path}/{n}/status?dryRun=All&fieldManager=s","type":"application/merge-patch+json","body":{"metadata":{"annotations":{"st":"1"}},"spec":{"zzz":1}}})
    out.append({"do":f"PATCH {path}/{n}?dryRun=All","type":"application/json-patch+json","body":[{"op":"test","path":"/metadata/name","value":"zz"}]})
    out.append({"do":f"PATCH {path}/{n}?dryRun=All","type":"application/json-patch+json","body":[{"op":"remove","path":"/spec/nothere"}]})
    out.append({"do":f"DELETE {path}/nothere"})
    out.append({"do":f"DELETE {path}?labelSelector=l%3D1"})
    return out
if __name__=='__main__':
    out=sys.argv[1]; os.makedirs(out,exist_ok=True); total=0
    for name in BASES:
        os.makedirs(f'{out}/gen-{name}',exist_ok=True)
        r=requests(name); total+=len(r)
        open(f'{out}/gen-{name}/requests.json','w').write("[\n"+",\n".join(json.dumps(x) for x in r)+"\n]\n")
    print(len(BASES),total)
