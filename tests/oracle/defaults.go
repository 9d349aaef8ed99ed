package main

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/utils/kube/scheme"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// defaults asks Kubernetes' own defaulting what it fills in, type by type: each struct that a kind can hold is put
// into an otherwise empty object of that kind, and what appears inside the struct is its default. Defaults that
// depend on other fields show here as they are when those are empty.
func defaults() map[string]map[string]any {
	found := map[string]map[string]any{}
	for gvk, goType := range scheme.Scheme.AllKnownTypes() {
		if _, ok := nameOf(goType); ok && gvk.Version != runtime.APIVersionInternal {
			p := prober{gvk: gvk, found: found, seen: map[reflect.Type]bool{}}
			p.visit(goType, nil)
		}
	}
	return found
}

// step leads from a struct to what one of its fields holds.
type step struct {
	field  int
	name   string // in JSON; empty when the field is inlined
	nested bool   // an item of a list or a value of a map
}

type prober struct {
	gvk   schema.GroupVersionKind
	found map[string]map[string]any
	seen  map[reflect.Type]bool
}

func (p prober) visit(t reflect.Type, path []step) {
	inlined := len(path) > 0 && path[len(path)-1].name == ""
	if name, ok := nameOf(t); ok && !inlined {
		if p.seen[t] {
			return
		}
		p.seen[t] = true
		p.record(name, path)
	}
	for i := range t.NumField() {
		field := t.Field(i)
		tag := strings.Split(field.Tag.Get("json"), ",")
		held, nested := field.Type, false
		for held.Kind() == reflect.Pointer || held.Kind() == reflect.Slice || held.Kind() == reflect.Map {
			nested = nested || held.Kind() != reflect.Pointer
			held = held.Elem()
		}
		if held.Kind() == reflect.Struct && strings.HasPrefix(held.PkgPath(), "k8s.io/api/") && tag[0] != "status" {
			p.visit(held, append(path[:len(path):len(path)], step{i, tag[0], nested}))
		}
	}
}

func (p prober) record(name string, path []step) {
	object, err := scheme.Scheme.New(p.gvk)
	if err != nil {
		panic(err)
	}
	materialise(reflect.ValueOf(object).Elem(), path)
	before := at(object, path)
	scheme.Scheme.Default(object)
	after := at(object, path)
	for field, value := range after {
		if _, ok := before[field]; ok && fmt.Sprint(before[field]) == fmt.Sprint(value) {
			continue
		}
		if p.found[name] == nil {
			p.found[name] = map[string]any{}
		}
		if _, ok := p.found[name][field]; !ok {
			p.found[name][field] = value
		}
	}
}

func materialise(v reflect.Value, path []step) {
	for _, s := range path {
		field := v.Field(s.field)
		switch field.Kind() {
		case reflect.Pointer:
			field.Set(reflect.New(field.Type().Elem()))
			v = field.Elem()
		case reflect.Slice:
			field.Set(reflect.MakeSlice(field.Type(), 1, 1))
			v = field.Index(0)
		case reflect.Map:
			return // no kind defaults a struct within a map
		default:
			v = field
		}
	}
}

func at(object runtime.Object, path []step) map[string]any {
	var node any
	node, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		panic(err)
	}
	for _, s := range path {
		if s.name == "" {
			continue
		}
		m, _ := node.(map[string]any)
		node = m[s.name]
		if items, ok := node.([]any); ok && s.nested && len(items) > 0 {
			node = items[0]
		}
	}
	m, _ := node.(map[string]any)
	return m
}
