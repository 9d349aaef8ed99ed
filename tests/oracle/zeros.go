package main

import (
	"reflect"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/utils/kube/scheme"
	"k8s.io/apimachinery/pkg/runtime"
	smd "sigs.k8s.io/structured-merge-diff/v6/schema"
)

// zeros lists, a type a key, what Go writes of it where nothing is said: the fields that are not left out when they
// are empty, with their zero values.
func zeros() map[string]map[string]any {
	found := map[string]map[string]any{}
	for _, goType := range scheme.Scheme.AllKnownTypes() {
		collectZeros(goType, found)
	}
	return found
}

func collectZeros(t reflect.Type, found map[string]map[string]any) {
	name, ok := nameOf(t)
	if _, seen := found[name]; !ok || seen {
		return
	}
	written, err := runtime.DefaultUnstructuredConverter.ToUnstructured(reflect.New(t).Interface())
	if err != nil {
		panic(err)
	}
	found[name] = written
	for _, field := range reflect.VisibleFields(t) {
		held := field.Type
		for held.Kind() == reflect.Pointer || held.Kind() == reflect.Slice || held.Kind() == reflect.Map {
			held = held.Elem()
		}
		if held.Kind() == reflect.Struct {
			collectZeros(held, found)
		}
	}
	prune(name, written)
}

// prune takes out the empty structs that merge field by field: they own nothing and take nothing away.
func prune(name string, written map[string]any) {
	t, ok := scheme.StaticParser().Schema.FindNamedType(name)
	delete(written, "metadata")
	delete(written, "status")
	if !ok || t.Map == nil {
		return
	}
	for _, field := range t.Map.Fields {
		inner, ok := written[field.Name].(map[string]any)
		if !ok || field.Type.NamedType == nil {
			continue
		}
		prune(*field.Type.NamedType, inner)
		held, _ := scheme.StaticParser().Schema.FindNamedType(*field.Type.NamedType)
		if len(inner) == 0 && (held.Map == nil || held.Map.ElementRelationship != smd.Atomic) {
			delete(written, field.Name)
		}
	}
}
