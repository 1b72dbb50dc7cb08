// Command gofacts prints, for every struct that Kubernetes' built-in kinds reach, how its JSON encoder
// writes fields that hold nothing, and which fields have Go types that their form does not tell. See generate.rs for the
// letters.
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

var facts, types = map[string]map[string]string{}, map[string]map[string]string{}

// The Go type that a form suggests.
func guess(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return guess(t.Elem())
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "string"
		}
		return "[]" + guess(t.Elem())
	case reflect.Map:
		return "map[string]string"
	case reflect.Struct:
		return "v1." + t.Name()
	}
	return t.Kind().String()
}

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
	facts[name], types[name] = map[string]string{}, map[string]string{}
	fields(t, facts[name], types[name])
}

func fields(t reflect.Type, into, named map[string]string) {
	for i := 0; i < t.NumField(); i++ {
		field := t.Field(i)
		tag, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if tag == "-" || field.PkgPath != "" {
			continue
		}
		if field.Anonymous && tag == "" && field.Type.Kind() == reflect.Struct {
			fields(field.Type, into, named)
			continue
		}
		if code := letter(field.Type, options); code != "" {
			into[tag] = code
		}
		own := field.Type
		for own.Kind() == reflect.Pointer {
			own = own.Elem()
		}
		if shown := own.String(); shown != guess(own) {
			named[tag] = shown
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
	both := map[string]map[string]map[string]string{}
	for name := range facts {
		both[name] = map[string]map[string]string{}
		if len(facts[name]) > 0 {
			both[name]["x-zero"] = facts[name]
		}
		if len(types[name]) > 0 {
			both[name]["x-go"] = types[name]
		}
	}
	out := json.NewEncoder(os.Stdout)
	_ = out.Encode(both)
}
