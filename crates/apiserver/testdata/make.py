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
