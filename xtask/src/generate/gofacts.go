// Command gofacts prints, for every struct that Kubernetes' built-in kinds reach, how its JSON encoder
// writes fields that hold nothing. See generate.rs for the letters.
package main

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

var facts = map[string]map[string]string{}

func definition(t reflect.Type) string {
	path := strings.Replace(t.PkgPath(), "k8s.io/", "io.k8s.", 1)
	return strings.ReplaceAll(path, "/", ".") + "." + t.Name()
}

func letter(t reflect.Type, options string) string {
	omitEmpty, omitZero := strings.Contains(options, "omitempty"), strings.Contains(options, "omitzero")
	switch t.Kind() {
	case reflect.Pointer, reflect.Interface:
		if omitEmpty || omitZero {
			return ""
		}
		return "n"
	case reflect.Slice, reflect.Map:
		if omitEmpty || omitZero {
			return ""
		}
		return "l"
	case reflect.Struct:
		if omitZero {
			return "z"
		}
		switch t.Name() {
		case "Time", "MicroTime":
			return "n"
		case "IntOrString":
			return "0"
		case "Quantity":
			return "q"
		case "FieldsV1", "RawExtension", "JSON":
			return "n"
		case "Duration":
			return "d"
		}
		return "S"
	}
	if omitEmpty || omitZero {
		return "o"
	}
	switch t.Kind() {
	case reflect.String:
		return "s"
	case reflect.Bool:
		return "f"
	}
	return "0"
}

func visit(t reflect.Type) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Name() == "Quantity" || t.Kind() != reflect.Struct || !strings.HasPrefix(t.PkgPath(), "k8s.io/") {
		return
	}
	name := definition(t)
	if _, known := facts[name]; known {
		return
	}
	facts[name] = map[string]string{}
	fields(t, facts[name])
}

func fields(t reflect.Type, into map[string]string) {
	for i := 0; i < t.NumField(); i++ {
		field := t.Field(i)
		tag, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if tag == "-" || field.PkgPath != "" {
			continue
		}
		if field.Anonymous && tag == "" && field.Type.Kind() == reflect.Struct {
			fields(field.Type, into)
			continue
		}
		if code := letter(field.Type, options); code != "" {
			into[tag] = code
		}
		visit(field.Type)
	}
}

func main() {
	all := runtime.NewScheme()
	_ = scheme.AddToScheme(all)
	_ = apiextensions.AddToScheme(all)
	_ = apiregistration.AddToScheme(all)
	for _, t := range all.AllKnownTypes() {
		visit(t)
	}
	for name, fields := range facts {
		if len(fields) == 0 {
			delete(facts, name)
		}
	}
	out := json.NewEncoder(os.Stdout)
	_ = out.Encode(facts)
}
