// Command goproto reads the protobuf forms of Kubernetes' types by reflection. `goproto table` prints the messages with
// their fields; `goproto samples` prints objects in JSON and in protobuf, as the types write themselves.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/scheme"
	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

type marshaler interface{ Marshal() ([]byte, error) }

var messages = map[string][]string{}

func message(t reflect.Type) string {
	path := t.PkgPath()
	for _, prefix := range []string{
		"k8s.io/apiextensions-apiserver/pkg/apis/", "k8s.io/kube-aggregator/pkg/apis/", "k8s.io/apimachinery/pkg/", "k8s.io/api/",
	} {
		if rest, found := strings.CutPrefix(path, prefix); found {
			path = rest
			break
		}
	}
	return strings.ReplaceAll(path, "/", ".") + "." + t.Name()
}

func isMessage(t reflect.Type) bool {
	_, marshals := reflect.New(t).Interface().(marshaler)
	return marshals
}

func visit(t reflect.Type) {
	name := message(t)
	if _, known := messages[name]; known {
		return
	}
	messages[name] = nil
	switch {
	case name == "apis.meta.v1.Time" || name == "apis.meta.v1.MicroTime":
		messages[name] = []string{"1\tseconds\tint64\t", "2\tnanos\tint32\t"}
	case name == "api.resource.Quantity":
		messages[name] = []string{"1\tstring\tstring\t"}
	case t.Kind() == reflect.Slice:
		messages[name] = []string{"1\titems\tstring\t*"}
	default:
		for i := 0; i < t.NumField(); i++ {
			if line := field(name, t.Field(i)); line != "" {
				messages[name] = append(messages[name], line)
			}
		}
	}
}

func field(of string, f reflect.StructField) string {
	number, own := "", ""
	for i, part := range strings.Split(f.Tag.Get("protobuf"), ",") {
		if i == 1 {
			number = part
		}
		if value, found := strings.CutPrefix(part, "name="); found {
			own = value
		}
	}
	if number == "" {
		return ""
	}
	name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	marks := ""
	if name == "" && (f.Anonymous || strings.Contains(options, "inline")) {
		name, marks = own, "~"
	}
	raw := of == "apis.meta.v1.FieldsV1" || of == "runtime.RawExtension" || of == "apiextensions.v1.JSON"
	if raw {
		name = "-"
	}
	if name == "" {
		name = own
	}
	t := f.Type
	if t.Kind() == reflect.Pointer {
		marks += "^"
		t = t.Elem()
	}
	return strings.Join([]string{number, name, kind(&marks, t), marks}, "\t")
}

func kind(marks *string, t reflect.Type) string {
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int32, reflect.Int64, reflect.Uint32, reflect.Uint64:
		return t.Kind().String()
	case reflect.Int:
		return "int64"
	case reflect.Float64:
		return "double"
	case reflect.Float32:
		return "float"
	case reflect.Map:
		*marks += "%"
		return kind(marks, t.Elem())
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		if !isMessage(t) {
			*marks += "*"
			return kind(marks, t.Elem())
		}
	}
	visit(t)
	return message(t)
}

type filler struct {
	count int
	seen  map[reflect.Type]int
}

func (f *filler) next() int { f.count++; return f.count }

