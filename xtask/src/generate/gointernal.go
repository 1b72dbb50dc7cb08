// Command gointernal prints how Kubernetes' internal types are written as JSON, which is how messages show them: a
// line for each structure with its fields in order. See generate.rs for the letters.
package main

import (
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"

	"k8s.io/kubernetes/pkg/apis/admissionregistration"
	"k8s.io/kubernetes/pkg/apis/apps"
	"k8s.io/kubernetes/pkg/apis/autoscaling"
	"k8s.io/kubernetes/pkg/apis/batch"
	"k8s.io/kubernetes/pkg/apis/certificates"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/apis/discovery"
	"k8s.io/kubernetes/pkg/apis/flowcontrol"
	"k8s.io/kubernetes/pkg/apis/networking"
	"k8s.io/kubernetes/pkg/apis/node"
	"k8s.io/kubernetes/pkg/apis/policy"
	"k8s.io/kubernetes/pkg/apis/rbac"
	"k8s.io/kubernetes/pkg/apis/resource"
	"k8s.io/kubernetes/pkg/apis/storage"
)

var roots = []any{
	admissionregistration.ValidatingAdmissionPolicy{}, admissionregistration.ValidatingAdmissionPolicyBinding{},
	admissionregistration.ValidatingWebhook{}, admissionregistration.MutatingWebhook{},
	apps.StatefulSetSpec{}, apps.DeploymentSpec{}, apps.DaemonSetSpec{}, apps.ReplicaSetSpec{},
	autoscaling.HorizontalPodAutoscalerSpec{}, batch.CronJobSpec{}, certificates.CertificateSigningRequestSpec{},
	core.PodTemplateSpec{}, core.PersistentVolumeClaimSpec{}, core.PersistentVolumeSpec{}, core.ServiceSpec{},
	core.NodeSpec{}, core.NodeAddress{}, core.ResourceQuotaSpec{}, core.LimitRangeSpec{}, core.EndpointSubset{},
	discovery.EndpointSlice{}, flowcontrol.FlowSchemaSpec{}, flowcontrol.PriorityLevelConfigurationSpec{},
	networking.IngressSpec{}, networking.NetworkPolicySpec{}, networking.IPAddressSpec{}, networking.ServiceCIDRSpec{},
	networking.IngressClassSpec{}, node.RuntimeClass{}, policy.PodDisruptionBudgetSpec{}, rbac.RoleRef{}, rbac.PolicyRule{},
	rbac.Subject{}, resource.ResourceClaim{}, resource.ResourceClaimTemplate{}, resource.ResourceSlice{}, resource.DeviceClass{},
	storage.VolumeAttachment{}, storage.CSIDriverSpec{}, storage.CSINodeSpec{}, storage.StorageClass{}, storage.CSIStorageCapacity{},
}

var lines = map[string]string{}

func name(t reflect.Type) string {
	parts := strings.Split(t.PkgPath(), "/")
	group := parts[len(parts)-1]
	if strings.Contains(t.PkgPath(), "apimachinery") {
		group = "meta"
	}
	return group + "." + t.Name()
}

func code(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return "*" + code(t.Elem())
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "B"
		}
		return "[" + code(t.Elem())
	case reflect.Map:
		return "{" + code(t.Elem())
	case reflect.String:
		return "s"
	case reflect.Bool:
		return "b"
	case reflect.Struct:
		switch t.Name() {
		case "Quantity":
			return "q"
		case "IntOrString":
			return "i"
		case "Time", "MicroTime":
			return "t"
		case "Duration":
			return "d"
		case "RawExtension", "FieldsV1", "Unknown":
			return "x"
		}
		visit(t)
		return "S" + name(t)
	case reflect.Interface:
		return "x"
	}
	return "n"
}

func fields(t reflect.Type) []string {
	var out []string
	for i := 0; i < t.NumField(); i++ {
		field := t.Field(i)
		tag, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if tag == "-" || field.PkgPath != "" && !field.Anonymous {
			continue
		}
		if field.Anonymous && tag == "" && field.Type.Kind() == reflect.Struct {
			out = append(out, fields(field.Type)...)
			continue
		}
		shown := field.Name
		if tag != "" {
			shown = tag
		}
		empty := ""
		if strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero") {
			empty = "?"
		}
		out = append(out, shown+empty+":"+code(field.Type))
	}
	return out
}

func visit(t reflect.Type) {
	if _, known := lines[name(t)]; known {
		return
	}
	lines[name(t)] = ""
	lines[name(t)] = strings.Join(fields(t), ",")
}

func main() {
	for _, root := range roots {
		visit(reflect.TypeOf(root))
	}
	var names []string
	for name := range lines {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Fprintf(os.Stdout, "%s\t%s\n", name, lines[name])
	}
}
