package main

import (
	"reflect"
	"strings"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/utils/kube/scheme"
)

// pointers lists, a type a key, the fields whose zero value survives storing: Go holds them by pointer. Every other
// field's zero value reads back as absent.
func pointers() map[string][]string {
	found := map[string][]string{}
	for _, goType := range scheme.Scheme.AllKnownTypes() {
		if name, ok := nameOf(goType); ok {
			collectPointers(name, goType, found)
		}
	}
	return found
}

func collectPointers(name string, t reflect.Type, found map[string][]string) {
	if _, ok := found[name]; ok {
		return
	}
	found[name] = []string{}
	for _, field := range reflect.VisibleFields(t) {
		tag := strings.Split(field.Tag.Get("json"), ",")[0]
		if field.Type.Kind() == reflect.Pointer && tag != "" {
			found[name] = append(found[name], tag)
		}
		held := field.Type
		for held.Kind() == reflect.Pointer || held.Kind() == reflect.Slice || held.Kind() == reflect.Map {
			held = held.Elem()
		}
		if heldName, ok := nameOf(held); ok && held.Kind() == reflect.Struct {
			collectPointers(heldName, held, found)
		}
	}
}