func (f *filler) fill(v reflect.Value) {
	switch own := v.Addr().Interface().(type) {
	case *metav1.Time:
		*own = metav1.NewTime(time.Date(2024, 5, 6, 7, 8, f.next()%60, 0, time.UTC))
		return
	case *metav1.MicroTime:
		*own = metav1.NewMicroTime(time.Date(2024, 5, 6, 7, 8, f.next()%60, 123456000, time.UTC))
		return
	case *metav1.Duration:
		own.Duration = time.Duration(f.next())*time.Second + 1500*time.Millisecond
		return
	case *resource.Quantity:
		*own = resource.MustParse(fmt.Sprintf("%dm", 1501+f.next()))
		return
	case *intstr.IntOrString:
		if f.next()%2 == 0 {
			*own = intstr.FromInt32(int32(-f.count))
		} else {
			*own = intstr.FromString("50%")
		}
		return
	case *metav1.FieldsV1:
		own.Raw = []byte(`{"f:a":{".":{}}}`)
		return
	case *runtime.RawExtension:
		own.Raw = []byte(`{"apiVersion":"v1","kind":"A","n":-1.5}`)
		return
	case *apiextensions.JSON:
		own.Raw = []byte([]string{`"text"`, `{"a":[1,true]}`, `7`}[f.next()%3])
		return
	case *apiextensions.JSONSchemaPropsOrArray:
		if f.next()%2 == 0 {
			own.JSONSchemas = []apiextensions.JSONSchemaProps{{Type: "a"}, {Type: "b"}}
		} else {
			own.Schema = &apiextensions.JSONSchemaProps{Type: "a"}
		}
		return
	case *apiextensions.JSONSchemaPropsOrBool:
		own.Allows = f.next()%2 == 0
		if own.Allows {
			own.Schema = &apiextensions.JSONSchemaProps{Type: "b"}
		}
		return
	case *apiextensions.JSONSchemaPropsOrStringArray:
		if f.next()%2 == 0 {
			own.Property = []string{"x", "y"}
		} else {
			own.Schema = &apiextensions.JSONSchemaProps{Type: "c"}
		}
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("ü" + strconv.Itoa(f.next()))
	case reflect.Bool:
		v.SetBool(f.next()%3 != 0)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(f.next()*37) * int64(1-2*(f.count%2)))
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(f.next()))
	case reflect.Float64, reflect.Float32:
		v.SetFloat(float64(f.next()) + 0.5)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte{0, 255, byte(f.next())})
			return
		}
		if f.seen[v.Type().Elem()] > 1 {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		f.fill(v.Index(0))
	case reflect.Map:
		if f.seen[v.Type().Elem()] > 1 {
			return
		}
		v.Set(reflect.MakeMap(v.Type()))
		for _, name := range []string{"b", "a.b/c"} {
			value := reflect.New(v.Type().Elem()).Elem()
			f.fill(value)
			v.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), value)
		}
	case reflect.Struct:
		f.seen[v.Type()]++
		for i := 0; i < v.NumField(); i++ {
			own := v.Type().Field(i)
			inner := own.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			if own.PkgPath == "" && own.Type.Kind() != reflect.Interface && own.Type != reflect.TypeOf(metav1.TypeMeta{}) &&
				f.seen[inner] < 2 {
				f.fill(v.Field(i))
			}
		}
		f.seen[v.Type()]--
	}
}

func write(all *runtime.Scheme, gvk schema.GroupVersionKind, object runtime.Object) {
	object.GetObjectKind().SetGroupVersionKind(gvk)
	text, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	var binary bytes.Buffer
	if err := protobuf.NewSerializer(all, all).Encode(object, &binary); err != nil {
		panic(err)
	}
	line, _ := json.Marshal(map[string]any{"json": json.RawMessage(text), "protobuf": binary.Bytes()})
	fmt.Println(string(line))
}

func main() {
	all := runtime.NewScheme()
	_ = scheme.AddToScheme(all)
	_ = apiextensions.AddToScheme(all)
	_ = apiregistration.AddToScheme(all)
	var kinds []schema.GroupVersionKind
	for gvk, t := range all.AllKnownTypes() {
		// What no server of this release serves by default is left out.
		old := strings.Contains(gvk.Version, "alpha") || strings.Contains(gvk.Version, "beta") || gvk.Group == "extensions"
		if isMessage(t) && gvk.Version != runtime.APIVersionInternal && !old {
			kinds = append(kinds, gvk)
		}
	}
	sort.Slice(kinds, func(i, j int) bool { return kinds[i].String() < kinds[j].String() })
	types := all.AllKnownTypes()
	if os.Args[1] == "table" {
		for _, gvk := range kinds {
			visit(types[gvk])
		}
		for _, own := range []any{metav1.PartialObjectMetadata{}, metav1.PartialObjectMetadataList{}, metav1.Status{}, metav1.WatchEvent{}} {
			visit(reflect.TypeOf(own))
		}
		names := make([]string, 0, len(messages))
		for name := range messages {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			fmt.Println("=" + name)
			for _, line := range messages[name] {
				fmt.Println(line)
			}
		}
		return
	}
	for _, gvk := range kinds {
		options := strings.HasSuffix(gvk.Kind, "Options") || gvk.Kind == "WatchEvent" || gvk.Kind == "List"
		metaKind := gvk.Kind == "Status" || gvk.Group != "" && strings.HasPrefix(types[gvk].PkgPath(), "k8s.io/apimachinery")
		if options || metaKind {
			continue
		}
		empty := reflect.New(types[gvk])
		write(all, gvk, empty.Interface().(runtime.Object))
		if strings.HasSuffix(gvk.Kind, "List") {
			continue
		}
		full := reflect.New(types[gvk])
		(&filler{seen: map[reflect.Type]int{}}).fill(full.Elem())
		write(all, gvk, full.Interface().(runtime.Object))
	}
}
